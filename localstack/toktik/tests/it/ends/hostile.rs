//! Files that would have ffmpeg open other files or call other machines. Each is refused, and while it is, nobody
//! touches what it names; the same file without our guards would have it opened, where ffmpeg falls for such a file at
//! all.

use toktik_media::process::RunError;

use super::bait::{Bait, Taken};
use super::forge::{part, place, places, put, replace, with_body};
use super::made;
use super::settle::settle;

const HLS: &str = "-f hls -allowed_extensions ALL";
const CONCAT: &str = "-f concat -safe 0";
const DASH: &str = "-f dash";
const REFERENCES: &str = "-f mov -enable_drefs 1 -use_absolute_path 1";

const H264: &str = "-c:v libx264 -preset ultrafast";

/// A clip like any other.
fn film(name: &str, codec: &str) -> Vec<u8> {
    let directory = tempfile::tempdir().unwrap();
    let picture = "-f lavfi -i testsrc2=s=64x64:r=10:d=1 -pix_fmt yuv420p";
    made(directory.path(), name, &format!("{picture} {codec}"))
}

/// A file that names the bait.
type Hostile = fn(&Bait) -> Vec<u8>;

async fn ends(code: &str, file: Hostile) -> (Bait, Vec<u8>) {
    let bait = Bait::new();
    let bytes = file(&bait);
    assert_eq!(bait.taken(), Taken::default(), "making the file touches it");
    settle(bytes.clone()).await.refused(code);
    bait.assert_untouched();
    (bait, bytes)
}

/// Asserts that the file is refused and nothing is touched, and that ffprobe with these options would touch it.
async fn tempts(file: Hostile, options: &str) {
    let (bait, bytes) = ends("forbidden_format", file).await;
    bait.assert_tempting(&bytes, options).await;
}

macro_rules! tempting {
    ($($name:ident: $file:expr, $options:expr;)*) => {$(
        #[tokio::test(flavor = "multi_thread")]
        async fn $name() {
            tempts($file, $options).await;
        }
    )*};
}

tempting! {
    an_hls_playlist_of_a_file_is_refused: |bait| hls(&format!("file://{}", bait.file())), HLS;
    an_hls_playlist_of_an_address_is_refused: |bait| hls(&bait.tcp("http")), HLS;
    an_hls_playlist_of_playlists_is_refused: hls_of_playlists, HLS;
    an_hls_playlist_with_a_key_is_refused: hls_with_a_key, HLS;
    an_hls_playlist_with_an_init_segment_is_refused: hls_with_an_init_segment, HLS;
    an_hls_playlist_with_a_long_preface_is_refused: hls_with_a_long_preface, HLS;
    an_hls_playlist_of_a_part_of_a_file_is_refused: hls_of_a_part, HLS;
    a_concat_script_of_a_file_is_refused: |bait| concat(&bait.file()), CONCAT;
    a_concat_script_of_an_address_is_refused: |bait| concat(&bait.tcp("http")), CONCAT;
    a_concat_script_of_a_datagram_is_refused: |bait| concat(&bait.srt()), CONCAT;
    a_concat_script_of_several_files_in_one_is_refused: |bait| concat(&format!("concat:{}", bait.file())), CONCAT;
    a_concat_script_without_its_first_line_is_refused: |bait| format!("file '{}'\n", bait.file()).into(), CONCAT;
    a_concat_script_with_a_comment_before_it_is_refused: commented_concat, CONCAT;
    a_dash_manifest_is_refused: dash, DASH;
    a_film_that_lies_in_another_file_is_refused: |bait| elsewhere(&film("clip.mov", H264), bait), REFERENCES;
    a_large_film_that_lies_in_another_file_is_refused: large_and_elsewhere, REFERENCES;
}

fn hls(address: &str) -> Vec<u8> {
    format!("#EXTM3U\n#EXT-X-TARGETDURATION:4\n#EXTINF:4,\n{address}\n#EXT-X-ENDLIST\n").into()
}

