//! Media playlists: their form, and that they say of segments what segments are.

use super::{Findings, Rule, SAME};
use crate::init::Kind;
use crate::playlist::Media;
use crate::presentation::{Presentation, Role, Track};

pub(super) const RULES: &[Rule] = &[
    form,
    versions,
    kinds,
    starts,
    segments,
    encryption,
    maps,
    targets,
    same_target,
    longest,
    durations,
];

fn playlists(presentation: &Presentation) -> impl Iterator<Item = (&Track, &Media)> {
    let tracks = presentation.tracks.iter();
    tracks.filter_map(|track| Some((track, track.playlist.as_ref()?)))
}

fn form(presentation: &Presentation, findings: &mut Findings) {
    for (track, playlist) in playlists(presentation) {
        for fault in &playlist.head.faults {
            findings.must(fault.clause, track.place(), fault.sentence.clone());
        }
    }
}

/// RFC 8216 7: fragmented MP4 needs 6 to be played, and 5 for its I-frames.
fn versions(presentation: &Presentation, findings: &mut Findings) {
    for (track, playlist) in playlists(presentation) {
        let least = if track.role == Role::Iframes { 5 } else { 6 };
        version_of(&playlist.head.versions, least, track.place(), findings);
    }
}

pub(super) fn version_of(versions: &[String], least: u32, place: &str, findings: &mut Findings) {
    let sentence = match versions {
        [] => "There is no #EXT-X-VERSION.".to_owned(),
        [version] if version.parse::<u32>().is_ok_and(|version| version >= least) => return,
        [version] => format!("The version is `{version}` instead of at least {least}."),
        _ => format!("There are {} #EXT-X-VERSION instead of one.", versions.len()),
    };
    findings.must("RFC 8216 4.3.1.2", place, sentence);
}

/// A presentation is final or grows, and so are all of its playlists; some may be whole before others are.
fn kinds(presentation: &Presentation, findings: &mut Findings) {
    let grows = playlists(presentation).all(|(_, playlist)| playlist.is_event());
    for (track, playlist) in playlists(presentation) {
        let kind = playlist.kind.as_deref();
        let sentence = match (kind, playlist.ended) {
            (Some("VOD"), true) => continue,
            (Some("EVENT"), _) if grows => continue,
            (Some("VOD"), false) => "The playlist is VOD and has no #EXT-X-ENDLIST.".to_owned(),
            (Some("EVENT"), _) => "The playlist is EVENT instead of VOD, as others are.".to_owned(),
            (kind, _) => format!("The playlist's type is {} instead of VOD.", kind.unwrap_or("not given")),
        };
        findings.must("Apple 8.6", track.place(), sentence);
    }
}

/// A player that meets a growing playlist begins at its end unless told otherwise.
fn starts(presentation: &Presentation, findings: &mut Findings) {
    for (track, playlist) in playlists(presentation) {
        let start = playlist
            .head
            .start
            .as_ref()
            .and_then(|start| start.decimal("TIME-OFFSET"));
        if playlist.is_event() && !playlist.ended && start.is_none() {
            let sentence = "The playlist is growing and has no #EXT-X-START with a TIME-OFFSET.";
            findings.must("RFC 8216 4.3.5.2", track.place(), sentence);
        }
    }
}

fn segments(presentation: &Presentation, findings: &mut Findings) {
    for (track, playlist) in playlists(presentation) {
        if playlist.entries.is_empty() {
            findings.must("RFC 8216 4.3.2", track.place(), "The playlist names no segment.");
        }
    }
}

/// Nothing broken, but most of the rules cannot look.
fn encryption(presentation: &Presentation, findings: &mut Findings) {
    for (track, playlist) in playlists(presentation) {
        if playlist.encrypted {
            let sentence = "The segments are encrypted: what is in them cannot be checked.";
            findings.should("RFC 8216 4.3.2.4", track.place(), sentence);
        }
    }
}

fn maps(presentation: &Presentation, findings: &mut Findings) {
    for (track, playlist) in playlists(presentation) {
        let without = playlist.entries.iter().filter(|entry| entry.map.is_none()).count();
        if without > 0 {
            let sentence = format!("{without} segments have no #EXT-X-MAP.");
            findings.must("Apple 8.20", track.place(), sentence);
        }
    }
}

