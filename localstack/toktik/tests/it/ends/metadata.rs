//! A clip says where, when, by whom and with what it was taken. Nothing that is made of it does: every object in the
//! store and everything at a public address is searched for what was planted in the source.

use std::path::Path;

use reqwest::{Method, StatusCode};

use super::forge::{places, replace};
use super::{Ended, end, made};
use crate::client::send;

/// Names of a person and of her telephone; no tool writes such words by itself.
const SECRETS: [&str; 8] = [
    "Zyxwhandler",
    "Zyxwtitle",
    "Zyxwartist",
    "Zyxwcomment",
    "Zyxwmake",
    "Zyxwmodel",
    "Zyxwsoftware",
    "Zyxwchapter",
];
const PLACE: &str = "+48.8577+002.2950/";
/// What is left of it if it is written otherwise.
const PLACES: [&str; 2] = ["48.8577", "002.295"];
const MOMENT: &str = "1999-09-09T09:09:09Z";
const DAY: &str = "1999-09-09";
/// The same as MP4 has it: seconds since 1904, of creation and of change.
const IN_BOXES: [u8; 8] = [0xb3, 0xfd, 0x29, 0xb5, 0xb3, 0xfd, 0x29, 0xb5];
const TIMECODE: &str = "01:02:03:04";

const PICTURE: &str = "-f lavfi -i testsrc2=s=128x128:r=10:d=2";
const SOUND: &str = "-f lavfi -i sine=d=2";
const H264: &str = "-pix_fmt yuv420p -c:v libx264 -preset ultrafast";

/// All that can be said about a whole file, in ffmpeg's words.
fn tags() -> String {
    let says = [
        ("title", "Zyxwtitle"),
        ("artist", "Zyxwartist"),
        ("comment", "Zyxwcomment"),
        ("make", "Zyxwmake"),
        ("model", "Zyxwmodel"),
        ("encoder", "Zyxwsoftware"),
        ("com.apple.quicktime.make", "Zyxwmake"),
        ("com.apple.quicktime.model", "Zyxwmodel"),
        ("com.apple.quicktime.software", "Zyxwsoftware"),
        ("com.apple.quicktime.location.ISO6709", PLACE),
        ("com.apple.quicktime.creationdate", MOMENT),
        ("com.android.version", "Zyxwsoftware"),
        ("location", PLACE),
        ("creation_time", MOMENT),
    ];
    let tags: Vec<String> = says
        .iter()
        .map(|(key, value)| format!("-metadata {key}={value}"))
        .collect();
    let tracks = "-metadata:s:v handler_name=Zyxwhandler -metadata:s:v title=Zyxwtitle -metadata:s:a title=Zyxwtitle";
    format!("{} {tracks}", tags.join(" "))
}

/// A third input: chapters.
fn chapters(directory: &Path) -> String {
    let file = directory.join("chapters.txt");
    let chapter = "[CHAPTER]\nTIMEBASE=1/1000\nSTART=0\nEND=900\ntitle=Zyxwchapter\n";
    std::fs::write(&file, format!(";FFMETADATA1\n{chapter}")).unwrap();
    format!("-f ffmetadata -i {}", file.display())
}

/// A picture, a sound and everything above, in the container that the name says.
fn telling(name: &str, codecs: &str) -> Vec<u8> {
    let directory = tempfile::tempdir().unwrap();
    let inputs = format!("{PICTURE} {SOUND} {}", chapters(directory.path()));
    let maps = "-map 0 -map 1 -map_chapters 2";
    made(directory.path(), name, &format!("{inputs} {maps} {codecs} {}", tags()))
}

/// In any of the ways that a text is written.
fn says(bytes: &[u8], text: &str) -> bool {
    let utf16 = |order: fn(u16) -> [u8; 2]| text.encode_utf16().flat_map(order).collect::<Vec<u8>>();
    let forms = [
        text.as_bytes().to_vec(),
        utf16(u16::to_le_bytes),
        utf16(u16::to_be_bytes),
    ];
    forms.iter().any(|form| !places(bytes, form).is_empty())
}

