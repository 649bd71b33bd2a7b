//! What is declared of variants is what they are, and they make a ladder.

use super::{Findings, Rule};
use crate::init::Kind;
use crate::presentation::{Presentation, Track};

pub(super) const RULES: &[Rule] = &[codecs, resolution, frame_rate, frame_rate_limit, one_aspect];

fn codecs(presentation: &Presentation, findings: &mut Findings) {
    for (attributes, track) in presentation.variants() {
        let Some(declared) = attributes.quoted("CODECS") else {
            continue;
        };
        let mut found = track.codecs();
        for sound in presentation.sounds_of(attributes, track) {
            found.extend(sound.codecs());
        }
        if !track.inits.is_empty() && !same_codecs(declared, &found) {
            let sentence = format!(
                "CODECS is `{declared}`, and the init segments say `{}`.",
                found.join(",")
            );
            findings.must("RFC 8216 4.3.4.2", track.place(), sentence);
        }
    }
}

/// Each is in both. Of formats whose init segments are not read that far the first four characters count.
pub(super) fn same_codecs(declared: &str, found: &[String]) -> bool {
    let declared: Vec<String> = declared
        .split(',')
        .map(|codec| codec.trim().to_ascii_lowercase())
        .collect();
    let same = |declared: &str, found: &str| {
        declared == found || !found.contains('.') && declared.split('.').next() == Some(found)
    };
    let declares_all = found
        .iter()
        .all(|found| declared.iter().any(|declared| same(declared, found)));
    let finds_all = declared
        .iter()
        .all(|declared| found.iter().any(|found| same(declared, found)));
    declares_all && finds_all
}

fn resolution(presentation: &Presentation, findings: &mut Findings) {
    for (attributes, track) in presentation.variants() {
        size(attributes.resolution("RESOLUTION"), track, findings);
    }
}

/// The declared size is the sample entry's, and the one shown.
pub(super) fn size(declared: Option<(u32, u32)>, track: &Track, findings: &mut Findings) {
    let (Some((width, height)), Some(header)) = (declared, track.header()) else {
        return;
    };
    for entry in header.entries.iter().filter(|_| header.kind == Kind::Video) {
        if entry.size != (width, height) {
            let (w, h) = entry.size;
            let sentence = format!("RESOLUTION is {width}x{height}, and the sample entry says {w}x{h}.");
            findings.must("RFC 8216 4.3.4.2", track.place(), sentence);
        }
    }
    let (w, h) = header.shown;
    let near = |shown: f64, declared: u32| (shown - f64::from(declared)).abs() < 1.0;
    if header.kind == Kind::Video && !(near(w, width) && near(h, height)) {
        let sentence = format!("RESOLUTION is {width}x{height}, and tkhd says {w:.2}x{h:.2}.");
        findings.must("RFC 8216 4.3.4.2", track.place(), sentence);
    }
}

/// `FRAME-RATE` has three decimals.
const RATE_STEP: f64 = 0.002;

fn frame_rate(presentation: &Presentation, findings: &mut Findings) {
    for (attributes, track) in presentation.variants().filter(|(_, track)| track.is(Kind::Video)) {
        let (Some(declared), Some(measured)) = (attributes.decimal("FRAME-RATE"), track.frame_rate()) else {
            continue;
        };
        if (declared - measured).abs() > RATE_STEP {
            let sentence = format!("FRAME-RATE is {declared}, and the samples make {measured:.3}.");
            findings.must("RFC 8216 4.3.4.2", track.place(), sentence);
        }
    }
}

fn frame_rate_limit(presentation: &Presentation, findings: &mut Findings) {
    for track in presentation.pictures() {
        let measured = track.frame_rate().unwrap_or_default();
        if measured > 60.0 + RATE_STEP {
            let sentence = format!("There are {measured:.3} frames a second instead of at most 60.");
            findings.must("Apple 1.19", track.place(), sentence);
        }
    }
}