#[expect(clippy::cast_precision_loss, reason = "a duration")]
fn targets(presentation: &Presentation, findings: &mut Findings) {
    for (track, playlist) in playlists(presentation) {
        let Some(target) = playlist.target_duration.filter(|target| *target > 0) else {
            findings.must(
                "RFC 8216 4.3.3.1",
                track.place(),
                "There is no usable #EXT-X-TARGETDURATION.",
            );
            continue;
        };
        for (position, entry) in playlist.entries.iter().enumerate() {
            let duration = entry.duration;
            if duration.round() > target as f64 {
                let sentence = format!("The EXTINF of segment {position} is {duration}, over the target of {target}.");
                findings.must("RFC 8216 4.3.3.1", track.place(), sentence);
            }
        }
    }
}

/// I-frame playlists may have one of their own.
fn same_target(presentation: &Presentation, findings: &mut Findings) {
    let mut expected = None;
    let played = playlists(presentation).filter(|(track, _)| track.role != Role::Iframes);
    for (track, target) in played.filter_map(|(track, playlist)| Some((track, playlist.target_duration?))) {
        let expected = *expected.get_or_insert(target);
        if target != expected {
            let sentence = format!("The target duration is {target}, and that of the first playlist {expected}.");
            findings.must("RFC 8216 6.2.4", track.place(), sentence);
        }
    }
}

/// How far a segment may exceed the target, in seconds.
const EXCESS: f64 = 0.5;

#[expect(clippy::cast_precision_loss, reason = "a duration")]
fn longest(presentation: &Presentation, findings: &mut Findings) {
    for track in presentation.played() {
        let target = track.playlist.as_ref().and_then(|playlist| playlist.target_duration);
        let Some(target) = target else { continue };
        for (segment, content) in track.contents() {
            let duration = track.seconds(content.ticks()).max(segment.entry.duration);
            if duration > target as f64 + EXCESS {
                let sentence = format!("The segment lasts {duration:.3} s, with a target of {target} s.");
                findings.must("Apple 7.7", &segment.place, sentence);
            }
        }
    }
}