fn hls_of_playlists(bait: &Bait) -> Vec<u8> {
    format!("#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1\n{}\n", bait.tcp("http")).into()
}

fn with_tag(tag: &str, bait: &Bait) -> Vec<u8> {
    format!(
        "#EXTM3U\n#EXT-X-TARGETDURATION:4\n{tag}\n#EXTINF:4,\n{}\n#EXT-X-ENDLIST\n",
        bait.file()
    )
    .into()
}

fn hls_with_a_key(bait: &Bait) -> Vec<u8> {
    with_tag(&format!("#EXT-X-KEY:METHOD=AES-128,URI=\"{}\"", bait.tcp("http")), bait)
}

fn hls_with_an_init_segment(bait: &Bait) -> Vec<u8> {
    with_tag(&format!("#EXT-X-MAP:URI=\"file://{}\"", bait.file()), bait)
}

/// More than is looked at.
fn hls_with_a_long_preface(bait: &Bait) -> Vec<u8> {
    with_tag(&"# nothing\n".repeat(10_000), bait)
}

fn hls_of_a_part(bait: &Bait) -> Vec<u8> {
    with_tag("#EXT-X-BYTERANGE:188@0", bait)
}

fn concat(place: &str) -> Vec<u8> {
    format!("ffconcat version 1.0\nfile '{place}'\n").into()
}

fn commented_concat(bait: &Bait) -> Vec<u8> {
    format!("# a list\n\nfile '{}'\n", bait.file()).into()
}

fn dash(bait: &Bait) -> Vec<u8> {
    let base = bait.tcp("http");
    format!(
        "<?xml version=\"1.0\"?>\n<!-- a film -->\n<MPD xmlns=\"urn:mpeg:dash:schema:mpd:2011\" type=\"static\" \
         profiles=\"urn:mpeg:dash:profile:isoff-on-demand:2011\" mediaPresentationDuration=\"PT4S\"><Period>\
         <AdaptationSet mimeType=\"video/mp2t\"><Representation id=\"1\" bandwidth=\"1\"><BaseURL>{base}</BaseURL>\
         </Representation></AdaptationSet></Period></MPD>"
    )
    .into()
}

/// The film's data reference says another file (Apple's alias record, of which ffmpeg reads the absolute path).
fn elsewhere(film: &[u8], bait: &Bait) -> Vec<u8> {
    // ffmpeg reads an even number of letters.
    let path = if bait.file().len().is_multiple_of(2) {
        bait.file()
    } else {
        format!("/{}", bait.file())
    };
    let length = u16::try_from(path.len()).unwrap().to_be_bytes();
    let filler = [0; 150];
    let record = [
        &[0; 4],
        &filler[..10 + 28 + 12 + 64 + 16 + 4 + 16],
        &[0, 2],
        &length,
        path.as_bytes(),
    ]
    .concat();
    let end = [[0xff; 2], [0; 2]].concat();
    let reference = part(b"alis", &[record, end].concat());
    let table = [&[0, 0, 0, 0, 0, 0, 0, 1], &reference[..]].concat();
    with_body(film, &[b"moov", b"trak", b"mdia", b"minf", b"dinf", b"dref"], &table)
}

/// Its index lies behind what is looked at first.
fn large_and_elsewhere(bait: &Bait) -> Vec<u8> {
    let film = film("clip.mov", "-c:v rawvideo -pix_fmt rgb24");
    assert!(place(&film, b"moov") > 64 << 10);
    elsewhere(&film, bait)
}

macro_rules! refused {
    ($($name:ident: $code:literal, $file:expr;)*) => {$(
        #[tokio::test(flavor = "multi_thread")]
        async fn $name() {
            ends($code, $file).await;
        }
    )*};
}

