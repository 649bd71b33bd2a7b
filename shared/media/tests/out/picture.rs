//! What the picture looks like: orientation, size, colour, and what it may cost.

use toktik_media::source::{Fraction, Source, Transfer};

use crate::clip;
use crate::stage::{Made, Stage};

const STREAM: &str =
    "codec_name,profile,width,height,pix_fmt,level,color_range,color_space,color_transfer,color_primaries,refs";

fn thirty() -> Fraction {
    Fraction::new(30, 1)
}

fn streams(stage: &Stage, name: &str) -> String {
    stage
        .lines(
            "ffprobe",
            &format!("-show_entries stream={STREAM} -of csv=p=0 -i {name}.m3u8"),
        )
        .remove(0)
}

#[test]
fn a_rendition_says_what_it_is() {
    let stage = Stage::new();
    stage.generate("-f lavfi -i testsrc2=s=640x360:r=30:d=2 -c:v libx264 -metadata title=secret clip.mp4");
    let made = stage.produce(&clip::silent(640, 360, 2.0, thirty()), "clip.mp4");
    assert_eq!(
        streams(&stage, "360p"),
        "h264,High,640,360,yuv420p,30,tv,bt709,bt709,bt709,1"
    );
    assert_eq!(made.manifest.variants[0].rendition.codecs, "avc1.64001e");
    for file in ["video-0/360p/init.mp4", "video-0/360p/00000.m4s"] {
        let bytes = std::fs::read(stage.path().join(file)).unwrap();
        let text = String::from_utf8_lossy(&bytes);
        for word in ["secret", "x264 - core", "Lavf"] {
            assert!(!text.contains(word), "{word} in {file}");
        }
    }
}

#[test]
fn rotation_is_baked_in() {
    let stage = Stage::new();
    stage.generate(
        "-f lavfi -i color=white:s=480x270:r=30:d=1,drawbox=x=240:w=240:h=270:c=black:t=fill -c:v libx264 flat.mp4",
    );
    stage.generate("-i flat.mp4 -c copy -metadata:s:v:0 rotate=90 clip.mp4");
    stage.produce(&clip::silent(270, 480, 1.0, thirty()), "clip.mp4");
    let matrix = stage.lines(
        "ffprobe",
        "-show_entries stream=width,height:stream_side_data_list -of csv=p=0 -i 240p.m3u8",
    );
    assert!(matrix.iter().all(|line| line == "240,426"), "{matrix:?}");
    // ffmpeg writes this as a quarter turn to the left, which puts the white left half at the bottom.
    assert!(stage.luma("240p.m3u8", "iw:ih/3:0:0")[0] < 40);
    assert!(stage.luma("240p.m3u8", "iw:ih/3:0:2*ih/3")[0] > 200);
}

#[test]
fn odd_sides_become_even() {
    let stage = Stage::new();
    stage.generate("-f lavfi -i testsrc2=s=161x91:r=30:d=1 -pix_fmt yuv444p -c:v ffv1 clip.mkv");
    let mut source = clip::silent(161, 91, 1.0, thirty());
    "matroska".clone_into(&mut source.demuxer);
    "yuv444p".clone_into(&mut source.video.pixel_format);
    stage.produce(&source, "clip.mkv");
    assert!(
        streams(&stage, "90p").starts_with("h264,High,160,90,yuv420p,"),
        "{}",
        streams(&stage, "90p")
    );
}

#[test]
fn the_smallest_and_the_widest() {
    for (width, height, name) in [(16, 16, "16p"), (1024, 16, "16p"), (16, 300, "16p")] {
        let stage = Stage::new();
        stage.generate(&format!(
            "-f lavfi -i testsrc2=s={width}x{height}:r=30:d=1 -c:v ffv1 clip.mkv"
        ));
        let mut source = clip::silent(width, height, 1.0, thirty());
        "matroska".clone_into(&mut source.demuxer);
        stage.produce(&source, "clip.mkv");
        assert!(streams(&stage, name).starts_with(&format!("h264,High,{width},{height},")));
    }
}

/// A clip of one colour, encoded in this matrix and range.
fn colored(stage: &Stage, color: &str, size: &str, scale: &str, tags: &str) {
    stage.generate(&format!(
        "-f lavfi -i color={color}:s={size}:r=30:d=1,format=gbrp,scale={scale},format=yuv420p -c:v libx264 -qp 0 {tags} clip.mp4"
    ));
}

fn check_color(stage: &Stage, source: &Source, expected: [u8; 3]) -> Made {
    let made = stage.produce(source, "clip.mp4");
    let top = format!("{}.m3u8", made.plan.rungs[0].name);
    let color = stage.color(&top);
    let off = color.iter().zip(expected).map(|(one, other)| one.abs_diff(other)).max();
    assert!(off <= Some(6), "{color:?}");
    made
}