/// All variants have the aspect of the largest, as near as whole even sides allow.
fn one_aspect(presentation: &Presentation, findings: &mut Findings) {
    let pictures = presentation.pictures();
    let sized = pictures.filter_map(|track| Some((track, track.header()?.entries.first()?.size)));
    let sized: Vec<_> = sized.filter(|(_, (width, height))| width * height > 0).collect();
    let Some((_, largest)) = sized
        .iter()
        .max_by_key(|(_, (width, height))| u64::from(*width) * u64::from(*height))
    else {
        return;
    };
    for (track, size) in &sized {
        if !same_aspect(*largest, *size) {
            let ((w, h), (width, height)) = (size, largest);
            let (ratio, expected) = (f64::from(*w) / f64::from(*h), f64::from(*width) / f64::from(*height));
            let sentence = format!("{w}x{h} has the aspect {ratio:.4}, and {width}x{height} has {expected:.4}.");
            findings.must("Apple 1.33", track.place(), sentence);
        }
    }
}

/// One side follows from the other, but for a pixel to either even neighbour, in both sizes.
fn same_aspect(large: (u32, u32), small: (u32, u32)) -> bool {
    let [large, small] = [large, small].map(|(width, height)| (f64::from(width), f64::from(height)));
    let follows = |long: f64, long_small: f64, short: f64, short_small: f64| {
        let scale = short_small / short;
        (long_small - long * scale).abs() <= 1.0 + scale
    };
    follows(large.0, small.0, large.1, small.1) || follows(large.1, small.1, large.0, small.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{MAIN, Show};

    #[test]
    fn codecs_that_are_others_are_found() {
        let site = Show::new().site();
        let clause = "RFC 8216 4.3.4.2";
        site.clone()
            .edit(MAIN, "avc1.64001e,", "avc1.64001f,")
            .breaks(clause, "the init segments say `avc1.64001e,mp4a.40.2`");
        site.clone()
            .edit(MAIN, ",mp4a.40.2\"", "\"")
            .breaks(clause, "CODECS is `avc1.64001e`");
        site.edit(MAIN, "mp4a.40.2\"", "mp4a.40.2,ec-3\"")
            .breaks(clause, "ec-3");
    }

    #[test]
    fn formats_that_are_not_read_are_compared_by_name() {
        let found = ["hvc1".to_owned()];
        assert!(same_codecs("hvc1.2.4.L123.B0", &found));
        assert!(!same_codecs("hev1.2.4.L123.B0", &found));
        assert!(same_codecs("AVC1.64001E", &["avc1.64001e".to_owned()]));
    }

    #[test]
    fn sizes_that_are_others_are_found() {
        let site = Show::new()
            .site()
            .edit(MAIN, "RESOLUTION=640x360,FRAME", "RESOLUTION=640x362,FRAME");
        site.breaks(
            "RFC 8216 4.3.4.2",
            "RESOLUTION is 640x362, and the sample entry says 640x360",
        );
        site.breaks("RFC 8216 4.3.4.2", "tkhd says 640.00x360.00");
    }

    #[test]
    fn frame_rates_that_are_others_are_found() {
        let site = Show::new().site().edit(MAIN, "FRAME-RATE=30.000", "FRAME-RATE=29.970");
        site.breaks("RFC 8216 4.3.4.2", "FRAME-RATE is 29.97, and the samples make 30.000");
    }

    #[test]
    fn too_many_frames_are_found() {
        let mut show = Show::new();
        show.tracks[0].timescale = 15360 * 3;
        show.site().breaks("Apple 1.19", "90.000 frames a second");
    }

    #[test]
    fn other_aspects_are_found() {
        let mut show = Show::new();
        show.tracks[1].size = (432, 240);
        show.site()
            .breaks("Apple 1.33", "432x240 has the aspect 1.8000, and 640x360 has 1.7778");
        for (large, small) in [
            ((1920, 1080), (426, 240)),
            ((1080, 1920), (240, 426)),
            ((4096, 34), (4096, 34)),
            ((642, 358), (430, 240)),
            ((720, 576), (300, 240)),
        ] {
            assert!(same_aspect(large, small), "{large:?} {small:?}");
        }
        for (large, small) in [
            ((640, 360), (320, 240)),
            ((640, 360), (240, 426)),
            ((1080, 1080), (240, 244)),
        ] {
            assert!(!same_aspect(large, small), "{large:?} {small:?}");
        }
    }
}
