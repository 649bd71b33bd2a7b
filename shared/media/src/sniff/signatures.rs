//! Formats that are known by fixed bytes at a fixed place, and streams that are known by their rhythm.

use super::{Container, Kind, contains};

/// Place, bytes, meaning; the first match counts.
const SIGNATURES: &[(usize, &[u8], Kind)] = &[
    (0, b"FLV\x01", Kind::Video(Container::Flv)),
    (0, b"OggS", Kind::Video(Container::Ogg)),
    (0, b"GIF87a", Kind::Video(Container::Gif)),
    (0, b"GIF89a", Kind::Video(Container::Gif)),
    (0, b"nut/multimedia container\0", Kind::Video(Container::Nut)),
    (0, b"DKIF", Kind::Video(Container::Ivf)),
    (0, b".RMF", Kind::Video(Container::RealMedia)),
    (0, b"YUV4MPEG2 ", Kind::Video(Container::Y4m)),
    (0, b"\x1f\x07\x00", Kind::Video(Container::Dv)),
    (0, b"\x00\x00\x01\xba", Kind::Video(Container::MpegPs)),
    (0, b"\x00\x00\x01\xb3", Kind::Video(Container::MpegVideo)),
    (0, b"\x00\x00\x01\xb0", Kind::Video(Container::Mpeg4)),
    (8, b"WAVE", Kind::Sound),
    (8, b"AIFF", Kind::Sound),
    (8, b"AIFC", Kind::Sound),
    (8, b"WEBP", Kind::Picture),
    (0, b"BM", Kind::Picture),
    (0, b"II*\0", Kind::Picture),
    (0, b"MM\0*", Kind::Picture),
    (0, b"8BPS", Kind::Picture),
    (20, b"mjp2", Kind::Video(Container::Mp4)),
    (0, b"\0\0\0\x0cjP  ", Kind::Picture),
    (0, b"\0\0\0\x0cJXL ", Kind::Picture),
    (0, b"\xff\x0a", Kind::Picture),
    (0, b"\xff\x4f\xff\x51", Kind::Picture),
    (0, b"\0\0\x01\0", Kind::Picture),
    (0, b"DDS ", Kind::Picture),
    (0, b"qoif", Kind::Picture),
    (0, b"ID3", Kind::Sound),
    (0, b"fLaC", Kind::Sound),
    (0, b"caff", Kind::Sound),
    (0, b"#!AMR", Kind::Sound),
    (0, b"MThd", Kind::Sound),
    (0, b".snd", Kind::Sound),
    (0, b"wvpk", Kind::Sound),
    (0, b"MAC ", Kind::Sound),
    (0, b"MPCK", Kind::Sound),
    (0, b"MP+", Kind::Sound),
    (0, b"TTA1", Kind::Sound),
    (0, b"\x0b\x77", Kind::Sound),
];

const EBML: &[u8] = b"\x1a\x45\xdf\xa3";
const PNG: &[u8] = b"\x89PNG\r\n\x1a\n";
const MXF: &[u8] = b"\x06\x0e\x2b\x34\x02\x05\x01\x01\x0d\x01\x02\x01\x01\x02";
const ASF: &[u8] = b"\x30\x26\xb2\x75\x8e\x66\xcf\x11\xa6\xd9\x00\xaa\x00\x62\xce\x6c";
/// ASF's Content Encryption Object and its extended form.
const ASF_ENCRYPTED: [&[u8]; 2] = [
    b"\xfb\xb3\x11\x22\x23\xbd\xd2\x11\xb4\xb7\x00\xa0\xc9\x55\xfc\x6e",
    b"\x14\xe6\x8a\x29\x22\x26\x17\x4c\xb9\x35\xda\xe0\x7e\xe9\x28\x9c",
];

pub(super) fn by_signature(head: &[u8]) -> Option<Kind> {
    if head.starts_with(EBML) {
        return Some(matroska(head));
    }
    if head.starts_with(b"RIFF") && at(head, 8, b"AVI ") {
        return Some(without_playlist(head, Container::Avi));
    }
    if head.starts_with(MXF) {
        return Some(without_playlist(head, Container::Mxf));
    }
    if head.starts_with(ASF) {
        return Some(asf(head));
    }
    if head.starts_with(PNG) {
        return Some(png(head));
    }
    SIGNATURES
        .iter()
        .find(|(place, bytes, _)| at(head, *place, bytes))
        .map(|(_, _, kind)| *kind)
}

