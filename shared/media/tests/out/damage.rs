//! Clips whose data is overwritten with zeros from some point on.

use toktik_media::encode::{self, Reading};
use toktik_media::plan::{Options, plan};
use toktik_media::source::Fraction;

use crate::clip;
use crate::stage::Stage;

/// Exit code of a run on a clip of which this share is left, by bytes; every frame is a keyframe of equal size.
fn exit_code(left: f64) -> Option<i32> {
    let stage = Stage::new();
    stage.generate("-f lavfi -i testsrc2=s=320x240:r=30:d=2 -c:v mpeg4 -g 1 -b:v 2M -movflags +faststart clip.mp4");
    let path = stage.path().join("clip.mp4");
    let mut bytes = std::fs::read(&path).unwrap();
    let mdat = bytes.windows(4).position(|name| name == b"mdat").unwrap() + 4;
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        clippy::cast_precision_loss
    )]
    let kept = ((bytes.len() - mdat) as f64 * left) as usize;
    bytes[mdat + kept..].fill(0);
    std::fs::write(&path, bytes).unwrap();
    let plan = plan(&clip::silent(320, 240, 2.0, Fraction::new(30, 1)), &Options::default());
    let output = stage.try_ffmpeg(&encode::unit_runs(&plan, &plan.units[0], Reading::Near, "clip.mp4")[0]);
    if output.status.success() {
        assert_eq!(stage.frame_times("240p.mp4").len(), 60);
    }
    output.status.code()
}

#[test]
fn what_decodes_for_the_most_part_is_good_enough() {
    assert_eq!(exit_code(0.7), Some(0));
}

#[test]
fn what_fails_for_the_most_part_is_corrupt() {
    assert_eq!(exit_code(0.3), Some(encode::CORRUPT));
}

#[test]
fn what_does_not_decode_at_all_fails() {
    assert_ne!(exit_code(0.0), Some(0));
}