// ffmpeg does not fall for these as they are, or waits for somebody to call; other players do.
refused! {
    an_hls_playlist_with_a_byte_order_mark_is_refused: "forbidden_format", |bait| before("\u{feff}", bait);
    an_hls_playlist_after_empty_lines_is_refused: "forbidden_format", |bait| before("\r\n \t\n\n", bait);
    an_hls_playlist_after_comments_is_refused: "forbidden_format", |bait| before("# junk\n# more junk\n", bait);
    an_hls_playlist_after_other_lines_is_refused: "forbidden_format", |bait| before("junk\n\nmore junk\n", bait);
    an_hls_playlist_in_little_endian_utf16_is_refused: "forbidden_format", |bait| utf16(bait, true, u16::to_le_bytes);
    an_hls_playlist_in_big_endian_utf16_is_refused: "forbidden_format", |bait| utf16(bait, true, u16::to_be_bytes);
    an_hls_playlist_in_utf16_without_a_mark_is_refused: "forbidden_format", |bait| utf16(bait, false, u16::to_le_bytes);
    an_hls_playlist_in_capitals_is_refused: "forbidden_format", |bait| hls(&bait.file()).to_ascii_uppercase();
    an_hls_playlist_far_behind_other_lines_is_refused: "not_a_video", |bait| before(&"junk\n".repeat(14_000), bait);
    a_session_description_is_refused: "forbidden_format", sdp;
    a_list_of_addresses_is_refused: "forbidden_format", |bait| format!("{}\n", bait.tcp("http")).into();
    a_list_of_files_is_refused: "forbidden_format", |bait| format!("#EXTINF:4,A song\n{}\n", bait.file()).into();
    an_address_that_streams_is_refused: "forbidden_format", |bait| bait.tcp("rtsp").into();
    an_address_of_a_socket_is_refused: "forbidden_format", |bait| bait.tcp("tcp").into();
    an_address_of_a_file_is_refused: "forbidden_format", |bait| format!("file:{}", bait.file()).into();
    an_address_of_a_part_of_a_file_is_refused: "forbidden_format", subfile;
    an_address_of_joined_files_is_refused: "forbidden_format", |bait| format!("concat:{0}|{0}", bait.file()).into();
    an_address_that_is_data_is_refused: "forbidden_format", |bait| format!("data:text/plain,{}", bait.file()).into();
    a_pls_list_is_refused: "forbidden_format", |bait| format!("[playlist]\nFile1={}\n", bait.file()).into();
    an_asx_list_is_refused: "forbidden_format", |bait| asx(&bait.tcp("http"));
    a_windows_media_redirection_is_refused: "forbidden_format", |bait| redirection(&bait.tcp("http"));
    a_smil_presentation_is_refused: "forbidden_format", |bait| smil(&bait.tcp("http"));
    an_xspf_list_is_refused: "forbidden_format", |bait| xspf(&bait.tcp("http"));
    a_smooth_streaming_manifest_is_refused: "forbidden_format", smooth;
    an_imf_composition_is_refused: "forbidden_format", imf;
    a_quicktime_link_is_refused: "forbidden_format", |bait| quicktime_link(&bait.tcp("http"));
    a_film_that_points_to_films_is_refused: "forbidden_format", |bait| reference_movie(&bait.tcp("http"));
    a_film_that_lies_at_an_address_is_refused: "forbidden_format", at_an_address;
    an_avi_with_a_playlist_for_subtitles_is_refused: "forbidden_format", |bait| avi_with_text(bait, "16x16");
    an_avi_with_a_late_playlist_for_subtitles_is_refused: "forbidden_format", |bait| avi_with_text(bait, "320x240");
    a_playlist_that_claims_to_be_an_mp4_is_corrupt: "corrupt", ftyp_and_playlist;
    a_playlist_that_claims_to_be_matroska_is_corrupt: "corrupt", ebml_and_playlist;
    a_playlist_that_claims_to_be_a_text_screen_is_no_video: "not_a_video", |bait| xbin(&hls(&bait.file()));
    a_drawing_of_a_file_is_no_video: "not_a_video", |bait| drawing(&bait.file());
    a_page_that_embeds_a_file_is_no_video: "not_a_video", |bait| page(&bait.tcp("http"));
}

