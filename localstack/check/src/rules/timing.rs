//! Segments are whole, their times run on without a gap, and renditions keep step.

use super::{Findings, Rule, SAME, segment_place};
use crate::init::Kind;
use crate::presentation::{Presentation, Role, Track};

pub(super) const RULES: &[Rule] = &[
    inits,
    contents,
    descriptions,
    decode_times,
    sequence_numbers,
    edits,
    beginnings,
    counts,
    alignment,
    frames,
    lengths,
];

fn inits(presentation: &Presentation, findings: &mut Findings) {
    for loaded in presentation.tracks.iter().flat_map(|track| &track.inits) {
        if let Err(fault) = &loaded.init {
            findings.must(
                "RFC 8216 3.3",
                &loaded.place,
                format!("The init segment cannot be read: {fault}."),
            );
        }
    }
}

/// I-frame playlists have rules of their own for what their ranges hold.
fn contents(presentation: &Presentation, findings: &mut Findings) {
    for (segment, content) in presentation.played().flat_map(Track::contents) {
        for fault in &content.faults {
            findings.must(
                "ISO 14496-12 8.8",
                &segment.place,
                format!("The segment is not whole: {fault}."),
            );
        }
        if content.fragments.iter().any(|fragment| fragment.decode_time.is_none()) {
            findings.must("RFC 8216 3.3", &segment.place, "A fragment has no tfdt.");
        }
    }
}

/// A decoder is set up once.
fn descriptions(presentation: &Presentation, findings: &mut Findings) {
    for track in presentation.played() {
        let mut inits = track
            .inits
            .iter()
            .filter_map(|loaded| Some((loaded, loaded.init.as_ref().ok()?.main()?)));
        let Some((_, first)) = inits.next() else { continue };
        for (loaded, header) in inits {
            if header.entries != first.entries || header.timescale != first.timescale {
                let sentence = "The init segment describes other samples than the one before.";
                findings.must("ISO 14496-12 8.5.2", &loaded.place, sentence);
            }
        }
        let used = |description: u32| description == 1 && first.entries.len() == 1;
        if let Some((segment, fragment)) = track.fragments().find(|(_, fragment)| !used(fragment.description)) {
            let (number, entries) = (fragment.description, first.entries.len());
            let sentence = format!("A fragment uses sample description {number} of {entries} instead of the only one.");
            findings.must("ISO 14496-12 8.5.2", &segment.place, sentence);
        }
    }
}

fn decode_times(presentation: &Presentation, findings: &mut Findings) {
    for track in presentation.played() {
        let mut expected: Option<u64> = None;
        for (segment, content) in track.contents() {
            if segment.entry.discontinuity {
                expected = None;
            }
            for fragment in &content.fragments {
                let Some(time) = fragment.decode_time else { continue };
                if let Some(expected) = expected.filter(|expected| *expected != time) {
                    let (number, begins, ended) =
                        (fragment.sequence_number, track.seconds(time), track.seconds(expected));
                    let sentence =
                        format!("Fragment {number} begins at {begins:.6} s, and the one before ends at {ended:.6} s.");
                    findings.must("Apple 7.3", &segment.place, sentence);
                }
                expected = Some(time.saturating_add(fragment.ticks()));
            }
        }
    }
}

fn sequence_numbers(presentation: &Presentation, findings: &mut Findings) {
    for track in presentation.played() {
        let mut last = None;
        for (segment, fragment) in track.fragments() {
            let number = fragment.sequence_number;
            if let Some(last) = last.filter(|last| *last >= number) {
                let sentence = format!("Fragment {number} follows fragment {last}.");
                findings.must("ISO 14496-12 8.8.5", &segment.place, sentence);
            }
            last = Some(number);
        }
    }
}

/// One edit at most takes back a delay; more of them would cut the presentation.
fn edits(presentation: &Presentation, findings: &mut Findings) {
    for track in presentation.played() {
        let edits = track.header().map_or(&[][..], |header| &header.edits);
        let pieces = edits.iter().filter(|edit| edit.media_time.is_some()).count();
        if pieces > 1 {
            let sentence = format!("The edit list has {pieces} pieces of media instead of one.");
            findings.must("Apple 7.3", track.place(), sentence);
        }
    }
}

/// How much of a sound may lie before the picture, in frames of AAC: an encoder's delay that the edit list takes back.
const PRIMING: f64 = 3.0;

/// All begin together, by `tfdt`, composition offsets and edit list.
fn beginnings(presentation: &Presentation, findings: &mut Findings) {
    let mut first = None;
    for track in presentation.pictures().chain(presentation.sounds()) {
        let Some(begins) = track.presented_from() else { continue };
        let expected = *first.get_or_insert(begins);
        let early = if track.is(Kind::Audio) {
            track.frame() * PRIMING
        } else {
            0.0
        };
        if begins < expected - early - SAME || begins > expected + SAME {
            let sentence = format!(
                "The first sample is shown at {begins:.6} s, and that of the first rendition at {expected:.6} s."
            );
            findings.must("Apple 7.3", track.place(), sentence);
        }
    }
}

