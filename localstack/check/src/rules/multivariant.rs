//! The multivariant playlist as a text: what has to be in it, and what has to be named by it.

use std::collections::HashSet;

use super::{Findings, Rule};
use crate::attributes::Attributes;
use crate::init::Kind;
use crate::presentation::Presentation;

const ATTRIBUTES: &str = "Apple 9.1-9.15";

pub(super) const RULES: &[Rule] = &[
    form,
    version,
    variants,
    independent_segments,
    bandwidth,
    attributes,
    media_attributes,
    languages,
    choices,
    groups,
    demuxed,
];

fn form(presentation: &Presentation, findings: &mut Findings) {
    for fault in &presentation.multivariant.head.faults {
        findings.must(fault.clause, presentation.place(), fault.sentence.clone());
    }
}

fn version(presentation: &Presentation, findings: &mut Findings) {
    let versions = &presentation.multivariant.head.versions;
    super::playlists::version_of(versions, 1, presentation.place(), findings);
}

fn variants(presentation: &Presentation, findings: &mut Findings) {
    if presentation.multivariant.streams.is_empty() {
        findings.must(
            "RFC 8216 4.3.4.2",
            presentation.place(),
            "The playlist names no variant.",
        );
    }
}

fn independent_segments(presentation: &Presentation, findings: &mut Findings) {
    if !presentation.multivariant.head.independent_segments {
        let sentence = "There is no #EXT-X-INDEPENDENT-SEGMENTS.";
        findings.must("Apple 9.11-9.12", presentation.place(), sentence);
    }
}

fn bandwidth(presentation: &Presentation, findings: &mut Findings) {
    for (number, stream) in presentation.multivariant.streams.iter().enumerate() {
        if stream.attributes.integer("BANDWIDTH").is_none_or(|value| value == 0) {
            let sentence = format!("Variant {} has no BANDWIDTH that is a number.", number + 1);
            findings.must("RFC 8216 4.3.4.2", presentation.place(), sentence);
        }
    }
}

/// Each attribute is there, and of the right form. What grows has no average yet.
fn attributes(presentation: &Presentation, findings: &mut Findings) {
    let growing = presentation.is_growing();
    for (number, stream) in presentation.multivariant.streams.iter().enumerate() {
        let attributes = &stream.attributes;
        let track = stream.uri.as_deref().and_then(|uri| presentation.track(uri));
        let sound_only = track.is_some_and(|track| track.is(Kind::Audio));
        for (name, there) in [
            ("CODECS", attributes.quoted("CODECS").is_some()),
            (
                "RESOLUTION",
                sound_only || attributes.resolution("RESOLUTION").is_some(),
            ),
            ("FRAME-RATE", sound_only || attributes.decimal("FRAME-RATE").is_some()),
            (
                "AVERAGE-BANDWIDTH",
                growing || attributes.integer("AVERAGE-BANDWIDTH").is_some(),
            ),
        ] {
            if !there {
                let given = attributes
                    .get(name)
                    .map_or("none".to_owned(), |value| format!("`{value}`"));
                let sentence = format!("Variant {} has no usable {name}: {given}.", number + 1);
                findings.must(ATTRIBUTES, presentation.place(), sentence);
            }
        }
    }
}

const KINDS: [&str; 4] = ["AUDIO", "VIDEO", "SUBTITLES", "CLOSED-CAPTIONS"];

fn media_attributes(presentation: &Presentation, findings: &mut Findings) {
    for (number, media) in presentation.multivariant.media.iter().enumerate() {
        let kind = media.bare("TYPE").unwrap_or_default();
        let captions = kind == "CLOSED-CAPTIONS";
        let wants_uri = matches!(kind, "AUDIO" | "SUBTITLES");
        let yes_or_no = |name| matches!(media.get(name), None | Some("YES" | "NO"));
        for (wrong, what) in [
            (!KINDS.contains(&kind), "no TYPE that exists"),
            (media.quoted("GROUP-ID").is_none(), "no GROUP-ID in quotes"),
            (media.quoted("NAME").is_none(), "no NAME in quotes"),
            (wants_uri && media.quoted("URI").is_none(), "no URI in quotes"),
            (
                captions && media.get("URI").is_some(),
                "a URI, though it is in the picture",
            ),
            (captions && media.get("INSTREAM-ID").is_none(), "no INSTREAM-ID"),
            (
                kind == "AUDIO" && channels(media).is_none(),
                "no CHANNELS that is a number",
            ),
            (
                !yes_or_no("DEFAULT") || !yes_or_no("AUTOSELECT"),
                "neither YES nor NO for DEFAULT or AUTOSELECT",
            ),
            (
                media.get("DEFAULT") == Some("YES") && media.get("AUTOSELECT") == Some("NO"),
                "DEFAULT=YES and AUTOSELECT=NO, of which one is wrong",
            ),
        ] {
            if wrong {
                let sentence = format!("#EXT-X-MEDIA {} has {what}.", number + 1);
                findings.must("RFC 8216 4.3.4.1", presentation.place(), sentence);
            }
        }
    }
}

