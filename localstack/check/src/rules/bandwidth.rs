//! Bandwidths are measured, and compared with what is declared. What grows is not measured: its end may be anything.

use super::{Findings, Rule};
use crate::presentation::{Presentation, Track};

pub(super) const RULES: &[Rule] = &[peaks, averages, cellular];

/// Apple 1.26 and 1.27.
const TOLERANCE: f64 = 0.1;
/// Apple 9.21, bit/s.
const CELLULAR: f64 = 192_000.0;

fn peaks(presentation: &Presentation, findings: &mut Findings) {
    if presentation.is_growing() {
        return;
    }
    for (attributes, track) in presentation.variants() {
        let measured = peak_with(track, &presentation.sounds_of(attributes, track));
        compare("BANDWIDTH", attributes.integer("BANDWIDTH"), measured, track, findings);
    }
}

fn averages(presentation: &Presentation, findings: &mut Findings) {
    if presentation.is_growing() {
        return;
    }
    for (attributes, track) in presentation.variants() {
        let declared = attributes.integer("AVERAGE-BANDWIDTH");
        let measured = average_with(track, &presentation.sounds_of(attributes, track));
        compare("AVERAGE-BANDWIDTH", declared, Some(measured), track, findings);
    }
}

fn compare(name: &str, declared: Option<u64>, measured: Option<f64>, track: &Track, findings: &mut Findings) {
    let (Some(declared), Some(measured)) = (declared, measured) else {
        return;
    };
    if track.is_whole() && !is_within(declared, measured) {
        let sentence = format!("{name} is {declared}, and {measured:.0} bit/s are measured: more than 10% apart.");
        findings.must("Apple 1.26-1.27", track.place(), sentence);
    }
}

#[expect(clippy::cast_precision_loss, reason = "a bandwidth")]
pub(super) fn is_within(declared: u64, measured: f64) -> bool {
    (declared as f64 - measured).abs() <= measured * TOLERANCE
}

fn cellular(presentation: &Presentation, findings: &mut Findings) {
    if presentation.is_growing() {
        return;
    }
    let peaks = presentation
        .variants()
        .map(|(attributes, track)| peak_with(track, &presentation.sounds_of(attributes, track)));
    let Some(peaks) = peaks.collect::<Option<Vec<f64>>>() else {
        return;
    };
    let least = peaks.into_iter().fold(f64::INFINITY, f64::min);
    if least.is_finite() && least > CELLULAR {
        let sentence = format!("The smallest variant peaks at {least:.0} bit/s instead of at most {CELLULAR}.");
        findings.must("Apple 9.21", presentation.place(), sentence);
    }
}

/// Of a variant and the heaviest of the sounds it may be played with (RFC 8216 4.3.4.2).
pub(super) fn peak_with(track: &Track, sounds: &[&Track]) -> Option<f64> {
    let mut peak = peak_of(track)?;
    if let Some(first) = sounds.first() {
        let heaviest = sounds.iter().map(|sound| peak_of(sound));
        peak += heaviest.fold(peak_of(first), |most, next| Some(most?.max(next?)))?;
    }
    Some(peak)
}

pub(super) fn average_with(track: &Track, sounds: &[&Track]) -> f64 {
    let sounds = sounds.iter().map(|sound| average(&sound.sizes()));
    average(&track.sizes()) + sounds.fold(0.0, f64::max)
}

pub(super) fn peak_of(track: &Track) -> Option<f64> {
    peak(&track.sizes(), track.playlist.as_ref()?.target_duration?)
}

/// RFC 8216 4.1: the largest bit rate of any contiguous set of segments whose duration is between 0.5 and 1.5 times the
/// target duration. None where there is no such set.
#[expect(clippy::cast_precision_loss, reason = "sizes of files")]
fn peak(sizes: &[(u64, f64)], target_duration: u64) -> Option<f64> {
    let (least, most) = (0.5 * target_duration as f64, 1.5 * target_duration as f64);
    let mut peak = None;
    for first in 0..sizes.len() {
        let (mut bytes, mut seconds) = (0, 0.0);
        for (size, duration) in &sizes[first..] {
            bytes += size;
            seconds += duration;
            if seconds > most {
                break;
            }
            if seconds >= least && seconds > 0.0 {
                peak = f64::max(bytes as f64 * 8.0 / seconds, peak.unwrap_or_default()).into();
            }
        }
    }
    peak
}