/// Renditions of what grows are not asked for at one moment: what is there of both is compared.
fn counts(presentation: &Presentation, findings: &mut Findings) {
    let Some(first) = presentation.played().next().filter(|_| !presentation.is_growing()) else {
        return;
    };
    let expected = first.segments.len();
    for track in presentation.played().filter(|track| track.segments.len() != expected) {
        let sentence = format!(
            "There are {} segments, and {expected} in the first playlist.",
            track.segments.len()
        );
        findings.must("RFC 8216 6.2.4", track.place(), sentence);
    }
}

fn alignment(presentation: &Presentation, findings: &mut Findings) {
    let Some(first) = presentation.pictures().next() else {
        return;
    };
    let expected = first.starts();
    for track in presentation.pictures().skip(1).chain(presentation.sounds()) {
        let tolerance = if track.is(Kind::Audio) {
            track.frame() + SAME
        } else {
            SAME
        };
        for (position, (begins, expected)) in track.starts().iter().zip(&expected).enumerate() {
            let (Some(begins), Some(expected)) = (begins, expected) else {
                continue;
            };
            if (begins - expected).abs() > tolerance {
                let sentence = format!(
                    "Segment {position} begins at {begins:.6} s, and that of the first picture at {expected:.6} s."
                );
                findings.must("RFC 8216 6.2.4", segment_place(track, position), sentence);
            }
        }
    }
}

/// Pictures of one frame rate have as many frames.
fn frames(presentation: &Presentation, findings: &mut Findings) {
    if presentation.is_growing() {
        return;
    }
    let mut seen: Vec<(f64, usize)> = Vec::new();
    for track in presentation.pictures() {
        let (Some(rate), frames) = (track.frame_rate(), track.samples().count()) else {
            continue;
        };
        let alike = seen.iter().find(|(other, _)| (other - rate).abs() < other * 0.01);
        match alike {
            Some((_, expected)) if *expected != frames => {
                let sentence =
                    format!("There are {frames} frames, and {expected} in another variant of this frame rate.");
                findings.must("RFC 8216 6.2.4", track.place(), sentence);
            }
            Some(_) => {}
            None => seen.push((rate, frames)),
        }
    }
}

