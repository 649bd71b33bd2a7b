//! The colours a viewer sees, whatever the source's matrix, range, depth or transfer.
//!
//! The source is one frame of eight patches, painted here in 16-bit RGB and coded by ffmpeg.

use std::path::Path;

use super::player::{Picture, Rgb, off, watch};
use super::{Ended, end, made};

/// Red, green and blue from 0 to 1, as they are stored: with the transfer function applied.
type Color = [f64; 3];

/// Four in a row, two rows.
type Patches = [Color; 8];

const BLACK: usize = 0;
const GREY: usize = 1;
const WHITE: usize = 2;
const RED: usize = 3;
const GREEN: usize = 4;
const BLUE: usize = 5;
const SKIN: usize = 6;
const LAST: usize = 7;

/// What is painted, unless it has to be HDR. The last is cyan.
const PATCHES: Patches = [
    [0.0, 0.0, 0.0],
    [0.5, 0.5, 0.5],
    [1.0, 1.0, 1.0],
    [1.0, 0.0, 0.0],
    [0.0, 1.0, 0.0],
    [0.0, 0.0, 1.0],
    [0.85, 0.6, 0.45],
    [0.0, 0.7, 0.7],
];

/// Of 255, through two conversions to YCbCr and the rungs' compression.
const TOLERANCE: u8 = 6;
/// Of another color space's primaries: a thousandth of full light is 14 steps above black.
const WIDE_TOLERANCE: u8 = 24;

/// The middle of a patch, each coordinate from 0 to 1.
fn place(patch: usize) -> (f64, f64) {
    let column = f64::from(u32::try_from(patch % 4).unwrap());
    ((column + 0.5) / 4.0, if patch < 4 { 0.25 } else { 0.75 })
}

/// Arguments that read these patches, as one frame.
fn painted(directory: &Path, (width, height): (usize, usize), patches: &Patches) -> String {
    let file = directory.join("painted.rgb");
    let patch = |x: usize, y: usize| patches[x * 4 / width + y * 2 / height * 4];
    let pixels = (0..height).flat_map(|y| (0..width).map(move |x| (x, y)));
    let values = pixels.flat_map(|(x, y)| patch(x, y));
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "from 0 to 1")]
    let bytes: Vec<u8> = values
        .flat_map(|value| ((value * 65535.0).round() as u16).to_le_bytes())
        .collect();
    std::fs::write(&file, bytes).unwrap();
    format!(
        "-f rawvideo -pix_fmt rgb48le -video_size {width}x{height} -framerate 25 -i {}",
        file.display()
    )
}

const SMALL: (usize, usize) = (320, 240);
const HIGH_DEFINITION: (usize, usize) = (1280, 720);

/// Without the shortcuts that make chroma of RGB inexact.
const EXACT: &str = "flags=accurate_rnd+full_chroma_inp+full_chroma_int";

/// A clip of these patches, through this filter and encoder.
async fn coded(name: &str, size: (usize, usize), patches: &Patches, filter: &str, codec: &str) -> Ended {
    let directory = tempfile::tempdir().unwrap();
    let input = painted(directory.path(), size, patches);
    let arguments = format!("{input} -vf loop=5:1,{filter} {codec}");
    end(made(directory.path(), name, &arguments)).await.ready()
}

fn expected(patch: usize) -> Rgb {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "from 0 to 1")]
    PATCHES[patch].map(|value| (value * 255.0).round() as u8)
}

fn seen(picture: &Picture) -> Vec<Rgb> {
    (0..8).map(place).map(|(x, y)| picture.color(x, y)).collect()
}

/// The colors in the video, which the poster shows alike.
async fn colors(ended: &Ended, tolerance: u8) -> Vec<Rgb> {
    let colors = seen(watch(ended).await.at(0.2));
    let poster = seen(&ended.poster().await);
    let alike = colors
        .iter()
        .zip(&poster)
        .all(|(video, poster)| off(*video, *poster) <= tolerance);
    assert!(alike, "the poster shows {poster:?}, the video {colors:?}");
    colors
}

/// Asserts that these patches come out as they were painted.
async fn check_patches(ended: Ended, patches: &[usize], tolerance: u8) {
    let colors = colors(&ended, tolerance).await;
    for patch in patches {
        let (color, expected) = (colors[*patch], expected(*patch));
        assert!(
            off(color, expected) <= tolerance,
            "patch {patch} is {color:?}, expected {expected:?}"
        );
    }
}