#[expect(clippy::cast_precision_loss, reason = "sizes of files")]
pub(super) fn average(sizes: &[(u64, f64)]) -> f64 {
    let bytes: u64 = sizes.iter().map(|(bytes, _)| bytes).sum();
    let seconds: f64 = sizes.iter().map(|(_, seconds)| seconds).sum();
    if seconds > 0.0 {
        bytes as f64 * 8.0 / seconds
    } else {
        0.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{MAIN, Show, Site};

    /// Scales the number after this attribute of the first variant.
    fn declared(name: &str, percent: u64) -> Site {
        let mut site = Show::new().site();
        let text = site.text(MAIN);
        let line = text
            .lines()
            .find(|line| line.starts_with("#EXT-X-STREAM-INF"))
            .unwrap()
            .to_owned();
        let (head, rest) = line.split_once(name).unwrap();
        let (number, rest) = rest.split_once(',').unwrap();
        let number = number.parse::<u64>().unwrap() * percent / 100;
        site.edit(MAIN, &line, &format!("{head}{name}{number},{rest}"))
    }

    #[test]
    fn wrong_bandwidths_are_found() {
        for name in ["INF:BANDWIDTH=", "AVERAGE-BANDWIDTH="] {
            for percent in [92, 108] {
                declared(name, percent).clean();
            }
            for percent in [85, 115] {
                declared(name, percent).breaks("Apple 1.26-1.27", "more than 10% apart");
            }
        }
    }

    #[test]
    fn a_presentation_without_a_light_variant_is_found() {
        let mut show = Show::new();
        for track in &mut show.tracks[..2] {
            for segment in &mut track.segments {
                segment.fragments[0].samples[0].size = 100_000;
            }
        }
        show.site().breaks("Apple 9.21", "instead of at most 192000");
    }

    #[test]
    fn a_sound_that_is_a_variant_counts_once() {
        let mut site = Show::new().site();
        let text = site.text(MAIN);
        let peak = site.report().sounds[0].measured_peak.unwrap().round();
        let line = format!(
            "#EXT-X-STREAM-INF:BANDWIDTH={peak},AVERAGE-BANDWIDTH={peak},CODECS=\"mp4a.40.2\",AUDIO=\"a0\"\na0.m3u8\n"
        );
        site.answer(MAIN).1 = (text + &line).into_bytes();
        site.clean();
    }

    #[test]
    fn of_several_sounds_the_heaviest_counts() {
        let alone = Show::new().site().report().variants[0].measured_peak.unwrap();
        let mut show = Show::new();
        let mut heavy = show.tracks[2].clone();
        heavy.name = "a1";
        for sample in heavy
            .segments
            .iter_mut()
            .flat_map(|segment| &mut segment.fragments[0].samples)
        {
            sample.size = 90;
        }
        show.tracks.push(heavy);
        let other = "GROUP-ID=\"a0\",NAME=\"Other\",LANGUAGE=\"en\",DEFAULT=NO";
        let same = "GROUP-ID=\"a1\",NAME=\"Original\",LANGUAGE=\"und\",DEFAULT=YES";
        let report = show.site().edit(MAIN, same, other).report();
        let [light, heavy] = [0, 1].map(|sound| report.sounds[sound].measured_peak.unwrap());
        assert!(heavy > light * 1.3);
        let expected = alone - light + heavy;
        assert!((report.variants[0].measured_peak.unwrap() - expected).abs() < 1e-6);
        assert!(report.variants[0].measured_average > alone * 1.1);
    }

    #[test]
    fn peaks_are_of_sets_of_segments() {
        let sizes = [(1000, 4.0), (2000, 4.0), (100, 0.5)];
        assert_eq!(peak(&sizes, 4), Some(4000.0));
        assert_eq!(peak(&[(1000, 1.0), (3000, 1.0), (1000, 1.0)], 4), Some(16_000.0));
        assert_eq!(peak(&[(1000, 1.9)], 4), None, "nothing is long enough");
        assert_eq!(peak(&[(9000, 7.0)], 4), None, "one segment is too long");
        assert_eq!(peak(&[], 4), None);
        assert!((average(&sizes) - 3100.0 * 8.0 / 8.5).abs() < 1e-9);
    }

    #[test]
    fn what_cannot_be_measured_is_not_judged() {
        let mut show = Show::new();
        for track in &mut show.tracks {
            track.segments.truncate(1);
        }
        let mut site = show.site();
        for name in ["v0.m3u8", "v1.m3u8", "a0.m3u8"] {
            site = site.edit(name, "TARGETDURATION:4", "TARGETDURATION:9");
        }
        let site = site.edit(MAIN, "INF:BANDWIDTH=", "INF:BANDWIDTH=9");
        assert!(
            !site
                .findings()
                .iter()
                .any(|finding| finding.clause == "Apple 1.26-1.27")
        );
        assert_eq!(site.report().variants[0].measured_peak, None);
    }
}