fn lengths(presentation: &Presentation, findings: &mut Findings) {
    let Some(first) = presentation.played().next().filter(|_| !presentation.is_growing()) else {
        return;
    };
    for track in presentation
        .played()
        .filter(|track| track.is_whole() && first.is_whole())
    {
        let (length, expected) = (track.duration(), first.duration());
        let tolerance = track.frame() + first.frame();
        if (length - expected).abs() > tolerance {
            let what = if track.role == Role::Sound { "sound" } else { "picture" };
            let sentence = format!("The {what} lasts {length:.6} s, and the first variant {expected:.6} s.");
            findings.must("Apple 8.3", track.place(), sentence);
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::testing::{Part, Show};

    /// A part of the first picture.
    fn part(show: &mut Show, segment: usize, part: usize) -> &mut Part {
        &mut show.tracks[0].segments[segment].fragments[part]
    }

    #[test]
    fn unreadable_init_segments_are_found() {
        let mut site = Show::new().site();
        site.answer("v0/init.mp4").1.truncate(100);
        site.breaks("RFC 8216 3.3", "cannot be read");
    }

    #[test]
    fn samples_outside_of_their_mdat_are_found() {
        let mut show = Show::new();
        part(&mut show, 1, 3).data_offset = 9999;
        show.site().breaks("ISO 14496-12 8.8", "are not inside an mdat");
        let mut site = Show::new().site();
        site.answer("a0/0.m4s").1.truncate(3000);
        site.breaks("ISO 14496-12 8.8", "are no whole box");
    }

    #[test]
    fn fragments_without_a_time_are_found() {
        let mut site = Show::new().site();
        let bytes = &mut site.answer("v0/0.m4s").1;
        let at = bytes.windows(4).position(|four| four == b"tfdt").unwrap();
        bytes[at] = b'x';
        site.breaks("RFC 8216 3.3", "no tfdt");
    }

    #[test]
    fn other_descriptions_are_found() {
        let mut show = Show::new();
        part(&mut show, 1, 0).description = 2;
        show.site().breaks("ISO 14496-12 8.5.2", "sample description 2 of 1");
        let second = "#EXT-X-MAP:URI=\"v1/init.mp4\"\n#EXTINF:4.000000,\nv0/1.m4s";
        let site = Show::new()
            .site()
            .edit("v0.m3u8", "#EXTINF:4.000000,\nv0/1.m4s", second);
        site.breaks("ISO 14496-12 8.5.2", "describes other samples");
    }

    #[test]
    fn gaps_are_found() {
        let mut show = Show::new();
        part(&mut show, 1, 1).decode_time += 1;
        show.site().breaks(
            "Apple 7.3",
            "Fragment 6 begins at 4.033398 s, and the one before ends at 4.033333 s",
        );
        let site = Show::new()
            .site()
            .edit("v0.m3u8", "v0/0.m4s", "x")
            .edit("v0.m3u8", "v0/1.m4s", "v0/0.m4s");
        let site = site.edit("v0.m3u8", "\nx\n", "\nv0/1.m4s\n");
        site.breaks(
            "Apple 7.3",
            "begins at 0.000000 s, and the one before ends at 8.000000 s",
        );
        site.breaks(
            "RFC 8216 6.2.4",
            "Segment 0 begins at 0.000000 s, and that of the first picture at 4.000000 s",
        );
    }

    #[test]
    fn sequence_numbers_that_do_not_rise_are_found() {
        let mut show = Show::new();
        part(&mut show, 0, 2).sequence_number = 2;
        show.site()
            .breaks("ISO 14496-12 8.8.5", "Fragment 2 follows fragment 2");
    }

    #[test]
    fn cut_presentations_are_found() {
        let mut show = Show::new();
        show.tracks[0].edits = vec![(4000, 1024), (4000, 62464)];
        show.site().breaks("Apple 7.3", "2 pieces of media instead of one");
    }

    #[test]
    fn renditions_that_do_not_begin_together_are_found() {
        let mut show = Show::new();
        show.tracks[0].edits = vec![(8000, 0)];
        show.site().breaks(
            "Apple 7.3",
            "shown at 0.000000 s, and that of the first rendition at 0.066667 s",
        );
        let mut show = Show::new();
        show.tracks[2].edits = vec![(50, -1), (8000, 0)];
        show.site().breaks(
            "Apple 7.3",
            "shown at 0.050000 s, and that of the first rendition at 0.000000 s",
        );
        show.tracks[2].edits = vec![(8000, 1024)];
        show.site().clean();
        show.tracks[2].edits = vec![(8000, 9600)];
        show.site().breaks("Apple 7.3", "shown at -0.200000 s");
    }

    #[test]
    fn other_numbers_of_segments_are_found() {
        let site = Show::new().site().edit("v1.m3u8", "#EXTINF:4.000000,\nv1/1.m4s\n", "");
        site.breaks("RFC 8216 6.2.4", "There are 1 segments, and 2 in the first playlist");
        site.breaks("RFC 8216 6.2.4", "There are 120 frames, and 240 in another variant");
    }

    #[test]
    fn boundaries_that_do_not_match_are_found() {
        let mut show = Show::new();
        let moved = show.tracks[1].segments[1].fragments.remove(0);
        show.tracks[1].segments[0].fragments.push(moved);
        show.site().breaks(
            "RFC 8216 6.2.4",
            "Segment 1 begins at 4.033333 s, and that of the first picture at 4.000000 s",
        );
    }

    /// As it is made, the sound's boundary is half a frame late.
    #[test]
    fn a_sound_that_ends_a_segment_elsewhere_is_found() {
        let mut show = Show::new();
        let [first, second] = &mut show.tracks[2].segments[..] else {
            panic!("there are two segments");
        };
        let moved = second.fragments[0].samples.remove(0);
        first.fragments[0].samples.push(moved);
        second.fragments[0].decode_time += 1024;
        let sentence = "Segment 1 begins at 4.032000 s, and that of the first picture at 4.000000 s";
        show.site().breaks("RFC 8216 6.2.4", sentence);
    }

    #[test]
    fn other_frame_rates_have_other_numbers_of_frames() {
        let mut show = Show::new();
        for part in show.tracks[1]
            .segments
            .iter_mut()
            .flat_map(|segment| &mut segment.fragments)
        {
            if part.samples.len() > 1 {
                part.samples.truncate(29);
                part.decode_time += 512;
            }
            part.samples.iter_mut().for_each(|sample| sample.duration = 1024);
        }
        let rate = "426x240,FRAME-RATE=30.000";
        show.site()
            .edit(crate::testing::MAIN, rate, "426x240,FRAME-RATE=15.000")
            .clean();
    }

    #[test]
    fn a_sound_of_another_length_is_found() {
        let mut show = Show::new();
        show.tracks[2].segments[1].fragments[0].samples.truncate(180);
        show.site().breaks(
            "Apple 8.3",
            "The sound lasts 7.850667 s, and the first variant 8.000000 s",
        );
    }
}
