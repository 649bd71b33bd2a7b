//! Size and orientation: what was up stays up, what was in a corner stays in it.

use super::player::{BLUE, CORNERS, GREEN, Player, RED, Rgb, YELLOW, film, float, watch};
use super::{Ended, end, end_of, made};

/// Of H.264, MPEG and JPEG at decent quality: the film's corners are pure colors, the hardest there are.
const TOLERANCE: u8 = 16;

/// What is large is taken for BT.709.
const BT709: &str = "-vf scale=out_color_matrix=bt709:out_range=tv";

/// All rungs of a picture of 16:9.
const FROM_1080: [(u32, u32); 5] = [(1920, 1080), (1280, 720), (854, 480), (640, 360), (426, 240)];

const H264: &str = "-c:v libx264 -preset ultrafast -crf 12 -pix_fmt yuv420p";

/// Asserts these rungs, highest first, and the film's corners where they were, also on the poster.
async fn check(ended: Ended, sizes: &[(u32, u32)]) -> Player {
    check_turned(ended, sizes, CORNERS).await
}

async fn check_turned(ended: Ended, sizes: &[(u32, u32)], corners: [Rgb; 4]) -> Player {
    let ended = ended.ready();
    let player = watch(&ended).await;
    assert_eq!(player.sizes(), sizes);
    // Where a corner is four pixels wide, its neighbours shine in.
    let tolerance = if sizes[0].0.min(sizes[0].1) < 32 {
        3 * TOLERANCE
    } else {
        TOLERANCE
    };
    player.frames[0].assert_corners(corners, tolerance);
    let poster = ended.poster().await;
    poster.assert_corners(corners, tolerance);
    let ratio = |width: f64, height: f64| width / height;
    let (top, poster) = (
        ratio(f64::from(sizes[0].0), f64::from(sizes[0].1)),
        ratio(float(poster.width), float(poster.height)),
    );
    // A side of 16 pixels is rounded by up to one of them.
    assert!(
        (poster / top - 1.0).abs() < 0.07,
        "the poster is {poster}, the picture {top}"
    );
    player
}

/// The film in this size and of so many seconds.
async fn film_of(size: &str, rate: &str, seconds: f64, codec: &str) -> Ended {
    let film = film(size, rate, seconds, &[]);
    end_of("clip.mp4", &format!("-f lavfi -i {film} {codec}")).await
}