fn before(what: &str, bait: &Bait) -> Vec<u8> {
    [what.as_bytes(), &hls(&bait.file())].concat()
}

fn utf16(bait: &Bait, marked: bool, order: fn(u16) -> [u8; 2]) -> Vec<u8> {
    let text = String::from_utf8(hls(&bait.file())).unwrap();
    let mark = marked.then_some(0xfeff);
    mark.into_iter().chain(text.encode_utf16()).flat_map(order).collect()
}

fn sdp(_: &Bait) -> Vec<u8> {
    b"v=0\r\no=- 0 0 IN IP4 127.0.0.1\r\ns=x\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\nm=video 5004 RTP/AVP 96\r\n\
      a=rtpmap:96 H264/90000\r\n"
        .to_vec()
}

fn subfile(bait: &Bait) -> Vec<u8> {
    format!("subfile,,start,0,end,0,,:{}", bait.file()).into()
}

fn asx(address: &str) -> Vec<u8> {
    format!("<ASX version=\"3.0\"><ENTRY><REF HREF=\"{address}\"/></ENTRY></ASX>").into()
}

fn redirection(address: &str) -> Vec<u8> {
    format!("[Reference]\r\nRef1={address}\r\n").into()
}

fn smil(address: &str) -> Vec<u8> {
    format!("<?xml version=\"1.0\"?><smil><body><video src=\"{address}\"/></body></smil>").into()
}

fn xspf(address: &str) -> Vec<u8> {
    format!(
        "<?xml version=\"1.0\"?><playlist version=\"1\" xmlns=\"http://xspf.org/ns/0/\"><trackList><track><location>\
         {address}</location></track></trackList></playlist>"
    )
    .into()
}

fn smooth(bait: &Bait) -> Vec<u8> {
    let address = bait.tcp("http");
    format!("<SmoothStreamingMedia MajorVersion=\"2\"><StreamIndex Type=\"video\" Url=\"{address}\"/></SmoothStreamingMedia>")
        .into()
}

fn imf(bait: &Bait) -> Vec<u8> {
    let file = bait.file();
    format!("<?xml version=\"1.0\"?><CompositionPlaylist><Id>{file}</Id></CompositionPlaylist>").into()
}

fn quicktime_link(address: &str) -> Vec<u8> {
    format!(
        "<?xml version=\"1.0\"?><?quicktime type=\"application/x-quicktime-media-link\"?><embed src=\"{address}\"/>"
    )
    .into()
}

/// `rmra`: a film that is nothing but the addresses of others (`QuickTime` File Format).
fn reference_movie(address: &str) -> Vec<u8> {
    let length = u32::try_from(address.len() + 1).unwrap().to_be_bytes();
    let reference = part(
        b"rdrf",
        &[&[0; 4], &b"url "[..], &length, address.as_bytes(), b"\0"].concat(),
    );
    let references = part(b"rmra", &part(b"rmda", &reference));
    [part(b"ftyp", b"qt  \0\0\0\0qt  "), part(b"moov", &references)].concat()
}

fn at_an_address(bait: &Bait) -> Vec<u8> {
    let reference = part(b"url ", &[&[0; 4], bait.tcp("http").as_bytes(), b"\0"].concat());
    let table = [&[0, 0, 0, 0, 0, 0, 0, 1], &reference[..]].concat();
    let path = [b"moov", b"trak", b"mdia", b"minf", b"dinf", b"dref"];
    with_body(&film("clip.mp4", H264), &path, &table)
}

