//! I-frame playlists: each picture that decoding can begin with, and nothing else.

use super::{Findings, Rule, SAME, bandwidth, variants};
use crate::presentation::{Presentation, Segment, Track};

pub(super) const RULES: &[Rule] = &[exist, attributes, truth, marked, ranges, complete, peaks];

const CLAUSE: &str = "Apple 6.1";

/// Each picture has one.
fn exist(presentation: &Presentation, findings: &mut Findings) {
    for track in presentation.pictures() {
        if iframes_of(presentation, track).is_none() {
            findings.must(CLAUSE, track.place(), "The variant has no I-frame playlist.");
        }
    }
}

/// The I-frame playlist that names segments of this variant, or else one for a picture of its size.
fn iframes_of<'a>(presentation: &'a Presentation, variant: &Track) -> Option<&'a Track> {
    let places = variant.places();
    let shares = |track: &Track| {
        track
            .segments
            .iter()
            .any(|range| places.contains_key(range.place.as_str()))
    };
    let size = |track: &Track| Some(track.header()?.entries.first()?.size);
    let all = || presentation.iframes().map(|(_, track)| track);
    let shared = all().find(|track| shares(track));
    shared.or_else(|| all().find(|track| size(track).is_some() && size(track) == size(variant)))
}

fn attributes(presentation: &Presentation, findings: &mut Findings) {
    for (number, attributes) in presentation.multivariant.iframes.iter().enumerate() {
        for (there, name) in [
            (attributes.integer("BANDWIDTH").is_some(), "BANDWIDTH"),
            (attributes.quoted("CODECS").is_some(), "CODECS"),
            (attributes.resolution("RESOLUTION").is_some(), "RESOLUTION"),
            (attributes.quoted("URI").is_some(), "URI"),
        ] {
            if !there {
                let sentence = format!("#EXT-X-I-FRAME-STREAM-INF {} has no usable {name}.", number + 1);
                findings.must(CLAUSE, presentation.place(), sentence);
            }
        }
    }
}

fn truth(presentation: &Presentation, findings: &mut Findings) {
    for (attributes, track) in presentation.iframes() {
        variants::size(attributes.resolution("RESOLUTION"), track, findings);
        let (declared, found) = (attributes.quoted("CODECS").unwrap_or_default(), track.codecs());
        if !found.is_empty() && !variants::same_codecs(declared, &found) {
            let sentence = format!(
                "CODECS is `{declared}`, and the init segment says `{}`.",
                found.join(",")
            );
            findings.must("RFC 8216 4.3.4.3", track.place(), sentence);
        }
    }
}

fn marked(presentation: &Presentation, findings: &mut Findings) {
    for (_, track) in presentation.iframes() {
        if track.playlist.as_ref().is_some_and(|playlist| !playlist.iframes_only) {
            findings.must("RFC 8216 4.3.3.6", track.place(), "There is no #EXT-X-I-FRAMES-ONLY.");
        }
    }
}

/// A range is one fragment of one IDR: strict readers take no less, and players need no more.
fn ranges(presentation: &Presentation, findings: &mut Findings) {
    for (segment, fault) in presentation.iframes().flat_map(|(_, track)| faults(track)) {
        let range = Track::range(segment);
        findings.must(
            CLAUSE,
            &segment.place,
            format!("The I-frame at {range} is not one: {fault}."),
        );
    }
}

fn faults(track: &Track) -> Vec<(&Segment, String)> {
    let mut faults = Vec::new();
    for (segment, content) in track.contents() {
        let samples: Vec<_> = content.samples().collect();
        if let Some(fault) = content.faults.first() {
            faults.push((segment, fault.clone()));
        } else if content.layout != [*b"moof", *b"mdat"] {
            faults.push((segment, format!("it holds {} instead of moof mdat", content.layout())));
        } else if samples.len() != 1 {
            faults.push((segment, format!("it holds {} samples instead of one", samples.len())));
        } else if !samples[0].is_idr() {
            faults.push((segment, "its sample is not an IDR".to_owned()));
        }
    }
    faults
}

/// Every IDR of a variant is named, and their durations make its own.
fn complete(presentation: &Presentation, findings: &mut Findings) {
    if presentation.is_growing() {
        return;
    }
    for variant in presentation.pictures().filter(|track| track.is_whole()) {
        let Some(track) = iframes_of(presentation, variant) else {
            continue;
        };
        let (named, there) = (track.segments.len(), variant.idrs());
        if named != there {
            let sentence = format!("The playlist names {named} I-frames, and the variant has {there} IDRs.");
            findings.must(CLAUSE, track.place(), sentence);
        }
        let covered = track.playlist.as_ref().map_or(0.0, crate::playlist::Media::duration);
        let lasts = variant.duration();
        if (covered - lasts).abs() > variant.frame() + SAME {
            let sentence = format!("The I-frames last {covered:.3} s, and the variant {lasts:.3} s.");
            findings.must(CLAUSE, track.place(), sentence);
        }
    }
}