/// `2`, or `6/JOC`.
fn channels(media: &Attributes) -> Option<u32> {
    let first = media.quoted("CHANNELS")?.split('/').next()?;
    first.parse().ok().filter(|count| *count > 0)
}

fn languages(presentation: &Presentation, findings: &mut Findings) {
    for (number, media) in presentation.multivariant.media.iter().enumerate() {
        let language = media.quoted("LANGUAGE").filter(|language| !language.is_empty());
        if media.get("TYPE") != Some("VIDEO") && language.is_none() {
            let sentence = format!("#EXT-X-MEDIA {} has no LANGUAGE.", number + 1);
            findings.must("Apple 8.10", presentation.place(), sentence);
        }
    }
}

/// Of a group one at most is the default, and each has a name of its own.
fn choices(presentation: &Presentation, findings: &mut Findings) {
    let (mut defaults, mut names) = (HashSet::new(), HashSet::new());
    for media in &presentation.multivariant.media {
        let group = (media.get("TYPE"), media.get("GROUP-ID"));
        let name = group.1.unwrap_or_default();
        if media.get("DEFAULT") == Some("YES") && !defaults.insert(group) {
            let sentence = format!("Group `{name}` has more than one DEFAULT=YES.");
            findings.must("RFC 8216 4.3.4.1.1", presentation.place(), sentence);
        }
        if !names.insert((group, media.get("NAME"))) {
            let sentence = format!("Group `{name}` has two of one NAME.");
            findings.must("RFC 8216 4.3.4.1.1", presentation.place(), sentence);
        }
    }
}

/// A group that a variant is played with exists.
fn groups(presentation: &Presentation, findings: &mut Findings) {
    for (number, stream) in presentation.multivariant.streams.iter().enumerate() {
        for kind in KINDS {
            let Some(group) = stream.attributes.quoted(kind) else {
                continue;
            };
            let mut media = presentation.multivariant.media.iter();
            if !media.any(|media| media.get("TYPE") == Some(kind) && media.get("GROUP-ID") == Some(group)) {
                let sentence = format!(
                    "Variant {} is played with the {kind} group `{group}`, which has no member.",
                    number + 1
                );
                findings.must("RFC 8216 4.3.4.2", presentation.place(), sentence);
            }
        }
    }
}