async fn check_size(size: &str, sizes: &[(u32, u32)]) {
    check(film_of(size, "10", 0.5, H264).await, sizes).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_portrait_stays_upright() {
    check_size("360x640", &[(360, 640), (240, 426)]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_square_stays_square() {
    check_size("480x480", &[(480, 480), (360, 360), (240, 240)]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_smallest_picture_keeps_its_size() {
    check_size("16x16", &[(16, 16)]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_strip_keeps_its_shape() {
    check_size("2000x16", &[(2000, 16)]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tall_strip_keeps_its_shape() {
    check_size("16x2000", &[(16, 2000)]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_strip_of_the_longest_side_is_scaled_to_what_decoders_take() {
    check_size("8192x64", &[(4096, 32)]).await;
}

/// Odd sides need 4:4:4.
async fn check_odd(size: &str, sizes: &[(u32, u32)]) {
    let codec = "-c:v libx264 -preset ultrafast -crf 12 -pix_fmt yuv444p";
    check(film_of(size, "10", 0.5, codec).await, sizes).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn odd_sides_above_a_rung_are_scaled_to_even_ones() {
    check_odd("321x241", &[(320, 240)]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn odd_sides_below_all_rungs_lose_a_pixel() {
    check_odd("161x121", &[(160, 120)]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_smallest_odd_sides_lose_a_pixel() {
    check_odd("17x17", &[(16, 16)]).await;
}

async fn check_pixels(size: &str, ratio: &str, sizes: &[(u32, u32)]) {
    let film = film(size, "10", 0.5, &[]);
    let arguments = format!("-f lavfi -i {film},setsar={ratio} {H264}");
    check(end_of("clip.mp4", &arguments).await, sizes).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn wide_pixels_become_square() {
    // PAL at 4:3: 768x576.
    check_pixels("720x576", "16/15", &[(640, 480), (480, 360), (320, 240)]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn tall_pixels_become_square() {
    // Shown as 360x480.
    check_pixels("360x360", "3/4", &[(360, 480), (240, 320)]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_8k_picture_has_all_rungs() {
    let ended = film_of("7680x4320", "2", 1.0, &format!("{BT709} {H264}")).await;
    check(ended, &FROM_1080).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_4k_picture_at_60_frames_a_second_keeps_them() {
    let ended = film_of("3840x2160", "60", 0.2, &format!("{BT709} {H264}")).await;
    check(ended, &FROM_1080).await.assert_frames(12, 60.0);
}

/// The upper 2x2 of a display matrix: a pixel at (x, y) is shown at (a x + c y, b x + d y).
type Matrix = [[i32; 2]; 2];

/// The film of 320x240 with this matrix in its track header.
fn turned(matrix: Matrix, filter: &str) -> Vec<u8> {
    let directory = tempfile::tempdir().unwrap();
    let film = film("320x240", "25", 0.4, &[]);
    let mut bytes = made(
        directory.path(),
        "clip.mp4",
        &format!("-f lavfi -i {film}{filter} {H264}"),
    );
    let header = bytes.windows(4).position(|four| four == b"tkhd").unwrap();
    let [[a, b], [c, d]] = matrix;
    // What is turned to the negative is moved back into view (ISO/IEC 14496-12, 6.2.2).
    let across = -(320 * a.min(0) + 240 * c.min(0));
    let down = -(320 * b.min(0) + 240 * d.min(0));
    let fixed = |value: i32| value * 0x1_0000;
    let values = [
        fixed(a),
        fixed(b),
        0,
        fixed(c),
        fixed(d),
        0,
        fixed(across),
        fixed(down),
        0x4000_0000,
    ];
    for (number, value) in values.into_iter().enumerate() {
        let at = header + 44 + number * 4;
        bytes[at..at + 4].copy_from_slice(&value.to_be_bytes());
    }
    bytes
}

/// Where the matrix puts the film's corners: upper left, upper right, lower left, lower right.
fn moved([[a, b], [c, d]]: Matrix) -> [Rgb; 4] {
    let places = [(-1, -1), (1, -1), (-1, 1), (1, 1)];
    let goes = |(x, y): (i32, i32)| (a * x + c * y, b * x + d * y);
    places.map(|place| {
        let from = places.iter().position(|from| goes(*from) == place).unwrap();
        CORNERS[from]
    })
}

async fn check_matrix(matrix: Matrix, expected: [Rgb; 4]) {
    // The arithmetic says the same as the words do.
    assert_eq!(moved(matrix), expected);
    let size = if matrix[0][0] == 0 { (240, 320) } else { (320, 240) };
    check_turned(end(turned(matrix, "")).await, &[size], expected).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upright_picture_is_not_turned() {
    check_matrix([[1, 0], [0, 1]], [RED, GREEN, BLUE, YELLOW]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_quarter_turn_to_the_right_is_baked_in() {
    check_matrix([[0, 1], [-1, 0]], [BLUE, RED, YELLOW, GREEN]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_half_turn_is_baked_in() {
    check_matrix([[-1, 0], [0, -1]], [YELLOW, BLUE, GREEN, RED]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_quarter_turn_to_the_left_is_baked_in() {
    check_matrix([[0, -1], [1, 0]], [GREEN, YELLOW, RED, BLUE]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mirrored_picture_is_mirrored() {
    check_matrix([[-1, 0], [0, 1]], [GREEN, RED, YELLOW, BLUE]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_picture_upside_down_is_mirrored() {
    check_matrix([[1, 0], [0, -1]], [BLUE, YELLOW, RED, GREEN]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_transposed_picture_is_transposed() {
    check_matrix([[0, 1], [1, 0]], [RED, BLUE, GREEN, YELLOW]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_picture_transposed_over_the_other_diagonal_is_so() {
    check_matrix([[0, -1], [-1, 0]], [YELLOW, GREEN, BLUE, RED]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn wide_pixels_are_made_square_before_they_are_turned() {
    // 320x240 at 3:2 is 480x240, and stands on its short side.
    let ended = end(turned([[0, 1], [-1, 0]], ",setsar=3/2")).await;
    check_turned(ended, &[(240, 480)], [BLUE, RED, YELLOW, GREEN]).await;
}
