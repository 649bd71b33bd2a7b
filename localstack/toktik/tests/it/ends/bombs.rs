//! Small files that declare something huge: pictures, tables, lengths, depths. The verdict costs no more than any other
//! (see `settle`), and one that nothing honest declares is refused.

use super::Ended;
use super::forge::{body, part, place, put, with_body, with_table};
use super::made;
use super::settle::{settle, settle_within};

const H264: &str = "-c:v libx264 -preset ultrafast";
const HUGE: u32 = 0x7fff_ffff;

fn film(name: &str, size: &str, frames: u32, codec: &str) -> Vec<u8> {
    let directory = tempfile::tempdir().unwrap();
    let picture = format!("-f lavfi -i color=c=teal:s={size}:r=25 -frames:v {frames} -pix_fmt yuv420p");
    made(directory.path(), name, &format!("{picture} {codec}"))
}

fn clip() -> Vec<u8> {
    film("clip.mp4", "64x64", 25, H264)
}

/// Small enough that unpacking it is the cost, not sending it.
async fn settled(bytes: Vec<u8>) -> Ended {
    assert!(bytes.len() < 300_000, "no bomb: {} bytes", bytes.len());
    settle(bytes).await
}

#[tokio::test(flavor = "multi_thread")]
async fn the_largest_picture_that_is_accepted_is_settled() {
    let bytes = film("clip.mp4", "8192x8192", 1, H264);
    // A picture takes 100 MB, and decoding needs several.
    settle_within(bytes, 640).await.ready();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gif_that_declares_four_thousand_megapixels_is_out_of_range() {
    let mut bytes = film("clip.gif", "64x64", 3, "-pix_fmt rgb8");
    put(&mut bytes, 6, &[0xff; 4]);
    settled(bytes).await.refused("dimensions_out_of_range");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_animated_png_that_declares_nine_hundred_megapixels_is_out_of_range() {
    let mut bytes = film("clip.apng", "64x64", 3, "-f apng");
    declare_png(&mut bytes);
    settled(bytes).await.refused("dimensions_out_of_range");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_film_of_pngs_of_nine_hundred_megapixels_is_out_of_range() {
    let mut bytes = film("clip.mov", "64x64", 3, "-c:v png");
    declare_png(&mut bytes);
    declare_sample_entry(&mut bytes, b"png ");
    settled(bytes).await.refused("dimensions_out_of_range");
}

/// Only the pictures say that they are so large; the header is modest.
#[tokio::test(flavor = "multi_thread")]
async fn a_film_whose_pictures_are_larger_than_it_says_is_settled() {
    let mut bytes = film("clip.mov", "64x64", 3, "-c:v png");
    declare_png(&mut bytes);
    settled(bytes).await;
}

const SIDE: u32 = 30_000;

/// Width and height in each picture's `IHDR`, with a checksum that fits.
fn declare_png(bytes: &mut [u8]) {
    for at in super::forge::places(bytes, b"IHDR") {
        put(bytes, at + 4, &[SIDE.to_be_bytes(), SIDE.to_be_bytes()].concat());
        let sum = crc32(&bytes[at..at + 17]);
        put(bytes, at + 17, &sum.to_be_bytes());
    }
}

fn crc32(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| {
            (crc >> 1) ^ (0xedb8_8320 & 0u32.wrapping_sub(crc & 1))
        })
    })
}

/// Width and height in the sample entry, and of the track.
fn declare_sample_entry(bytes: &mut [u8], kind: &[u8]) {
    let side = u16::try_from(SIDE).unwrap().to_be_bytes();
    let entry = place(bytes, kind);
    put(bytes, entry + 28, &[side, side].concat());
}

async fn with_a_huge_count(kind: &[u8; 4], offset: usize) -> Ended {
    let mut bytes = clip();
    let at = place(&bytes, kind) + 8 + offset;
    put(&mut bytes, at, &HUGE.to_be_bytes());
    settled(bytes).await.plays_if_ready().await
}