/// `EXTINF` is what the samples last; a sound's boundary may be meant to be the picture's.
fn durations(presentation: &Presentation, findings: &mut Findings) {
    for track in presentation.played() {
        let tolerance = if track.is(Kind::Audio) {
            track.frame().max(SAME)
        } else {
            SAME
        };
        for (segment, content) in track.contents().filter(|(_, content)| content.faults.is_empty()) {
            let (announced, real) = (segment.entry.duration, track.seconds(content.ticks()));
            if (announced - real).abs() > tolerance {
                let sentence = format!("EXTINF is {announced:.6}, and the samples last {real:.6} s.");
                findings.must("RFC 8216 4.3.2.1", &segment.place, sentence);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::testing::{Show, Site};

    fn edited(from: &str, to: &str) -> Site {
        Show::new().site().edit("v0.m3u8", from, to)
    }

    /// As it is before the last segment is made.
    fn growing() -> Site {
        let mut site = Show::new().site();
        for name in ["v0.m3u8", "v1.m3u8", "a0.m3u8", "v0-iframes.m3u8", "v1-iframes.m3u8"] {
            let event = "TYPE:EVENT\n#EXT-X-START:TIME-OFFSET=0,PRECISE=YES";
            site = site.edit(name, "TYPE:VOD", event).edit(name, "#EXT-X-ENDLIST\n", "");
        }
        site
    }

    #[test]
    fn bad_form_is_found() {
        edited("#EXTINF:4.000000,", "#EXTINF:four,").breaks("RFC 8216 4.3.2", "`four,`");
    }

    #[test]
    fn wrong_versions_are_found() {
        edited("VERSION:7", "VERSION:5").breaks("RFC 8216 4.3.1.2", "`5` instead of at least 6");
        edited("#EXT-X-VERSION:7\n", "").breaks("RFC 8216 4.3.1.2", "no #EXT-X-VERSION");
        edited("#EXT-X-VERSION:7\n", "#EXT-X-VERSION:7\n#EXT-X-VERSION:7\n").breaks("RFC 8216 4.3.1.2", "2 #EXT");
        Show::new()
            .site()
            .edit("v0-iframes.m3u8", "VERSION:7", "VERSION:5")
            .clean();
    }

    #[test]
    fn wrong_kinds_are_found() {
        edited("TYPE:VOD", "TYPE:EVENT").breaks("Apple 8.6", "EVENT instead of VOD");
        edited("#EXT-X-ENDLIST\n", "").breaks("Apple 8.6", "no #EXT-X-ENDLIST");
        edited("#EXT-X-PLAYLIST-TYPE:VOD\n", "").breaks("Apple 8.6", "not given");
    }

    #[test]
    fn growing_playlists_say_where_to_start() {
        growing().clean();
        assert!(growing().report().growing);
        let ended = growing().edit("v0.m3u8", "TYPE:EVENT\n", "TYPE:EVENT\n#EXT-X-ENDLIST\n");
        ended.clean();
        assert!(ended.report().growing, "others grow");
        let site = growing().edit("v0.m3u8", "#EXT-X-START:TIME-OFFSET=0,PRECISE=YES\n", "");
        site.breaks("RFC 8216 4.3.5.2", "no #EXT-X-START");
    }

    #[test]
    fn what_grows_has_no_average_and_no_length_yet() {
        let site = growing().edit("main.m3u8", "AVERAGE-BANDWIDTH", "X-AVERAGE");
        let site = site.edit("a0.m3u8", "#EXTINF:3.989333,\na0/1.m4s\n", "");
        site.edit("main.m3u8", "INF:BANDWIDTH=", "INF:BANDWIDTH=9").clean();
    }

    #[test]
    fn empty_playlists_are_found() {
        let site = edited("#EXTINF:4.000000,\nv0/0.m4s\n", "");
        site.edit("v0.m3u8", "#EXTINF:4.000000,\nv0/1.m4s\n", "")
            .breaks("RFC 8216 4.3.2", "names no segment");
    }

    #[test]
    fn encrypted_segments_are_told_of() {
        let key = "#EXT-X-KEY:METHOD=AES-128,URI=\"key\"\n#EXT-X-MAP";
        edited("#EXT-X-MAP", key).breaks("RFC 8216 4.3.2.4", "encrypted");
        edited("#EXT-X-MAP", "#EXT-X-KEY:METHOD=NONE\n#EXT-X-MAP").clean();
    }

    #[test]
    fn missing_maps_are_found() {
        edited("#EXT-X-MAP:URI=\"v0/init.mp4\"\n", "").breaks("Apple 8.20", "2 segments have no #EXT-X-MAP");
    }

    #[test]
    fn wrong_targets_are_found() {
        edited("#EXT-X-TARGETDURATION:4\n", "").breaks("RFC 8216 4.3.3.1", "no usable");
        edited("TARGETDURATION:4", "TARGETDURATION:3").breaks("RFC 8216 4.3.3.1", "is 4, over the target of 3");
        edited("TARGETDURATION:4", "TARGETDURATION:5").breaks("RFC 8216 6.2.4", "that of the first playlist 5");
    }

    #[test]
    fn segments_that_are_too_long_are_found() {
        edited("TARGETDURATION:4", "TARGETDURATION:3").breaks("Apple 7.7", "lasts 4.000 s, with a target of 3 s");
    }

    #[test]
    fn wrong_durations_are_found() {
        edited("#EXTINF:4.000000", "#EXTINF:4.002")
            .breaks("RFC 8216 4.3.2.1", "EXTINF is 4.002000, and the samples last 4.000000");
        edited("#EXTINF:4.000000", "#EXTINF:4.0005").clean();
        let sound = Show::new().site().edit("a0.m3u8", "#EXTINF:4.010667", "#EXTINF:4.000");
        sound.clean();
        let sound = Show::new().site().edit("a0.m3u8", "#EXTINF:4.010667", "#EXTINF:4.100");
        sound.breaks("RFC 8216 4.3.2.1", "EXTINF is 4.1");
    }
}