/// What no clip may say, and what this one may not.
fn secrets<'a>(planted: &[&'a str]) -> Vec<&'a str> {
    [&SECRETS[..], &PLACES, &[DAY, TIMECODE], planted].concat()
}

/// Asserts that the source gives away these, and the clip that it becomes nothing at all.
async fn is_kept_private(bytes: Vec<u8>, planted: &[&str]) {
    for secret in planted {
        assert!(says(&bytes, secret), "{secret} was not planted");
    }
    let ended = end(bytes).await.ready();
    let mut seen = 0;
    for (name, bytes) in everything_made(&ended).await {
        seen += 1;
        for secret in secrets(planted) {
            assert!(!says(&bytes, secret), "{name} says {secret}");
        }
        assert!(places(&bytes, &IN_BOXES).is_empty(), "{name} says when");
        assert_silent_to_ffprobe(&name, &bytes, planted).await;
    }
    assert!(seen >= 12, "only {seen} things were made");
}

/// Every object of the store, and everything behind a public address.
async fn everything_made(ended: &Ended) -> Vec<(String, Vec<u8>)> {
    let house = &ended.house;
    let mut all = Vec::new();
    for key in house.objects().await {
        let bytes = house.object(&key).await;
        all.push((key, bytes));
    }
    let master = fetched(ended, "playlist.m3u8").await;
    let text = String::from_utf8(master.clone()).unwrap();
    let base = reqwest::Url::parse(ended.playlist()).unwrap();
    for (count, address) in addresses(&text).enumerate() {
        let address = base.join(address).unwrap();
        let playlist = send(house.request(Method::GET, address.as_str())).await;
        assert_eq!(playlist.status, StatusCode::OK, "{address}");
        all.push((format!("playlist {count}"), playlist.body));
    }
    all.push(("the multivariant playlist".to_owned(), master));
    for name in [
        "storyboard.vtt",
        "poster.jpg",
        "poster.webp",
        "preview.webp",
        "download.mp4",
    ] {
        all.push((format!("the public {name}"), fetched(ended, name).await));
    }
    let about = house.get(&format!("/videos/{}", ended.id), None).await;
    all.push(("what the API says".to_owned(), about.body));
    all
}

/// What lies at a public address of the clip, wherever it sends one to.
async fn fetched(ended: &Ended, name: &str) -> Vec<u8> {
    let answer = ended.house.get(&format!("/videos/{}/{name}", ended.id), None).await;
    let answer = match answer.status {
        StatusCode::FOUND => send(ended.house.request(Method::GET, answer.header("location"))).await,
        _ => answer,
    };
    assert_eq!(answer.status, StatusCode::OK, "{name}");
    answer.body
}

/// The other playlists that a multivariant playlist names.
fn addresses(playlist: &str) -> impl Iterator<Item = &str> {
    let quoted = playlist
        .lines()
        .filter_map(|line| line.split_once("URI=\"")?.1.split('"').next());
    let plain = playlist
        .lines()
        .filter(|line| !line.is_empty() && !line.starts_with('#'));
    quoted.chain(plain)
}

