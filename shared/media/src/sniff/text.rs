//! Text: playlists, web pages, and everything else that can be read.

use super::Kind;

/// How much of a text is looked at.
const SAMPLE: usize = 4 << 10;

/// How playlists begin, in lower case: HLS, concat, PLS, ASX, SDP, `QuickTime`'s pointers, bare lists of addresses.
const PLAYLIST_STARTS: &[&str] = &[
    "#extm3u",
    "#extinf",
    "#ext-x-",
    "ffconcat",
    "[playlist]",
    "[reference]",
    "asf http",
    "v=0",
    "rtsptext",
    "smiltext",
    "file '",
    "file \"",
    "file /",
    "file:",
    "concat:",
    "concatf:",
    "subfile,",
    "crypto:",
    "data:",
    "pipe:",
];

/// A line that only a playlist has, in lower case, whatever stands before it.
const PLAYLIST_LINES: &[&str] = &["#extm3u", "#ext-x-", "ffconcat version", "file '", "file \"", "file /"];

/// Elements of playlists in XML, in lower case: DASH, SMIL, ASX, XSPF, Smooth Streaming, IMF, `QuickTime`'s links.
const PLAYLIST_ELEMENTS: &[&str] = &[
    "<mpd",
    "<smil",
    "<asx",
    "<playlist",
    "<smoothstreamingmedia",
    "<compositionplaylist",
    "<assetmap",
    "<packinglist",
    "<?quicktime",
    "<embed",
];

const PAGE_ELEMENTS: &[&str] = &["<!doctype html", "<html"];

/// None if it is not text.
pub(super) fn kind(head: &[u8]) -> Option<Kind> {
    let text = decode(&head[..head.len().min(SAMPLE)])?;
    let text = text.trim_start_matches('\u{feff}').trim_start().to_lowercase();
    if is_list(&text) || is_address(&text) {
        return Some(Kind::Playlist);
    }
    if !text.starts_with('<') {
        return Some(Kind::Text);
    }
    let has = |elements: &[&str]| elements.iter().any(|element| text.contains(element));
    if has(PAGE_ELEMENTS) {
        return Some(Kind::Page);
    }
    Some(if has(PLAYLIST_ELEMENTS) {
        Kind::Playlist
    } else {
        Kind::Text
    })
}

fn is_list(text: &str) -> bool {
    let has_line = |start: &&str| text.lines().any(|line| line.trim_start().starts_with(*start));
    PLAYLIST_STARTS.iter().any(|start| text.starts_with(start)) || PLAYLIST_LINES.iter().any(has_line)
}

/// `http://`, `rtsp://`, `srt://` and the like: a file that is nothing but an address names something to play.
fn is_address(text: &str) -> bool {
    let is_of_scheme = |letter: char| letter.is_ascii_alphanumeric() || "+-.".contains(letter);
    text.split_once("://")
        .is_some_and(|(scheme, _)| !scheme.is_empty() && scheme.chars().all(is_of_scheme))
}

fn decode(bytes: &[u8]) -> Option<String> {
    match bytes {
        [0xff, 0xfe, rest @ ..] => Some(utf16(rest, u16::from_le_bytes)),
        [0xfe, 0xff, rest @ ..] => Some(utf16(rest, u16::from_be_bytes)),
        // Without a mark, as some write it: Latin letters have a zero in each pair.
        [1..=255, 0, 1..=255, 0, ..] => readable(utf16(bytes, u16::from_le_bytes)),
        [0, 1..=255, 0, 1..=255, ..] => readable(utf16(bytes, u16::from_be_bytes)),
        _ if bytes.iter().all(|byte| is_of_text(*byte)) => Some(String::from_utf8_lossy(bytes).into_owned()),
        _ => None,
    }
}

fn utf16(bytes: &[u8], unit: fn([u8; 2]) -> u16) -> String {
    let units = bytes.chunks_exact(2).map(|pair| unit([pair[0], pair[1]]));
    char::decode_utf16(units)
        .map(|letter| letter.unwrap_or('\u{fffd}'))
        .collect()
}

/// Two bytes with a zero are not always text.
fn readable(text: String) -> Option<String> {
    let is_binary = |letter: char| letter == '\u{fffd}' || letter.is_control() && !letter.is_whitespace();
    (!text.contains(is_binary)).then_some(text)
}

/// Anything but control characters: other encodings than UTF-8 are text, too.
fn is_of_text(byte: u8) -> bool {
    byte >= b' ' && byte != 0x7f || matches!(byte, b'\t' | b'\n' | b'\r' | 0x0c | 0x1b)
}