fn peaks(presentation: &Presentation, findings: &mut Findings) {
    if presentation.is_growing() {
        return;
    }
    for (attributes, track) in presentation.iframes().filter(|(_, track)| track.is_whole()) {
        let peak = attributes.integer("BANDWIDTH").zip(bandwidth::peak_of(track));
        let average = Some(bandwidth::average(&track.sizes()));
        let average = attributes.integer("AVERAGE-BANDWIDTH").zip(average);
        for (name, pair) in [("BANDWIDTH", peak), ("AVERAGE-BANDWIDTH", average)] {
            let Some((declared, measured)) =
                pair.filter(|(declared, measured)| !bandwidth::is_within(*declared, *measured))
            else {
                continue;
            };
            let sentence = format!("{name} is {declared}, and {measured:.0} bit/s are measured: more than 10% apart.");
            findings.must("RFC 8216 4.3.4.3", track.place(), sentence);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::CLAUSE;
    use crate::testing::{MAIN, Show, Site};

    fn edited(from: &str, to: &str) -> Site {
        Show::new().site().edit("v0-iframes.m3u8", from, to)
    }

    #[test]
    fn missing_playlists_are_found() {
        let mut site = Show::new().site();
        let text = site.text(MAIN);
        let lines = text.lines().filter(|line| !line.contains("v0-iframes"));
        site.answer(MAIN).1 = lines.collect::<Vec<_>>().join("\n").into_bytes();
        site.breaks(CLAUSE, "no I-frame playlist");
    }

    #[test]
    fn missing_attributes_are_found() {
        for name in ["BANDWIDTH", "CODECS", "RESOLUTION", "URI"] {
            let mut site = Show::new().site();
            let text = site.text(MAIN);
            let line = text.lines().find(|line| line.contains("v0-iframes")).unwrap();
            let without = line.replacen(&format!("{name}="), &format!("X-{name}="), 1);
            site.edit(MAIN, line, &without)
                .breaks(CLAUSE, &format!("no usable {name}"));
        }
    }

    #[test]
    fn what_is_declared_falsely_is_found() {
        let site = Show::new().site();
        let lie = site
            .clone()
            .edit(MAIN, "CODECS=\"avc1.64001e\",RES", "CODECS=\"avc1.64001f\",RES");
        lie.breaks(
            "RFC 8216 4.3.4.3",
            "CODECS is `avc1.64001f`, and the init segment says `avc1.64001e`",
        );
        let lie = site
            .clone()
            .edit(MAIN, "RESOLUTION=426x240,URI", "RESOLUTION=640x360,URI");
        lie.breaks("RFC 8216 4.3.4.2", "the sample entry says 426x240");
        for name in ["I-FRAME-STREAM-INF:BANDWIDTH=", "AVERAGE-BANDWIDTH="] {
            let lie = site.clone().edit(MAIN, name, &format!("{name}1"));
            lie.breaks("RFC 8216 4.3.4.3", "more than 10% apart");
        }
    }

    #[test]
    fn unmarked_playlists_are_found() {
        edited("#EXT-X-I-FRAMES-ONLY\n", "").breaks("RFC 8216 4.3.3.6", "no #EXT-X-I-FRAMES-ONLY");
    }

    #[test]
    fn ranges_of_something_else_are_found() {
        let mut site = Show::new().site();
        let text = site.text("v0-iframes.m3u8");
        let range = text.lines().find(|line| line.starts_with("#EXT-X-BYTERANGE")).unwrap();
        let length: usize = range
            .strip_prefix("#EXT-X-BYTERANGE:")
            .unwrap()
            .strip_suffix("@0")
            .unwrap()
            .parse()
            .unwrap();
        let with = |text: String| {
            site.clone()
                .edit("v0-iframes.m3u8", range, &format!("#EXT-X-BYTERANGE:{text}"))
        };
        with(format!("{}@0", length - 1)).breaks(CLAUSE, "are no whole box");
        with(format!("{length}@1")).breaks(CLAUSE, "is not one");
        let whole = site.answers["/show/v0/0.m4s"].1.len();
        with(format!("{whole}@0")).breaks(CLAUSE, "it holds moof mdat moof mdat moof mdat moof mdat instead");
        let mut show = Show::new();
        show.tracks[0].segments[0].fragments[2].samples[0].unit = 1;
        show.site().breaks(CLAUSE, "its sample is not an IDR");
        let mut show = Show::new();
        let key = show.tracks[0].segments[0].fragments[0].samples[0];
        show.tracks[0].segments[0].fragments[0].samples.push(key);
        show.site().breaks(CLAUSE, "it holds 2 samples instead of one");
    }

    #[test]
    fn incomplete_playlists_are_found() {
        let mut site = Show::new().site();
        let text = site.text("v0-iframes.m3u8");
        let last = text.rfind("#EXTINF").unwrap();
        site.answer("v0-iframes.m3u8").1 = (text[..last].to_owned() + "#EXT-X-ENDLIST\n").into_bytes();
        site.breaks(CLAUSE, "names 3 I-frames, and the variant has 4 IDRs");
        site.breaks(CLAUSE, "The I-frames last 6.000 s, and the variant 8.000 s");
    }
}