fn demuxed(presentation: &Presentation, findings: &mut Findings) {
    for track in presentation.played() {
        for loaded in &track.inits {
            let tracks = loaded.init.as_ref().map_or(0, |init| init.tracks.len());
            if tracks > 1 {
                let sentence = format!("The init segment has {tracks} tracks instead of one.");
                findings.should("Apple 9.5", &loaded.place, sentence);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::testing::{MAIN, Show, Site, init_bytes};

    fn edited(from: &str, to: &str) -> Site {
        Show::new().site().edit(MAIN, from, to)
    }

    #[test]
    fn bad_form_is_found() {
        edited("#EXTM3U", "#EXTM4U").breaks("RFC 8216 4.3.1.1", "#EXTM3U");
        edited("NAME=", "NAME").breaks("RFC 8216 4.2", "is not the name of an attribute");
    }

    #[test]
    fn a_missing_version_is_found() {
        edited("#EXT-X-VERSION:7\n", "").breaks("RFC 8216 4.3.1.2", "no #EXT-X-VERSION");
        edited("VERSION:7", "VERSION:x").breaks("RFC 8216 4.3.1.2", "`x`");
    }

    #[test]
    fn a_playlist_without_variants_is_found() {
        let mut site = Show::new().site();
        site.answer(MAIN).1 = b"#EXTM3U\n#EXT-X-VERSION:7\n".to_vec();
        site.breaks("RFC 8216 4.3.4.2", "names no variant");
    }

    #[test]
    fn segments_not_said_to_be_independent_are_found() {
        edited("#EXT-X-INDEPENDENT-SEGMENTS\n", "").breaks("Apple 9.11-9.12", "INDEPENDENT");
    }

    #[test]
    fn missing_attributes_are_found() {
        edited("STREAM-INF:BANDWIDTH=", "STREAM-INF:BANDWIDTH=-").breaks("RFC 8216 4.3.4.2", "no BANDWIDTH");
        edited("CODECS", "X-CODECS").breaks(super::ATTRIBUTES, "no usable CODECS: none");
        edited("640x360", "640").breaks(super::ATTRIBUTES, "no usable RESOLUTION: `640`");
        edited("FRAME-RATE=30.000,", "").breaks(super::ATTRIBUTES, "no usable FRAME-RATE");
        edited("AVERAGE-BANDWIDTH=", "AVERAGE-BANDWIDTH=x")
            .breaks(super::ATTRIBUTES, "no usable AVERAGE-BANDWIDTH: `x");
    }

    #[test]
    fn wrong_media_are_found() {
        for (from, to, part) in [
            ("TYPE=AUDIO", "TYPE=SOUND", "no TYPE"),
            ("GROUP-ID=\"a0\"", "GROUP-ID=a0", "no GROUP-ID"),
            ("NAME=\"Original\",", "", "no NAME"),
            ("URI=\"a0.m3u8\"", "X=1", "no URI"),
            ("TYPE=AUDIO", "TYPE=CLOSED-CAPTIONS", "a URI"),
            ("TYPE=AUDIO", "TYPE=CLOSED-CAPTIONS", "no INSTREAM-ID"),
            ("CHANNELS=\"2\"", "CHANNELS=\"two\"", "no CHANNELS"),
            ("AUTOSELECT=YES", "AUTOSELECT=MAYBE", "neither YES nor NO"),
            ("AUTOSELECT=YES", "AUTOSELECT=NO", "of which one is wrong"),
        ] {
            edited(from, to).breaks("RFC 8216 4.3.4.1", part);
        }
    }

    #[test]
    fn a_missing_language_is_found() {
        edited("LANGUAGE=\"und\",", "").breaks("Apple 8.10", "no LANGUAGE");
    }

    #[test]
    fn groups_with_two_defaults_are_found() {
        let mut site = Show::new().site();
        let text = site.text(MAIN);
        let line = text.lines().find(|line| line.starts_with("#EXT-X-MEDIA:")).unwrap();
        let site = site.edit(MAIN, line, &format!("{line}\n{line}"));
        site.breaks("RFC 8216 4.3.4.1.1", "more than one DEFAULT");
        site.breaks("RFC 8216 4.3.4.1.1", "two of one NAME");
    }

    #[test]
    fn groups_without_members_are_found() {
        edited("AUDIO=\"a0\"", "AUDIO=\"a1\"").breaks("RFC 8216 4.3.4.2", "`a1`, which has no member");
    }

    #[test]
    fn muxed_sound_is_found() {
        let show = Show::new();
        let mut site = show.site();
        let (picture, sound) = (init_bytes(&show.tracks[0]), init_bytes(&show.tracks[2]));
        let trak = |bytes: &[u8]| {
            let start = bytes.windows(4).position(|four| four == b"trak").unwrap() - 4;
            let size = u32::from_be_bytes(bytes[start..start + 4].try_into().unwrap()) as usize;
            (start, bytes[start..start + size].to_vec())
        };
        let ((at, _), (_, second)) = (trak(&picture), trak(&sound));
        let mut both = picture.clone();
        let moov = both.windows(4).position(|four| four == b"moov").unwrap() - 4;
        let size = u32::from_be_bytes(both[moov..moov + 4].try_into().unwrap()) + u32::try_from(second.len()).unwrap();
        both[moov..moov + 4].copy_from_slice(&size.to_be_bytes());
        both.splice(at..at, second);
        site.answer("v0/init.mp4").1 = both;
        site.breaks("Apple 9.5", "2 tracks");
    }
}
