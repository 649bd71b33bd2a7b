//! Real files of every sort, and what becomes of them.

use std::path::Path;

use tokio_util::sync::CancellationToken;
use toktik_events::{Rejection, RejectionCode};
use toktik_media::probe::{ProbeError, Request, probe};
use toktik_media::process::Limits;
use toktik_media::source::{Fraction, Source};

use crate::clips::{Clips, PICTURE, SOUND};
use crate::process::{plenty, runner};

async fn probed_within(file: &Path, max_duration: f64) -> Result<Source, Rejection> {
    let (budget, cancel) = (plenty(), CancellationToken::new());
    let request = Request {
        file,
        dir: file.parent().expect("a directory"),
        max_duration,
        limits: Limits::default(),
        budget: &budget,
        cancel: &cancel,
    };
    probe(&runner(), request).await.map_err(|error| match error {
        ProbeError::Rejected(rejection) => rejection,
        ProbeError::Failed(error) => panic!("{error}"),
    })
}

async fn accepted(file: &Path) -> Source {
    probed_within(file, 60.0).await.expect("accepted")
}

async fn refused(file: &Path) -> RejectionCode {
    probed_within(file, 60.0).await.expect_err("refused").code
}

#[track_caller]
fn assert_close(measured: f64, expected: f64) {
    assert!((measured - expected).abs() < 0.05, "{measured} instead of {expected}");
}

#[tokio::test]
async fn an_ordinary_clip() {
    let clips = Clips::new();
    let source = accepted(&clips.clip("a.mp4", "-c:v libx264")).await;
    assert_eq!((source.demuxer.as_str(), source.video.codec.as_str()), ("mov", "h264"));
    assert_eq!((source.video.width, source.video.height), (192, 108));
    assert_eq!(
        (source.video.frame_rate, source.video.variable_frame_rate),
        (Fraction::new(25, 1), false)
    );
    assert_close(source.duration, 2.0);
    let audio = source.audio.expect("it has sound");
    assert_eq!((audio.codec.as_str(), audio.stream), ("aac", 1));
}

/// Container, coding, ffmpeg's name of the demuxer; names have nothing to do with it.
#[tokio::test]
async fn containers_are_known_by_content() {
    let rows = [
        ("-c:v libx264 -movflags +frag_keyframe+empty_moov -f mp4", "mov"),
        ("-c:v libx264 -movflags +faststart -f mp4", "mov"),
        ("-c:v prores -c:a pcm_s16le -pix_fmt yuv422p10le -f mov", "mov"),
        ("-c:v h263 -s 176x144 -an -f 3gp", "mov"),
        ("-c:v libx264 -f matroska", "matroska"),
        ("-c:v libvpx -deadline realtime -c:a libopus -f webm", "matroska"),
        ("-c:v libvpx-vp9 -deadline realtime -cpu-used 8 -an -f webm", "matroska"),
        ("-c:v mpeg4 -c:a libmp3lame -f avi", "avi"),
        ("-c:v mjpeg -pix_fmt yuvj420p -c:a pcm_s16le -f avi", "avi"),
        ("-c:v libx264 -f mpegts", "mpegts"),
        ("-c:v libx264 -f mpegts -mpegts_m2ts_mode 1", "mpegts"),
        ("-c:v mpeg2video -c:a mp2 -f vob", "mpeg"),
        ("-c:v flv -ar 44100 -f flv", "flv"),
        ("-c:v libtheora -c:a libvorbis -f ogg", "ogg"),
        ("-c:v wmv2 -c:a wmav2 -f asf", "asf"),
        ("-c:v mpeg2video -ar 48000 -c:a pcm_s16le -f mxf", "mxf"),
        ("-pix_fmt pal8 -c:v gif -an -f gif", "gif"),
        ("-c:v apng -pix_fmt rgb24 -an -f apng", "apng"),
        ("-c:v ffv1 -an -f nut", "nut"),
        ("-c:v libvpx -deadline realtime -an -f ivf", "ivf"),
        ("-an -f yuv4mpegpipe", "yuv4mpegpipe"),
        ("-c:v libx264 -an -f h264", "h264"),
        (
            "-c:v libx265 -preset ultrafast -x265-params log-level=none -an -f hevc",
            "hevc",
        ),
        ("-c:v mpeg1video -an -f mpeg1video", "mpegvideo"),
        ("-c:v mpeg4 -an -f m4v", "m4v"),
    ];
    for (options, demuxer) in rows {
        let clips = Clips::new();
        let source = accepted(&clips.clip("upload.txt", options)).await;
        assert_eq!(source.demuxer, demuxer, "{options}");
        assert!((source.duration - 2.0).abs() < 0.15, "{options}: {}", source.duration);
    }
}