#[tokio::test(flavor = "multi_thread")]
async fn an_mp4_that_declares_two_thousand_million_sizes_is_settled() {
    with_a_huge_count(b"stsz", 4).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_mp4_that_declares_two_thousand_million_times_is_settled() {
    with_a_huge_count(b"stts", 0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_mp4_that_declares_two_thousand_million_chunks_is_settled() {
    with_a_huge_count(b"stco", 0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_mp4_that_declares_two_thousand_million_keyframes_is_settled() {
    with_a_huge_count(b"stss", 0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_mp4_that_declares_two_thousand_million_edits_is_settled() {
    with_a_huge_count(b"elst", 0).await;
}

/// One size for all of them, so that the table needs no room.
#[tokio::test(flavor = "multi_thread")]
async fn an_mp4_of_two_thousand_million_equal_frames_is_refused() {
    let film = clip();
    let bytes = with_table(&film, *b"stsz", &[1, HUGE]);
    let bytes = with_table(&bytes, *b"stts", &[1, HUGE, 1]);
    let bytes = with_table(&bytes, *b"stsc", &[1, 1, HUGE, 1]);
    let ended = settled(bytes).await;
    assert_eq!(ended.video["status"], "rejected", "{}", ended.video);
}

/// `count` frames of which every one is the same few bytes of the file, each as long as `ticks` say.
fn repeated(count: u32, ticks: u32) -> Vec<u8> {
    const CHUNK: u32 = 1000;
    let film = film("clip.mp4", "64x64", 1, H264);
    let frame = body(&film, b"mdat");
    let start = u32::try_from(frame.start).unwrap();
    // Chunks overlap, since each begins where the first does; what lies behind the only frame is in the file, too.
    let bytes = with_table(&film, *b"stsz", &[64, count]);
    let bytes = with_table(&bytes, *b"stts", &[1, count, ticks]);
    let bytes = with_table(&bytes, *b"stsc", &[1, 1, CHUNK, 1]);
    let chunks = count / CHUNK;
    let places = [vec![chunks], vec![start; usize::try_from(chunks).unwrap()]].concat();
    let bytes = with_table(&bytes, *b"stco", &places);
    let bytes = with_body(&bytes, &[b"moov", b"trak", b"edts"], &[]);
    [bytes, part(b"free", &vec![0; 64_000])].concat()
}

/// 30 frames a second, of which the index alone knows: some kilobytes in all.
#[tokio::test(flavor = "multi_thread")]
async fn an_index_of_five_hours_over_the_same_bytes_is_too_long() {
    settled(repeated(540_000, 512)).await.refused("too_long");
}

/// 200 000 frames a second.
#[tokio::test(flavor = "multi_thread")]
async fn two_million_frames_in_ten_seconds_are_refused() {
    let ended = settled(repeated(2_000_000, 1)).await;
    assert_eq!(ended.video["status"], "rejected", "{}", ended.video);
}

#[tokio::test(flavor = "multi_thread")]
async fn boxes_in_boxes_are_refused() {
    // The outermost track counts as one, and has nothing in it.
    for (kind, code) in [
        (b"moov", "corrupt"),
        (b"trak", "no_video_stream"),
        (b"udta", "corrupt"),
        (b"meta", "corrupt"),
    ] {
        let nested = (0..20_000).fold(Vec::new(), |inner: Vec<u8>, _| {
            let size = u32::try_from(inner.len() + 8).unwrap();
            // Written backwards, so that nothing is moved.
            [inner, kind.iter().rev().copied().collect(), size.to_le_bytes().to_vec()].concat()
        });
        let nested: Vec<u8> = nested.into_iter().rev().collect();
        let bytes = [part(b"ftyp", b"isom\0\0\x02\0isomavc1"), part(b"moov", &nested)].concat();
        settled(bytes).await.refused(code);
    }
}

/// Every element after the header claims as many bytes as the format can say.
#[tokio::test(flavor = "multi_thread")]
async fn a_matroska_file_of_immense_elements_is_settled() {
    let whole = film("clip.mkv", "64x64", 25, H264);
    let elements: [&[u8]; 4] = [
        b"\x15\x49\xa9\x66",
        b"\x16\x54\xae\x6b",
        b"\x1f\x43\xb6\x75",
        b"\x63\xa2",
    ];
    for element in elements {
        let mut bytes = whole.clone();
        let size = place(&bytes, element) + element.len();
        put(&mut bytes, size, b"\x01\x00\xff\xff\xff\xff\xff\xff");
        settled(bytes).await.plays_if_ready().await;
    }
}

/// Elements within elements of one kind that may hold itself: chapters.
#[tokio::test(flavor = "multi_thread")]
async fn a_matroska_file_of_nested_elements_is_settled() {
    let whole = film("clip.mkv", "64x64", 25, H264);
    let nested = b"\xb6\x01\xff\xff\xff\xff\xff\xff\xff".repeat(10_000);
    let chapters = [
        &b"\x10\x43\xa7\x70\x01\xff\xff\xff\xff\xff\xff\xff\x45\xb9\x01\xff\xff\xff\xff\xff\xff\xff"[..],
        &nested,
    ]
    .concat();
    let cluster = place(&whole, b"\x1f\x43\xb6\x75");
    let bytes = [&whole[..cluster], &chapters, &whole[cluster..]].concat();
    settled(bytes).await.plays_if_ready().await;
}