/// Asserts that ffprobe, which reads what a search for bytes may miss, finds nothing either.
async fn assert_silent_to_ffprobe(name: &str, bytes: &[u8], planted: &[&str]) {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("object");
    std::fs::write(&file, bytes).unwrap();
    let mut ffprobe = tokio::process::Command::new("ffprobe");
    ffprobe.args([
        "-v",
        "error",
        "-show_entries",
        "format_tags:stream_tags:chapters:chapter_tags",
    ]);
    // A segment without its beginning and a text are nothing to it, and say nothing.
    let output = ffprobe.arg(&file).output().await.unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    for secret in secrets(planted) {
        assert!(!said.contains(secret), "{name} says {secret} to ffprobe");
    }
    for tag in ["creation_time", "location", "timecode", "[CHAPTER]"] {
        assert!(!said.contains(tag), "{name} has {tag}: {said}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_mp4_keeps_its_secrets() {
    let bytes = telling("clip.mp4", H264);
    assert!(!places(&bytes, &IN_BOXES).is_empty(), "the moment was not planted");
    assert!(!places(&bytes, b"loci").is_empty(), "the place was not planted");
    let planted = ["Zyxwtitle", "Zyxwartist", "Zyxwcomment", "Zyxwhandler", "Zyxwchapter"];
    is_kept_private(bytes, &planted).await;
}

/// As a telephone writes them.
#[tokio::test(flavor = "multi_thread")]
async fn an_mp4_with_apples_keys_keeps_its_secrets() {
    let bytes = telling("clip.mp4", &format!("{H264} -movflags use_metadata_tags"));
    let planted = [
        "com.apple.quicktime.location.ISO6709",
        "Zyxwmake",
        "Zyxwmodel",
        "Zyxwsoftware",
        PLACE,
        DAY,
    ];
    is_kept_private(bytes, &planted).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mov_keeps_its_secrets() {
    let bytes = telling("clip.mov", &format!("{H264} -timecode {TIMECODE}"));
    assert!(!places(&bytes, b"tmcd").is_empty(), "there is no track of times");
    let planted = ["Zyxwtitle", "Zyxwmake", "Zyxwmodel", "Zyxwchapter", PLACE];
    is_kept_private(bytes, &planted).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_matroska_file_keeps_its_secrets() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("Zyxwfile.txt");
    std::fs::write(&file, "Zyxwattachment").unwrap();
    let attached = format!("-attach {} -metadata:s:t mimetype=text/plain", file.display());
    let bytes = telling("clip.mkv", &format!("{H264} {attached}"));
    let planted = [&SECRETS[1..], &["Zyxwfile", "Zyxwattachment", PLACE]].concat();
    is_kept_private(bytes, &planted).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_avi_keeps_its_secrets() {
    let planted = ["Zyxwtitle", "Zyxwartist", "Zyxwcomment"];
    is_kept_private(telling("clip.avi", "-pix_fmt yuv420p -c:v mpeg4"), &planted).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_flv_keeps_its_secrets() {
    is_kept_private(
        telling("clip.flv", &format!("{H264} -ar 44100")),
        &["Zyxwtitle", "Zyxwmake", PLACE],
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_ogg_file_keeps_its_secrets() {
    let codecs = "-pix_fmt yuv420p -c:v libtheora -c:a libvorbis";
    is_kept_private(telling("clip.ogv", codecs), &["Zyxwtitle", "Zyxwartist", "Zyxwmake"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_windows_media_file_keeps_its_secrets() {
    let codecs = "-pix_fmt yuv420p -c:v wmv2 -c:a wmav2";
    is_kept_private(telling("clip.wmv", codecs), &["Zyxwtitle", "Zyxwartist", "Zyxwmake"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_transport_stream_keeps_its_secrets() {
    let named = "-metadata service_name=Zyxwservice -metadata service_provider=Zyxwprovider";
    is_kept_private(
        telling("clip.ts", &format!("{H264} {named}")),
        &["Zyxwservice", "Zyxwprovider"],
    )
    .await;
}

/// What stands in the picture's own stream: the encoder's settings, and whatever else somebody wrote there.
#[tokio::test(flavor = "multi_thread")]
async fn messages_in_an_h264_stream_are_kept_private() {
    let message = "-bsf:v h264_metadata=sei_user_data=086f3693-b7b3-4f2c-9653-21492feee5b8+Zyxwmessage";
    let bytes = telling("clip.mp4", &format!("{H264} {message}"));
    is_kept_private(bytes, &["Zyxwmessage"]).await;
}

/// The encoder itself leaves its name and all its settings there.
#[tokio::test(flavor = "multi_thread")]
async fn messages_in_an_hevc_stream_are_kept_private() {
    let codec = "-pix_fmt yuv420p -c:v libx265 -preset ultrafast -x265-params log-level=none";
    is_kept_private(telling("clip.mp4", codec), &["x265 (build"]).await;
}

/// Each frame is a JPEG, and has the comment of one.
#[tokio::test(flavor = "multi_thread")]
async fn comments_in_the_frames_of_a_motion_jpeg_are_kept_private() {
    let mut bytes = telling("clip.mov", "-pix_fmt yuvj420p -c:v mjpeg");
    let comment = b"\xff\xfe\x00\x10Lavc";
    let at = places(&bytes, comment)[0] + 4;
    let ident = bytes[at..at + 13].to_vec();
    replace(&mut bytes, &ident, b"Zyxwframe1234");
    is_kept_private(bytes, &["Zyxwframe1234"]).await;
}

/// Each frame is a JPEG with the EXIF data of a camera.
#[tokio::test(flavor = "multi_thread")]
async fn camera_data_in_the_frames_of_a_motion_jpeg_is_kept_private() {
    let directory = tempfile::tempdir().unwrap();
    let picture = made(
        directory.path(),
        "one.jpg",
        "-f lavfi -i testsrc2=s=128x128 -frames:v 1",
    );
    let picture = [&picture[..2], &exif("Zyxwcamera\0\0"), &picture[2..]].concat();
    let stream = directory.path().join("stream.mjpeg");
    std::fs::write(&stream, picture.repeat(20)).unwrap();
    let inputs = format!("-f mjpeg -r 10 -i {} {SOUND}", stream.display());
    let bytes = made(
        directory.path(),
        "clip.avi",
        &format!("{inputs} -c:v copy -c:a pcm_s16le"),
    );
    is_kept_private(bytes, &["Zyxwcamera"]).await;
}

/// A directory of one entry, the name of the camera's maker (TIFF 6.0, tag 271).
fn exif(maker: &str) -> Vec<u8> {
    let count = u32::try_from(maker.len()).unwrap().to_be_bytes();
    let entry = [&[1, 15, 0, 2], &count[..], &[0, 0, 0, 26]].concat();
    let directory = [&b"MM\0*\0\0\0\x08\0\x01"[..], &entry, &[0; 4], maker.as_bytes()].concat();
    let length = u16::try_from(directory.len() + 8).unwrap().to_be_bytes();
    [&[0xff, 0xe1], &length[..], b"Exif\0\0", &directory].concat()
}

#[tokio::test(flavor = "multi_thread")]
async fn subtitles_and_data_beside_the_film_are_kept_private() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("text.srt");
    std::fs::write(&file, "1\n00:00:00,000 --> 00:00:02,000\nZyxwsubtitle\n\n").unwrap();
    let inputs = format!("{PICTURE} {SOUND} -i {}", file.display());
    let bytes = made(
        directory.path(),
        "clip.mp4",
        &format!("{inputs} -map 0 -map 1 -map 2 {H264} -c:s mov_text"),
    );
    is_kept_private(bytes, &["Zyxwsubtitle"]).await;
}

/// The control: the owner's name stands in the MP3, and would be found.
#[tokio::test(flavor = "multi_thread")]
#[should_panic(expected = "audio.mp3 says ada")]
async fn what_is_given_away_is_noticed() {
    let bytes = telling("clip.mkv", &format!("{H264} -metadata owner=ada"));
    is_kept_private(bytes, &["ada"]).await;
}

#[test]
fn a_secret_is_found_however_it_is_written() {
    assert!(says(b"..Zyxw..", "Zyxw") && says(b"Z\0y\0x\0w\0", "Zyxw") && says(b"\0Z\0y\0x\0w", "Zyxw"));
    assert!(!says(b"zyxw", "Zyxw"));
}