#[tokio::test]
async fn a_turned_clip_is_as_high_as_it_was_wide() {
    let clips = Clips::new();
    clips.silent("flat.mp4", "-c:v libx264");
    clips.ffmpeg("-i flat.mp4 -c copy -metadata:s:v rotate=90 turned.mp4");
    let source = accepted(&clips.path("turned.mp4")).await;
    assert_eq!((source.video.width, source.video.height), (108, 192));
}

#[tokio::test]
async fn pixels_are_made_square() {
    let clips = Clips::new();
    let source = accepted(&clips.silent("a.mp4", "-vf setsar=4/3 -c:v libx264")).await;
    assert_eq!((source.video.width, source.video.height), (256, 108));
}

#[tokio::test]
async fn odd_sides_stay_odd() {
    let clips = Clips::new();
    let source = accepted(&clips.silent("a.mkv", "-vf scale=101:75,setsar=1 -c:v ffv1")).await;
    assert_eq!((source.video.width, source.video.height), (101, 75));
}

#[tokio::test]
async fn a_silent_clip_has_no_sound() {
    let clips = Clips::new();
    assert_eq!(accepted(&clips.silent("a.mp4", "")).await.audio, None);
}

#[tokio::test]
async fn a_variable_rate_is_noticed() {
    let clips = Clips::new();
    let source = accepted(&clips.silent("a.mp4", "-vf select='not(mod(n,3))+lt(n,20)' -vsync vfr -c:v libx264")).await;
    assert!(source.video.variable_frame_rate, "{source:?}");
}

#[tokio::test]
async fn one_frame_of_film_is_a_clip_and_of_gif_a_picture() {
    let clips = Clips::new();
    let source = accepted(&clips.silent("a.mp4", "-frames:v 1")).await;
    assert_close(source.duration, 0.04);
    assert_eq!(
        refused(&clips.silent("a.gif", "-frames:v 1 -pix_fmt pal8")).await,
        RejectionCode::NotAVideo
    );
    assert_eq!(
        refused(&clips.silent("a.apng", "-frames:v 1 -pix_fmt rgb24")).await,
        RejectionCode::NotAVideo
    );
}

#[tokio::test]
async fn a_clip_that_begins_late_is_no_longer_for_it() {
    let clips = Clips::new();
    clips.clip("a.mp4", "-c:v libx264");
    clips.ffmpeg("-i a.mp4 -c copy -output_ts_offset 1000 -copyts late.ts");
    let source = accepted(&clips.path("late.ts")).await;
    assert_close(source.duration, 2.0);
    // Counted from the sound, whose encoder begins a frame early.
    assert!((0.0..0.1).contains(&source.video.start), "{}", source.video.start);
}

/// Two recordings in one file, as cameras and cutters leave them: the clock starts anew in the middle.
#[tokio::test]
async fn joined_recordings_add_up() {
    let clips = Clips::new();
    clips.silent("a.mp4", "-c:v libx264");
    clips.ffmpeg("-i a.mp4 -c copy -output_ts_offset 5000 -copyts one.ts");
    clips.ffmpeg("-i a.mp4 -c copy two.ts");
    let [one, two] = ["one.ts", "two.ts"].map(|name| std::fs::read(clips.path(name)).expect("just made"));
    let source = accepted(&clips.write("both.ts", [one, two].concat())).await;
    assert_close(source.duration, 4.0);
}

#[tokio::test]
async fn too_long_is_said_in_words() {
    let clips = Clips::new();
    clips.ffmpeg("-f lavfi -i color=s=32x32:r=1:d=362 -c:v libx264 -pix_fmt yuv420p long.mp4");
    let file = clips.path("long.mp4");
    let rejection = probed_within(&file, 60.0).await.expect_err("refused");
    assert_eq!(rejection.code, RejectionCode::TooLong);
    assert_eq!(rejection.message, "This clip is 6 min 2 s long; the limit is 60 s.");
    probed_within(&file, 0.0).await.expect("no limit");
    probed_within(&file, 361.5).await.expect("within the grace");
}