#[test]
fn bt601_becomes_bt709() {
    let stage = Stage::new();
    colored(
        &stage,
        "0xc04020",
        "320x240",
        "out_color_matrix=bt601:out_range=tv",
        "-colorspace smpte170m",
    );
    let mut source = clip::silent(320, 240, 1.0, thirty());
    source.video.color_space = Some("smpte170m".to_owned());
    check_color(&stage, &source, [0xc0, 0x40, 0x20]);
}

#[test]
fn untagged_high_definition_is_bt709() {
    let stage = Stage::new();
    colored(
        &stage,
        "0xc04020",
        "1280x720",
        "out_color_matrix=bt709:out_range=tv",
        "",
    );
    check_color(&stage, &clip::silent(1280, 720, 1.0, thirty()), [0xc0, 0x40, 0x20]);
}

#[test]
fn full_range_becomes_limited() {
    let stage = Stage::new();
    colored(
        &stage,
        "0xf0f0f0",
        "320x240",
        "out_color_matrix=bt709:out_range=pc",
        "-colorspace bt709 -color_range pc",
    );
    let mut source = clip::silent(320, 240, 1.0, thirty());
    source.video.color_space = Some("bt709".to_owned());
    source.video.color_range = Some("pc".to_owned());
    check_color(&stage, &source, [0xf0, 0xf0, 0xf0]);
    assert!(streams(&stage, "240p").contains(",tv,bt709,"));
}

#[test]
fn rgb_becomes_bt709() {
    let stage = Stage::new();
    stage.generate("-f lavfi -i color=0xc04020:s=320x240:r=30:d=1 -pix_fmt gbrp -c:v libx264rgb clip.mp4");
    let mut source = clip::silent(320, 240, 1.0, thirty());
    source.video.pixel_format = "gbrp".to_owned();
    check_color(&stage, &source, [0xc0, 0x40, 0x20]);
}

fn high_dynamic_range(transfer: Transfer, name: &str, white: u32) {
    let stage = Stage::new();
    stage.generate(&format!(
        "-f lavfi -i color=black:s=320x180:r=30:d=1,format=yuv420p10le,geq=lum={white}:cb=512:cr=512 -pix_fmt yuv420p10le \
         -c:v libx265 -x265-params log-level=error:colorprim=bt2020:transfer={name}:colormatrix=bt2020nc \
         -color_primaries bt2020 -color_trc {name} -colorspace bt2020nc -tag:v hvc1 clip.mp4"
    ));
    let mut source = clip::silent(320, 180, 1.0, thirty());
    source.video.transfer = transfer;
    "yuv420p10le".clone_into(&mut source.video.pixel_format);
    source.video.color_space = Some("bt2020nc".to_owned());
    stage.produce(&source, "clip.mp4");
    assert!(streams(&stage, "180p").starts_with("h264,High,320,180,yuv420p,"));
    assert!(streams(&stage, "180p").contains(",tv,bt709,bt709,bt709,"));
    // Diffuse white (203 cd/m2, ITU-R BT.2408) is bright, and below the brightest.
    let [red, green, blue] = stage.color("180p.m3u8");
    assert!((150..=245).contains(&green), "{green}");
    assert!(
        red.abs_diff(green) <= 3 && blue.abs_diff(green) <= 3,
        "{red} {green} {blue}"
    );
}

#[test]
fn pq_is_tone_mapped() {
    high_dynamic_range(Transfer::Pq, "smpte2084", 572);
}

#[test]
fn hlg_is_tone_mapped() {
    high_dynamic_range(Transfer::Hlg, "arib-std-b67", 721);
}

/// Noise costs whatever it may.
fn check_cellular(rate: u32) {
    let stage = Stage::new();
    stage.generate(&format!(
        "-f lavfi -i testsrc2=s=426x240:r={rate}:d=9,noise=alls=60:allf=t -f lavfi -i anoisesrc=d=9:a=0.5 \
         -c:v libx264 -preset ultrafast -c:a pcm_s16le clip.mkv"
    ));
    let mut source = clip::source(426, 240, 9.0);
    "matroska".clone_into(&mut source.demuxer);
    source.video.frame_rate = Fraction::new(rate, 1);
    let made = stage.produce(&source, "clip.mkv");
    let bandwidth = made.manifest.bandwidth(&made.manifest.variants[0]);
    assert!(bandwidth <= 192_000, "{bandwidth}");
}

#[test]
fn the_lowest_rung_fits_a_cellular_network() {
    check_cellular(30);
}

#[test]
fn so_it_does_at_60_frames_a_second() {
    check_cellular(60);
}