/// A text track (`GAB2`) of an AVI is a file in the file, which ffmpeg opens by its content: CVE-2016-1897 and what came
/// after it. Made of a clip with a second picture track, which becomes the text.
fn avi_with_text(bait: &Bait, size: &str) -> Vec<u8> {
    let directory = tempfile::tempdir().unwrap();
    let pictures = format!("-f lavfi -i testsrc2=s={size}:r=5:d=1 -f lavfi -i testsrc2=s=32x32:r=5:d=1");
    let codecs = "-map 0 -map 1 -c:v rawvideo -pix_fmt bgr24";
    let mut bytes = made(directory.path(), "clip.avi", &format!("{pictures} {codecs}"));
    let second = places(&bytes, b"strh")[1];
    put(&mut bytes, second + 8, b"txts");
    replace(&mut bytes, b"01dc", b"01tx");
    let playlist = hls(&format!("file://{}", bait.file()));
    let size = u32::try_from(playlist.len()).unwrap().to_le_bytes();
    let text = [&b"GAB2\0\x02\0\0\0\0\0\x04\0"[..], &size, &playlist].concat();
    let chunk = place(&bytes, b"01tx");
    put(&mut bytes, chunk + 8, &text);
    bytes
}

fn ftyp_and_playlist(bait: &Bait) -> Vec<u8> {
    [part(b"ftyp", b"isom\0\0\x02\0isomavc1"), hls(&bait.file())].concat()
}

fn ebml_and_playlist(bait: &Bait) -> Vec<u8> {
    [&b"\x1a\x45\xdf\xa3\x8b\x42\x82\x88matroska"[..], &hls(&bait.file())].concat()
}

fn xbin(text: &[u8]) -> Vec<u8> {
    [&b"XBIN\x1a\x50\0\x19\0\x10\0"[..], text].concat()
}

fn drawing(file: &str) -> Vec<u8> {
    format!("<svg xmlns=\"http://www.w3.org/2000/svg\"><image href=\"file://{file}\" width=\"9\" height=\"9\"/></svg>")
        .into()
}

fn page(address: &str) -> Vec<u8> {
    format!("<!DOCTYPE html><html><video src=\"{address}\"></video></html>").into()
}

/// Asserts that the clip is ready in spite of what it carries, which nobody follows.
async fn is_ready_and_touches_nothing(file: Hostile) {
    let bait = Bait::new();
    settle(file(&bait)).await.ready();
    bait.assert_untouched();
}

macro_rules! ready {
    ($($name:ident: $file:expr;)*) => {$(
        #[tokio::test(flavor = "multi_thread")]
        async fn $name() {
            is_ready_and_touches_nothing($file).await;
        }
    )*};
}

ready! {
    a_clip_with_a_playlist_behind_it_is_a_clip: |bait| [film("clip.mp4", H264), hls(&bait.file())].concat();
    a_clip_with_a_playlist_attached_is_a_clip: |bait| with_attachment(&hls(&bait.file()));
    a_clip_whose_subtitles_name_files_is_a_clip: |bait| with_subtitles(bait, "clip.mkv", "srt");
    an_mp4_whose_subtitles_name_files_is_a_clip: |bait| with_subtitles(bait, "clip.mp4", "mov_text");
    a_clip_whose_title_is_an_address_is_a_clip: |bait| film("clip.mp4", &titled(&bait.tcp("http")));
}

fn titled(address: &str) -> String {
    format!("{H264} -metadata title={address} -metadata comment=concat:{address}")
}

fn with_attachment(bytes: &[u8]) -> Vec<u8> {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("list.m3u8");
    std::fs::write(&file, bytes).unwrap();
    let attached = format!(
        "-attach {} -metadata:s:t mimetype=application/x-mpegurl",
        file.display()
    );
    film("clip.mkv", &format!("{H264} {attached}"))
}