fn at(head: &[u8], place: usize, bytes: &[u8]) -> bool {
    head.get(place..).is_some_and(|rest| rest.starts_with(bytes))
}

/// The document type stands in the first element.
fn matroska(head: &[u8]) -> Kind {
    let first = &head[..head.len().min(1024)];
    if contains(first, b"matroska") || contains(first, b"webm") {
        Kind::Video(Container::Matroska)
    } else {
        Kind::Unknown
    }
}

/// A subtitle stream of an AVI (`GAB2`) may itself be a file that ffmpeg opens, such as a playlist.
fn without_playlist(head: &[u8], container: Container) -> Kind {
    if contains(head, b"GAB2") || contains(head, b"#EXTM3U") {
        Kind::Playlist
    } else {
        Kind::Video(container)
    }
}

fn asf(head: &[u8]) -> Kind {
    if ASF_ENCRYPTED.iter().any(|object| contains(head, object)) {
        Kind::Encrypted
    } else {
        Kind::Video(Container::Asf)
    }
}

/// An animation says so (`acTL`) before the first picture (`IDAT`).
fn png(head: &[u8]) -> Kind {
    let mut before_picture = head.windows(4).take_while(|tag| *tag != b"IDAT");
    if before_picture.any(|tag| tag == b"acTL") {
        Kind::Video(Container::Apng)
    } else {
        Kind::Picture
    }
}

/// MP3 and AAC (ADTS) without a tag: twelve or eleven set bits, and a layer and a rate that exist. As weak a sign as
/// this comes last; UTF-16 begins the same.
pub(super) fn sound_frame(head: &[u8]) -> Option<Kind> {
    let [first, second, third, ..] = *head else { return None };
    let layer = second & 0b110;
    let mp3 = first == 0xff && second & 0xe0 == 0xe0 && layer != 0 && third & 0xf0 != 0xf0;
    let adts = first == 0xff && second & 0xf6 == 0xf0;
    (mp3 || adts).then_some(Kind::Sound)
}

const SYNC: u8 = 0x47;
/// Packets that have to be in step; in a shorter file, all of them, but at least two.
const IN_STEP: usize = 5;

/// A sync byte every 188 bytes, or every 192 with a time before each packet. A recording may begin within a packet.
pub(super) fn transport_stream(head: &[u8]) -> Option<Kind> {
    let mut rhythms = [188, 192]
        .into_iter()
        .flat_map(|packet| (0..packet.min(head.len())).map(move |start| (start, packet)));
    let (start, packet) = rhythms.find(|(start, packet)| in_step(head, *start, *packet))?;
    Some(if is_scrambled(head, start, packet) {
        Kind::Encrypted
    } else {
        Kind::Video(Container::MpegTs)
    })
}

/// ISO/IEC 13818-1 2.4.3.3: two bits of the fourth byte say whether the packet's content is scrambled. Tables never are,
/// and a broadcast has other programmes beside the one that was recorded.
fn is_scrambled(head: &[u8], start: usize, packet: usize) -> bool {
    let controls = || head[start..].iter().skip(3).step_by(packet);
    let scrambled = controls().filter(|control| *control & 0xc0 != 0).count();
    scrambled * 2 > controls().count()
}

fn in_step(head: &[u8], start: usize, packet: usize) -> bool {
    let packets = head[start..].iter().step_by(packet).take(IN_STEP);
    packets.len() >= 2 && packets.copied().all(|byte| byte == SYNC)
}

/// H.264 and HEVC as bare NAL units, which begin with a delimiter, with parameter sets, or with a word about them.
pub(super) fn bare_stream(head: &[u8]) -> Option<Kind> {
    let rest = head
        .strip_prefix(b"\0\0\0\x01")
        .or_else(|| head.strip_prefix(b"\0\0\x01"))?;
    let [first, second, ..] = *rest else { return None };
    let hevc_kind = (first >> 1) & 0x3f;
    if matches!(hevc_kind, 32 | 35 | 39) && first & 0x81 == 0 && second == 1 {
        return Some(Kind::Video(Container::Hevc));
    }
    let h264_kind = first & 0x1f;
    (first & 0x80 == 0 && matches!(h264_kind, 6 | 7 | 9)).then_some(Kind::Video(Container::H264))
}
