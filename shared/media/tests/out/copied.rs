//! The source's own picture as the highest rung: taken where it can be and nowhere else, unchanged, and followed by all
//! other rungs.

use toktik_media::plan::{Options, Plan, plan};

use crate::stage::Stage;
use crate::units::examined;

const INPUTS: &str = "-f lavfi -i testsrc2=s=640x360:r=30:d=6 -f lavfi -i sine=d=6 -c:a aac -ac 2";
/// What every player takes, with pictures that are shown in another order than they are decoded in.
const COMMON: &str = "-c:v libx264 -preset veryfast -pix_fmt yuv420p -g 60 -keyint_min 60 -sc_threshold 0 \
                      -colorspace bt709 -color_primaries bt709 -color_trc bt709";

async fn planned(stage: &Stage, clip: &str) -> Plan {
    plan(&examined(stage, clip).await, &Options::default())
}

/// Whether the picture is taken of what ffmpeg makes of these arguments.
async fn taken(args: &str, clip: &str) -> bool {
    let stage = Stage::new();
    stage.generate(&format!("{args} {clip}"));
    planned(&stage, clip).await.copied.is_some()
}

#[tokio::test]
async fn what_every_player_takes_is_taken() {
    for common in [
        "",
        "-bf 0",
        "-profile:v baseline",
        "-g 30 -keyint_min 30",
        "-output_ts_offset 0.5",
        "-movflags +faststart",
        "-movflags +frag_keyframe+empty_moov",
        "-force_key_frames 0.5,1.7,3,3.4,5",
    ] {
        assert!(
            taken(&format!("{INPUTS} {COMMON} {common}"), "film.mp4").await,
            "{common}"
        );
    }
}

#[tokio::test]
async fn whatever_is_uncommon_is_encoded() {
    for uncommon in [
        "-g 90 -keyint_min 90",
        "-pix_fmt yuv422p",
        "-pix_fmt yuvj420p",
        "-qp 0",
        "-flags +ildct+ilme -x264-params tff=1",
        "-vf setsar=4/3",
        "-x264-params open-gop=1:bframes=3",
        "-x264-params repeat-headers=1",
        "-vf select='mod(n\\,7)' -fps_mode vfr",
        "-r 120 -g 240",
        "-b:v 6M -maxrate 6M -bufsize 2M -x264-params nal-hrd=cbr",
        "-color_primaries bt2020 -colorspace bt2020nc",
        "-colorspace smpte170m",
        "-s 160x120",
    ] {
        assert!(
            !taken(&format!("{INPUTS} {COMMON} {uncommon}"), "film.mp4").await,
            "{uncommon}"
        );
    }
    assert!(!taken(&format!("{INPUTS} -c:v mpeg4 -g 30"), "film.mp4").await);
    assert!(
        !taken(&format!("{INPUTS} {COMMON}"), "film.mkv").await,
        "samples are not where the listing says"
    );
}

/// An editor that cuts without encoding leaves pictures in the file that are not to be shown.
#[tokio::test]
async fn what_an_edit_list_cuts_away_stays_away() {
    let stage = Stage::new();
    stage.generate(&format!("{INPUTS} {COMMON} film.mp4"));
    assert!(planned(&stage, "film.mp4").await.copied.is_some());
    stage.generate("-ss 1.5 -i film.mp4 -c copy cut.mp4");
    assert!(planned(&stage, "cut.mp4").await.copied.is_none());
}

/// Players of segments do not turn them.
#[tokio::test]
async fn what_is_to_be_turned_is_encoded() {
    let stage = Stage::new();
    stage.generate(&format!("{INPUTS} {COMMON} film.mp4"));
    stage.generate("-i film.mp4 -c copy -metadata:s:v rotate=90 turned.mp4");
    let turned = planned(&stage, "turned.mp4").await;
    assert_eq!((turned.source.video.width, turned.copied), (360, None));
}

/// Times at which a rung can be decoded from.
fn keyframes(stage: &Stage, playlist: &str) -> Vec<String> {
    let entries = "-select_streams v:0 -skip_frame nokey -show_entries frame=pts_time -of csv=p=0";
    stage.lines("ffprobe", &format!("{entries} {playlist}"))
}

fn decoded(stage: &Stage, input: &str) -> Vec<u8> {
    stage.ask(
        "ffmpeg",
        &format!("-i {input} -map 0:v:0 -fps_mode passthrough -f md5 -"),
    )
}

#[tokio::test]
async fn the_picture_is_unchanged_and_all_rungs_follow_it() {
    for (rate, more) in [
        ("30", ""),
        ("30000/1001", "-g 60 -keyint_min 60"),
        ("30", "-output_ts_offset 0.5"),
        ("25", "-g 50 -keyint_min 1 -force_key_frames 0.52,1.72,3,3.4,5"),
        ("60", "-bf 0 -g 120"),
    ] {
        let stage = Stage::new();
        let inputs = INPUTS.replace("r=30", &format!("r={rate}"));
        stage.generate(&format!("{inputs} {COMMON} {more} film.mp4"));
        let plan = planned(&stage, "film.mp4").await;
        assert!(plan.copied.is_some(), "{rate} {more}");
        let made = stage.produce_plan(plan, "film.mp4");
        assert_eq!(
            decoded(&stage, "360p.m3u8"),
            decoded(&stage, "film.mp4"),
            "{rate} {more}"
        );
        let of_the_source = keyframes(&stage, "360p.m3u8");
        assert!(of_the_source.len() >= 3, "{of_the_source:?}");
        assert_eq!(keyframes(&stage, "240p.m3u8"), of_the_source, "{rate} {more}");
        for rung in ["360p.m3u8", "240p.m3u8"] {
            let times = stage.frame_times(rung);
            assert_eq!(times.len() as u64, made.plan.frames);
            for (number, time) in times.iter().enumerate() {
                let off = (time - made.plan.seconds(number as u64)).abs();
                assert!(off < 0.001, "{rate} {more}: frame {number} of {rung} at {time}");
            }
        }
        let segments = |name: &str| -> Vec<f64> {
            let variant = made.manifest.variant(name).unwrap();
            variant.rendition.segments().map(|segment| segment.duration).collect()
        };
        assert_eq!(segments("360p"), segments("240p"), "{rate} {more}");
    }
}