fn with_subtitles(bait: &Bait, name: &str, codec: &str) -> Vec<u8> {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("text.srt");
    let line = format!(
        "subfile,,start,0,end,0,,:{0} concat:{0} {1} data:,x",
        bait.file(),
        bait.tcp("http")
    );
    std::fs::write(&file, format!("1\n00:00:00,000 --> 00:00:01,000\n{line}\n\n")).unwrap();
    let inputs = format!(
        "-f lavfi -i testsrc2=s=64x64:r=10:d=1 -i {} -map 0 -map 1",
        file.display()
    );
    let codecs = format!("-pix_fmt yuv420p {H264} -c:s {codec}");
    made(directory.path(), name, &format!("{inputs} {codecs}"))
}

/// A name by which ffmpeg would look for a series of pictures. Nothing is called by the name that its owner gave it.
#[tokio::test(flavor = "multi_thread")]
async fn a_series_of_pictures_is_refused() {
    use crate::client::{send, signed};
    use crate::harness::House;
    let bait = Bait::new();
    let (house, directory) = (House::open().await, tempfile::tempdir().unwrap());
    let user = house.user("ada").await;
    let picture = made(directory.path(), "1.png", "-f lavfi -i testsrc2=s=64x64 -frames:v 1");
    let name = format!("{}%03d.png", bait.file());
    let body = serde_json::json!({"title": "A", "filename": name, "size": picture.len(), "content_type": "video/mp4"});
    let created = house.post("/videos", Some(&user), body).await;
    if created.status == reqwest::StatusCode::CREATED {
        let created = created.json();
        assert_eq!(
            send(signed(&created["upload"], picture)).await.status,
            reqwest::StatusCode::OK
        );
        house.drain().await;
        let video = house.video(created["video"]["id"].as_str().unwrap(), Some(&user)).await;
        assert_eq!(video["error"]["code"], "not_a_video", "{video}");
    } else {
        created.invalid(&["filename"]);
    }
    bait.assert_untouched();
}

/// Asserts that the sandbox alone, with everything else allowed, keeps ffprobe from what the file names. Its
/// complaint shows that it tried.
async fn cannot_leave_the_sandbox(file: Hostile, options: &str, reason: &str) {
    let bait = Bait::new();
    let bytes = file(&bait);
    let outcome = bait.caged(&bytes, options).await;
    bait.assert_untouched();
    let messages = match &outcome {
        Ok(output) => &output.stderr_tail,
        Err(RunError::Failed { stderr_tail, .. }) => stderr_tail,
        Err(error) => panic!("{error}"),
    };
    assert!(messages.contains(reason), "{messages}");
    bait.assert_tempting(&bytes, options).await;
}

macro_rules! caged {
    ($($name:ident: $file:expr, $options:expr, $reason:expr;)*) => {$(
        #[tokio::test(flavor = "multi_thread")]
        async fn $name() {
            cannot_leave_the_sandbox($file, $options, $reason).await;
        }
    )*};
}

const DENIED: &str = "Permission denied";
/// Where ffmpeg keeps the system's reason to itself.
const NOT_OPENED: &str = "Failed to open segment";
const NO_ALIAS: &str = "error opening alias";
/// What a system without sockets would say.
const NO_SOCKETS: &str = "Function not implemented";

caged! {
    the_sandbox_keeps_an_hls_playlist_from_a_file: |bait| hls(&format!("file://{}", bait.file())), HLS, NOT_OPENED;
    the_sandbox_keeps_an_hls_playlist_from_an_address: |bait| hls(&bait.tcp("http")), HLS, NO_SOCKETS;
    the_sandbox_keeps_a_concat_script_from_a_file: |bait| concat(&bait.file()), CONCAT, DENIED;
    the_sandbox_keeps_a_concat_script_from_an_address: |bait| concat(&bait.tcp("tcp")), CONCAT, NO_SOCKETS;
    the_sandbox_keeps_a_concat_script_from_a_datagram: |bait| concat(&bait.srt()), CONCAT, "srt";
    the_sandbox_keeps_a_dash_manifest_from_an_address: dash, DASH, NO_SOCKETS;
    the_sandbox_keeps_a_film_from_another_file: |bait| elsewhere(&film("clip.mov", H264), bait), REFERENCES, NO_ALIAS;
}
