//! Where decoding can begin, by the NAL units.

use super::{Findings, Rule};
use crate::presentation::{Presentation, Track};

pub(super) const RULES: &[Rule] = &[segment_starts, intervals, flags];

fn segment_starts(presentation: &Presentation, findings: &mut Findings) {
    for (segment, content) in presentation.pictures().flat_map(Track::contents) {
        if content.samples().next().is_some_and(|sample| !sample.is_idr()) {
            findings.must("Apple 7.4", &segment.place, "The segment does not begin with an IDR.");
        }
    }
}

/// Seconds from one IDR to the next.
const INTERVAL: f64 = 2.0;

/// The end counts as one: after it nothing can be shown.
fn intervals(presentation: &Presentation, findings: &mut Findings) {
    for track in presentation.pictures() {
        let (mut since, limit) = (0, INTERVAL + track.frame());
        for (segment, content) in track.contents() {
            for sample in content.samples() {
                if sample.is_idr() {
                    since = 0;
                }
                let before = track.seconds(since);
                since += u64::from(sample.duration);
                let now = track.seconds(since);
                if before <= limit && now > limit {
                    let sentence = format!("There is no IDR for more than {now:.3} s, instead of every {INTERVAL} s.");
                    findings.should("Apple 1.13", &segment.place, sentence);
                }
            }
        }
    }
}

fn flags(presentation: &Presentation, findings: &mut Findings) {
    for (segment, content) in presentation.pictures().flat_map(Track::contents) {
        let wrong = |(_, sample): &(usize, &crate::segment::Sample)| sample.idr.is_some_and(|idr| idr != sample.sync);
        if let Some((number, sample)) = content.samples().enumerate().find(wrong) {
            let (flag, unit) = if sample.sync { ("", " not") } else { (" not", "") };
            let sentence = format!("Sample {number} is{flag} a sync sample by its flags, and is{unit} an IDR.");
            findings.must("ISO 14496-12 8.8.8", &segment.place, sentence);
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::testing::{Picture, Show};

    fn sample(show: &mut Show, segment: usize, part: usize) -> &mut Picture {
        &mut show.tracks[0].segments[segment].fragments[part].samples[0]
    }

    #[test]
    fn segments_that_begin_in_the_middle_are_found() {
        let mut show = Show::new();
        sample(&mut show, 1, 0).unit = 1;
        show.site().breaks("Apple 7.4", "does not begin with an IDR");
    }

    #[test]
    fn missing_idrs_are_found() {
        let mut show = Show::new();
        sample(&mut show, 0, 2).unit = 1;
        show.site().breaks("Apple 1.13", "no IDR for more than 2.067 s");
    }

    #[test]
    fn flags_that_lie_are_found() {
        let mut show = Show::new();
        sample(&mut show, 0, 2).unit = 1;
        show.site().breaks(
            "ISO 14496-12 8.8.8",
            "Sample 60 is a sync sample by its flags, and is not an IDR",
        );
        let mut show = Show::new();
        sample(&mut show, 0, 2).sync = false;
        show.site().breaks(
            "ISO 14496-12 8.8.8",
            "Sample 60 is not a sync sample by its flags, and is an IDR",
        );
    }
}