/// `mvhd`, `tkhd` and `mdhd` all say a second; the packets say 70.
#[tokio::test]
async fn a_header_that_lies_is_not_believed() {
    let clips = Clips::new();
    clips.ffmpeg("-f lavfi -i color=s=32x32:r=1:d=70 -c:v libx264 -pix_fmt yuv420p honest.mp4");
    let mut bytes = std::fs::read(clips.path("honest.mp4")).expect("just made");
    for (name, place) in [(b"mvhd", 20), (b"tkhd", 24), (b"mdhd", 20)] {
        let at = bytes
            .windows(4)
            .position(|word| word == name)
            .expect("every film has it")
            + place;
        bytes[at..at + 4].copy_from_slice(&1000u32.to_be_bytes());
    }
    let file = clips.write("lies.mp4", bytes);
    assert_eq!(refused(&file).await, RejectionCode::TooLong);
    assert_close(probed_within(&file, 0.0).await.expect("no limit").duration, 70.0);
}

#[tokio::test]
async fn sides_have_bounds() {
    let clips = Clips::new();
    let sized =
        |name: &str, size: &str| clips.silent(name, &format!("-frames:v 2 -vf scale={size},setsar=1 -c:v ffv1"));
    assert_eq!(accepted(&sized("least.mkv", "16:16")).await.video.width, 16);
    assert_eq!(
        refused(&sized("small.mkv", "14:64")).await,
        RejectionCode::DimensionsOutOfRange
    );
    assert_eq!(
        refused(&sized("large.mkv", "8194:16")).await,
        RejectionCode::DimensionsOutOfRange
    );
}

#[tokio::test]
async fn sound_alone_is_no_video() {
    let clips = Clips::new();
    clips.ffmpeg(&format!("-f lavfi -i {SOUND} sound.m4a"));
    assert_eq!(refused(&clips.path("sound.m4a")).await, RejectionCode::NoVideoStream);
    for name in [
        "sound.mp3",
        "sound.wav",
        "sound.flac",
        "sound.opus",
        "sound.mka",
        "sound.aac",
        "sound.wma",
    ] {
        clips.ffmpeg(&format!("-f lavfi -i {SOUND} {name}"));
        assert_eq!(refused(&clips.path(name)).await, RejectionCode::NoVideoStream, "{name}");
    }
}

#[tokio::test]
async fn a_cover_is_no_video() {
    let clips = Clips::new();
    clips.ffmpeg(&format!("-f lavfi -i {PICTURE} -frames:v 1 cover.png"));
    clips.ffmpeg(&format!(
        "-f lavfi -i {SOUND} -i cover.png -map 0 -map 1 -c:v copy -disposition:v attached_pic a.m4a"
    ));
    assert_eq!(refused(&clips.path("a.m4a")).await, RejectionCode::NoVideoStream);
}

#[tokio::test]
async fn what_is_no_video_at_all() {
    let clips = Clips::new();
    assert_eq!(refused(&clips.write("empty.mp4", "")).await, RejectionCode::Empty);
    assert_eq!(
        refused(&clips.write("text.mp4", "not a video")).await,
        RejectionCode::NotAVideo
    );
    assert_eq!(
        refused(&clips.write("junk.mp4", [0xa5; 5000])).await,
        RejectionCode::NotAVideo
    );
    for name in ["picture.png", "picture.jpg", "picture.webp"] {
        clips.ffmpeg(&format!("-f lavfi -i {PICTURE} -frames:v 1 {name}"));
        assert_eq!(refused(&clips.path(name)).await, RejectionCode::NotAVideo, "{name}");
    }
}

#[tokio::test]
async fn a_film_without_its_index_is_corrupt() {
    let clips = Clips::new();
    let bytes = std::fs::read(clips.clip("a.mp4", "-c:v libx264")).expect("just made");
    let half = clips.write("half.mp4", &bytes[..bytes.len() / 2]);
    assert_eq!(refused(&half).await, RejectionCode::Corrupt);
    let bytes = std::fs::read(clips.clip("b.mp4", "-c:v libx264 -movflags +faststart")).expect("just made");
    let end = bytes
        .windows(4)
        .position(|word| word == b"mdat")
        .expect("every film has it");
    let none = clips.write("none.mp4", &bytes[..end]);
    assert_eq!(refused(&none).await, RejectionCode::Corrupt);
}

