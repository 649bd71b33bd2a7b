//! The download.

use toktik_media::encode;

use crate::clip;
use crate::stage::Stage;

#[test]
fn a_download_has_both_tracks_from_zero_and_starts_with_its_index() {
    let stage = Stage::new();
    stage.generate(
        "-f lavfi -i testsrc2=s=640x360:r=30:d=3 -f lavfi -i sine=d=3 -c:v libx264 -metadata title=secret clip.mp4",
    );
    let made = stage.produce(&clip::source(640, 360, 3.0), "clip.mp4");
    stage.joined(&made.manifest.variants[0].rendition, "video.mp4");
    stage.joined(&made.manifest.sounds[0].rendition, "sound.mp4");
    stage.ffmpeg(&encode::download_args("video.mp4", Some("sound.mp4")));
    let streams = stage.lines(
        "ffprobe",
        &format!(
            "-show_entries stream=codec_name,start_time,nb_frames -of csv=p=0 {}",
            encode::DOWNLOAD
        ),
    );
    assert_eq!(streams, ["h264,0.000000,90", "aac,0.000000,141"]);
    let bytes = std::fs::read(stage.path().join(encode::DOWNLOAD)).unwrap();
    let at = |name: &[u8]| bytes.windows(4).position(|bytes| bytes == name);
    assert!(at(b"moov") < at(b"mdat"));
    assert!(!String::from_utf8_lossy(&bytes).contains("secret"));
    assert_eq!(stage.frame_times(encode::DOWNLOAD).len(), 90);
}

#[test]
fn a_silent_download() {
    let stage = Stage::new();
    stage.generate("-f lavfi -i testsrc2=s=320x240:r=30:d=1 -c:v libx264 clip.mp4");
    let made = stage.produce(
        &clip::silent(320, 240, 1.0, toktik_media::source::Fraction::new(30, 1)),
        "clip.mp4",
    );
    stage.joined(&made.manifest.variants[0].rendition, "video.mp4");
    stage.ffmpeg(&encode::download_args("video.mp4", None));
    assert_eq!(stage.frame_times(encode::DOWNLOAD).len(), 30);
}