const ALL: [usize; 8] = [BLACK, GREY, WHITE, RED, GREEN, BLUE, SKIN, LAST];

/// The patches in this matrix, range and pixel format.
async fn check(name: &str, size: (usize, usize), conversion: (&str, &str, &str), codec: &str) {
    let (matrix, range, format) = conversion;
    let filter = format!("scale=out_color_matrix={matrix}:out_range={range}:{EXACT},format={format}");
    let ended = coded(name, size, &PATCHES, &filter, codec).await;
    check_patches(ended, &ALL, TOLERANCE).await;
}

/// As good as lossless.
const H264: &str = "-c:v libx264 -preset ultrafast -qp 4";
const H265: &str = "-c:v libx265 -preset ultrafast -crf 4 -x265-params log-level=error";

async fn check_h264(size: (usize, usize), conversion: (&str, &str, &str), tags: &str) {
    check("clip.mp4", size, conversion, &format!("{H264} {tags}")).await;
}

const BT709: &str = "-colorspace bt709 -color_primaries bt709 -color_trc bt709";

#[tokio::test(flavor = "multi_thread")]
async fn bt709() {
    check_h264(SMALL, ("bt709", "tv", "yuv420p"), BT709).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn bt601_of_ntsc() {
    let tags = "-colorspace smpte170m -color_primaries smpte170m -color_trc smpte170m";
    check_h264(SMALL, ("bt601", "tv", "yuv420p"), tags).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn bt601_of_pal() {
    let tags = "-colorspace bt470bg -color_primaries bt470bg -color_trc smpte170m";
    check_h264(SMALL, ("bt601", "tv", "yuv420p"), tags).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn bt601_in_high_definition() {
    let tags = "-colorspace smpte170m -color_primaries smpte170m -color_trc smpte170m";
    check_h264(HIGH_DEFINITION, ("bt601", "tv", "yuv420p"), tags).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn untagged_standard_definition_is_bt601() {
    check_h264(SMALL, ("bt601", "tv", "yuv420p"), "").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn untagged_high_definition_is_bt709() {
    check_h264(HIGH_DEFINITION, ("bt709", "tv", "yuv420p"), "").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn untagged_high_definition_is_bt709_in_portrait() {
    check_h264((720, 1280), ("bt709", "tv", "yuv420p"), "").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn smpte_240m() {
    let tags = "-colorspace smpte240m -color_primaries smpte240m -color_trc smpte240m";
    check_h264(SMALL, ("smpte240m", "tv", "yuv420p"), tags).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_screen_recorders_srgb() {
    let tags = "-colorspace bt709 -color_primaries bt709 -color_trc iec61966-2-1";
    check_h264(SMALL, ("bt709", "tv", "yuv420p"), tags).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn full_range() {
    check_h264(SMALL, ("bt709", "pc", "yuvj420p"), &format!("{BT709} -color_range pc")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn full_range_of_bt601() {
    let tags = "-colorspace smpte170m -color_primaries bt709 -color_trc smpte170m -color_range pc";
    check_h264(SMALL, ("bt601", "pc", "yuvj420p"), tags).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn full_range_of_jpegs() {
    check("clip.avi", SMALL, ("bt601", "pc", "yuvj422p"), "-c:v mjpeg -q:v 1").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn full_range_in_10_bits() {
    let codec = format!("{H265}:range=full {BT709} -color_range pc -tag:v hvc1");
    check("clip.mp4", SMALL, ("bt709", "pc", "yuv420p10le"), &codec).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn ten_bits() {
    check_h264(SMALL, ("bt709", "tv", "yuv420p10le"), BT709).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn twelve_bits() {
    check(
        "clip.mp4",
        SMALL,
        ("bt709", "tv", "yuv420p12le"),
        &format!("{H265} {BT709}"),
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn half_the_chroma() {
    check_h264(SMALL, ("bt709", "tv", "yuv422p"), BT709).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn half_the_chroma_in_10_bits() {
    // ProRes takes its tags from the frames.
    let format = "yuv422p10le,setparams=colorspace=bt709:color_primaries=bt709:color_trc=bt709";
    let codec = "-c:v prores_ks -profile:v hq -qscale:v 2";
    check("clip.mov", SMALL, ("bt709", "tv", format), codec).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn all_of_the_chroma() {
    check_h264(SMALL, ("bt709", "tv", "yuv444p"), BT709).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_quarter_of_the_chroma() {
    check("clip.mkv", SMALL, ("bt601", "tv", "yuv410p"), "-c:v ffv1").await;
}

async fn check_rgb(name: &str, format: &str, codec: &str) {
    let ended = coded(name, SMALL, &PATCHES, &format!("format={format}"), codec).await;
    check_patches(ended, &ALL, TOLERANCE).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn rgb_in_h264() {
    check_rgb("clip.mp4", "gbrp", "-c:v libx264rgb -preset ultrafast -qp 0").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn rgb_in_high_definition_too() {
    let codec = "-c:v libx264rgb -preset ultrafast -qp 0";
    let ended = coded("clip.mkv", HIGH_DEFINITION, &PATCHES, "format=gbrp", codec).await;
    check_patches(ended, &ALL, TOLERANCE).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn rgb_in_png() {
    check_rgb("clip.mov", "rgb24", "-c:v png").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn rgb_with_opacity() {
    check_rgb("clip.mov", "rgba", "-c:v png").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn rgb_in_16_bits() {
    check_rgb("clip.mov", "rgb48be", "-c:v png").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn rgb_in_10_bits() {
    check_rgb("clip.mkv", "gbrp10le", "-c:v ffv1").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn rgb_without_compression() {
    check_rgb("clip.nut", "bgr0", "-c:v rawvideo").await;
}

/// Grey patches in this format.
async fn check_grey(name: &str, filter: &str, codec: &str) {
    let ended = coded(name, SMALL, &PATCHES, filter, codec).await;
    check_patches(ended, &[BLACK, GREY, WHITE], TOLERANCE).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn grey_in_h264() {
    // Limited range, as of any H.264 that does not say otherwise.
    let filter = format!("scale=out_color_matrix=bt709:out_range=tv:{EXACT},format=yuv444p,extractplanes=y");
    check_grey("clip.mp4", &filter, H264).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn grey_of_full_range_in_h264() {
    let filter = format!("scale=out_color_matrix=bt709:out_range=pc:{EXACT},format=yuvj444p,extractplanes=y");
    check_grey("clip.mp4", &filter, &format!("{H264} -color_range pc")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn grey_in_png() {
    check_grey("clip.mov", "format=gray", "-c:v png").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn grey_in_jpegs() {
    check_grey("clip.avi", "format=gray", "-c:v mjpeg -q:v 1").await;
}

/// Rows of a matrix from linear BT.709 to linear BT.2020 (ITU-R BT.2087).
const WIDER: [Color; 3] = [
    [0.6274, 0.3293, 0.0433],
    [0.0691, 0.9195, 0.0114],
    [0.0164, 0.0880, 0.8956],
];

fn widened(color: Color) -> Color {
    WIDER.map(|row| (0..3).map(|channel| row[channel] * color[channel]).sum())
}

/// Light on a display, from 0 to 1 (ITU-R BT.1886), as the conversion of BT.2087 goes by it.
const GAMMA: f64 = 2.4;

fn light(color: Color) -> Color {
    color.map(|value| value.powf(GAMMA))
}

const BT2020: &str = "-color_primaries bt2020 -colorspace bt2020nc";

#[tokio::test(flavor = "multi_thread")]
async fn bt2020_without_hdr() {
    let patches = PATCHES.map(|color| widened(light(color)).map(|light| light.powf(1.0 / GAMMA)));
    let filter = format!("scale=out_color_matrix=bt2020:out_range=tv:{EXACT},format=yuv420p10le");
    let codec =
        format!("{H265}:colorprim=bt2020:transfer=bt2020-10:colormatrix=bt2020nc {BT2020} -color_trc bt2020-10");
    let ended = coded("clip.mp4", SMALL, &patches, &filter, &codec).await;
    check_patches(ended, &ALL, WIDE_TOLERANCE).await;
}

/// cd/m2 of white paper, of a card that reflects 18%, and of a highlight (ITU-R BT.2408).
const DIFFUSE_WHITE: f64 = 203.0;
const CARD: f64 = 26.0;
const HIGHLIGHT: f64 = 1000.0;

/// The patches in cd/m2, in BT.2020. Grey is the card, and the last patch is the highlight.
fn lit() -> Patches {
    let mut patches = PATCHES.map(|color| light(color).map(|light| light * DIFFUSE_WHITE));
    patches[GREY] = [CARD; 3];
    patches[LAST] = [HIGHLIGHT; 3];
    patches.map(widened)
}

/// SMPTE ST 2084.
fn coded_pq(light: f64) -> f64 {
    let power = (light.max(0.0) / 10_000.0).powf(0.159_301_757_812_5);
    ((0.835_937_5 + 18.851_562_5 * power) / (1.0 + 18.687_5 * power)).powf(78.843_75)
}

/// ARIB STD-B67 on a display of 1000 cd/m2, whose system gamma is 1.2.
fn coded_hlg(color: Color) -> Color {
    let display = color.map(|light| (light / 1000.0).max(0.0));
    let luminance = 0.2627 * display[0] + 0.6780 * display[1] + 0.0593 * display[2];
    let scene = display.map(|light| light * luminance.max(1e-9).powf(-0.2 / 1.2));
    scene.map(|light| {
        if light <= 1.0 / 12.0 {
            (3.0 * light).sqrt()
        } else {
            0.178_832_77 * (12.0 * light - 0.284_668_92).ln() + 0.559_910_73
        }
    })
}

/// Hue in degrees, and saturation from 0 to 1.
fn hue(color: Rgb) -> (f64, f64) {
    let [red, green, blue] = color.map(f64::from);
    let (most, least) = (red.max(green).max(blue), red.min(green).min(blue));
    let hue = (1.732_050_8 * (green - blue))
        .atan2(2.0 * red - green - blue)
        .to_degrees();
    (hue, (most - least) / most.max(1.0))
}

/// Asserts what a viewer takes for granted: paper is bright but not blown out, greys are grey, a red thing is red.
async fn check_hdr(ended: Ended) {
    let colors = colors(&ended, TOLERANCE).await;
    for patch in [BLACK, GREY, WHITE, LAST] {
        let grey = colors[patch][1];
        assert!(
            off(colors[patch], [grey; 3]) <= 3,
            "patch {patch} is tinted: {colors:?}"
        );
    }
    let [black, card, white, highlight] = [BLACK, GREY, WHITE, LAST].map(|patch| colors[patch][1]);
    assert!(black <= 12, "black: {colors:?}");
    assert!((75..=150).contains(&card), "card: {colors:?}");
    assert!((180..=245).contains(&white), "white: {colors:?}");
    assert!(highlight >= white.saturating_add(8), "highlight: {colors:?}");
    for (patch, expected) in [(RED, 0.0), (GREEN, 120.0), (BLUE, -120.0)] {
        let (hue, saturation) = hue(colors[patch]);
        assert!(
            (hue - expected).abs() < 12.0,
            "hue of patch {patch} is {hue}: {colors:?}"
        );
        assert!(
            saturation > 0.7,
            "saturation of patch {patch} is {saturation}: {colors:?}"
        );
    }
    let (hue, saturation) = hue(colors[SKIN]);
    assert!(
        (10.0..=40.0).contains(&hue) && (0.2..0.75).contains(&saturation),
        "skin: {colors:?}"
    );
}

/// The lit patches in this format and codec.
async fn check_lit(name: &str, patches: &Patches, codec: &str) {
    let filter = format!("scale=out_color_matrix=bt2020:out_range=tv:{EXACT},format=yuv420p10le");
    check_hdr(coded(name, SMALL, patches, &filter, codec).await).await;
}

fn h265(transfer: &str) -> String {
    format!(
        "{H265}:colorprim=bt2020:transfer={transfer}:colormatrix=bt2020nc {BT2020} -color_trc {transfer} -tag:v hvc1"
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn pq_in_hevc() {
    check_lit("clip.mp4", &lit().map(|color| color.map(coded_pq)), &h265("smpte2084")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn hlg_in_hevc() {
    check_lit("clip.mov", &lit().map(coded_hlg), &h265("arib-std-b67")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn pq_in_vp9() {
    let codec = format!(
        "-c:v libvpx-vp9 -deadline realtime -cpu-used 8 -crf 10 -b:v 0 {BT2020} -color_trc smpte2084 -color_range tv"
    );
    check_lit("clip.webm", &lit().map(|color| color.map(coded_pq)), &codec).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn pq_in_av1() {
    let codec = format!("-c:v libsvtav1 -preset 12 -crf 10 {BT2020} -color_trc smpte2084 -color_range tv");
    check_lit("clip.mp4", &lit().map(|color| color.map(coded_pq)), &codec).await;
}