#[tokio::test]
async fn a_protected_film_is_refused_wherever_its_index_is() {
    let clips = Clips::new();
    clips.clip("a.mp4", "-c:v libx264");
    let key = "00112233445566778899aabbccddeeff";
    for (name, flags) in [("end.mp4", ""), ("front.mp4", "-movflags +faststart")] {
        clips.ffmpeg(&format!(
            "-i a.mp4 -c copy {flags} -encryption_scheme cenc-aes-ctr -encryption_key {key} -encryption_kid {key} {name}"
        ));
        assert_eq!(refused(&clips.path(name)).await, RejectionCode::Encrypted, "{name}");
    }
}

#[tokio::test]
async fn an_exotic_codec_is_named() {
    let clips = Clips::new();
    let file = clips.silent("a.mov", "-pix_fmt rgb24 -c:v sgi");
    let rejection = probed_within(&file, 60.0).await.expect_err("refused");
    assert_eq!(rejection.code, RejectionCode::UnsupportedCodec);
    assert!(rejection.message.contains("sgi"), "{}", rejection.message);
}

/// Its sound says that it is of a kind (USAC, object type 42) that this ffmpeg cannot decode.
#[tokio::test]
async fn sound_that_nobody_can_open_does_not_cost_the_picture() {
    let clips = Clips::new();
    let mut bytes = std::fs::read(clips.clip("a.mp4", "-c:v libx264 -c:a aac")).expect("just made");
    let esds = bytes.windows(4).position(|kind| kind == b"esds").expect("AAC has one");
    // The decoder's own description: tag 5, four bytes of length; its first five bits are the object type.
    let tag = bytes[esds..]
        .iter()
        .position(|byte| *byte == 0x05)
        .expect("it is described");
    let description = esds + tag + 5;
    bytes[description..description + 2].copy_from_slice(&[0b1111_1001, 0b0100_0110]);
    let source = accepted(&clips.write("b.mp4", &bytes)).await;
    assert_eq!((source.video.codec.as_str(), source.audio), ("h264", None));
    assert_close(source.duration, 2.0);
}

/// Subtitles, chapters and a second picture beside the film.
#[tokio::test]
async fn what_lies_beside_the_film_is_ignored() {
    let clips = Clips::new();
    clips.clip("a.mp4", "-c:v libx264");
    clips.write("text.srt", "1\n00:00:00,000 --> 00:00:01,000\nHello\n\n");
    clips.ffmpeg(&format!("-f lavfi -i {PICTURE} -frames:v 1 cover.png"));
    clips.ffmpeg("-i a.mp4 -i text.srt -c copy -c:s mov_text subtitles.mp4");
    clips.ffmpeg("-i a.mp4 -i text.srt -c copy -c:s ass subtitles.mkv");
    clips.ffmpeg("-i a.mp4 -i cover.png -map 1 -map 0 -c copy -disposition:v:0 attached_pic cover.mp4");
    for name in ["subtitles.mp4", "subtitles.mkv", "cover.mp4"] {
        let source = accepted(&clips.path(name)).await;
        assert_eq!(source.video.codec, "h264", "{name}");
        assert!(source.audio.is_some(), "{name}");
    }
}

#[tokio::test]
async fn playlists_are_refused_whatever_they_are_called() {
    let clips = Clips::new();
    let secret = clips.silent("secret.ts", "-c:v libx264");
    let (name, path) = ("upload.mp4", secret.display());
    for playlist in [
        format!("#EXTM3U\n#EXTINF:2,\n{path}\n#EXT-X-ENDLIST\n"),
        format!("ffconcat version 1.0\nfile {path}\n"),
        "<MPD xmlns='urn:mpeg:dash:schema:mpd:2011'/>".to_owned(),
    ] {
        assert_eq!(
            refused(&clips.write(name, playlist)).await,
            RejectionCode::ForbiddenFormat
        );
    }
}

#[tokio::test]
async fn a_file_that_is_missing_is_no_verdict_on_the_clip() {
    let clips = Clips::new();
    let (budget, cancel) = (plenty(), CancellationToken::new());
    let request = Request {
        file: &clips.path("none"),
        dir: clips.dir(),
        max_duration: 60.0,
        limits: Limits::default(),
        budget: &budget,
        cancel: &cancel,
    };
    assert!(matches!(probe(&runner(), request).await, Err(ProbeError::Failed(_))));
}
