//! Playlists, read strictly: what does not keep to RFC 8216 4 is remembered as a fault, and reading goes on.

use crate::attributes::{Attributes, decimal};
use crate::fetch::Range;

/// What is wrong with a text, and by which clause.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Fault {
    pub(crate) clause: &'static str,
    pub(crate) sentence: String,
}

/// What both kinds of playlist say at their head.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Head {
    pub(crate) versions: Vec<String>,
    pub(crate) independent_segments: bool,
    pub(crate) start: Option<Attributes>,
    pub(crate) faults: Vec<Fault>,
}

#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Multivariant {
    pub(crate) head: Head,
    pub(crate) streams: Vec<Stream>,
    pub(crate) media: Vec<Attributes>,
    pub(crate) iframes: Vec<Attributes>,
}

/// `EXT-X-STREAM-INF` and the line after it.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Stream {
    pub(crate) attributes: Attributes,
    pub(crate) uri: Option<String>,
}

#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Media {
    pub(crate) head: Head,
    pub(crate) target_duration: Option<u64>,
    pub(crate) kind: Option<String>,
    pub(crate) ended: bool,
    pub(crate) iframes_only: bool,
    pub(crate) encrypted: bool,
    pub(crate) entries: Vec<Entry>,
}

/// A segment, or an I-frame of one.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Entry {
    pub(crate) uri: String,
    /// `EXTINF`, seconds.
    pub(crate) duration: f64,
    pub(crate) range: Option<Range>,
    pub(crate) map: Option<Map>,
    pub(crate) discontinuity: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Map {
    pub(crate) uri: String,
    pub(crate) range: Option<Range>,
}

const MISPLACED: &str = "RFC 8216 4.3.4";
const LINES: &str = "RFC 8216 4.1";
const ATTRIBUTES: &str = "RFC 8216 4.2";
const SEGMENTS: &str = "RFC 8216 4.3.2";

enum Line<'a> {
    Tag(&'a str, &'a str),
    Uri(&'a str),
}

impl Head {
    fn fault(&mut self, clause: &'static str, sentence: impl Into<String>) {
        let sentence = sentence.into();
        self.faults.push(Fault { clause, sentence });
    }

    /// Once a playlist: one of the other kind has many such tags.
    fn misplaced(&mut self, name: &str, kind: &str) {
        if !self.faults.iter().any(|fault| fault.clause == MISPLACED) {
            self.fault(MISPLACED, format!("#{name} belongs into a {kind} playlist."));
        }
    }

    /// The text as lines; comments and empty lines are left out.
    fn lines<'a>(&mut self, text: &'a str) -> Vec<Line<'a>> {
        if text.starts_with('\u{feff}') {
            self.fault(LINES, "The playlist begins with a byte order mark.");
        }
        let text = text.trim_start_matches('\u{feff}');
        if text.lines().next() != Some("#EXTM3U") {
            self.fault("RFC 8216 4.3.1.1", "The first line is not #EXTM3U.");
        }
        let lines = text.lines().filter(|line| !line.is_empty());
        lines.filter_map(line).collect()
    }

    fn attributes(&mut self, name: &str, value: &str) -> Attributes {
        let attributes = Attributes::parse(value);
        for fault in &attributes.faults {
            self.fault(ATTRIBUTES, format!("In #{name} {fault}."));
        }
        attributes
    }

    fn take(&mut self, name: &str, value: &str) {
        match name {
            "EXT-X-VERSION" => self.versions.push(value.to_owned()),
            "EXT-X-INDEPENDENT-SEGMENTS" => self.independent_segments = true,
            "EXT-X-START" => self.start = Some(self.attributes(name, value)),
            _ => {}
        }
    }
}

fn line(line: &str) -> Option<Line<'_>> {
    let Some(tag) = line.strip_prefix('#') else {
        return Some(Line::Uri(line));
    };
    if !tag.starts_with("EXT") {
        return None;
    }
    let (name, value) = tag.split_once(':').unwrap_or((tag, ""));
    Some(Line::Tag(name, value))
}

/// RFC 8216 4: UTF-8.
fn text(bytes: &[u8], head: &mut Head) -> String {
    let text = String::from_utf8_lossy(bytes);
    if matches!(text, std::borrow::Cow::Owned(_)) {
        head.fault(LINES, "The playlist is not UTF-8.");
    }
    text.into_owned()
}

impl Multivariant {
    pub(crate) fn parse(bytes: &[u8]) -> Self {
        let mut playlist = Self::default();
        let text = text(bytes, &mut playlist.head);
        for line in playlist.head.lines(&text) {
            match line {
                Line::Tag(name, value) => playlist.tag(name, value),
                Line::Uri(uri) => playlist.uri(uri),
            }
        }
        for position in 0..playlist.streams.len() {
            if playlist.streams[position].uri.is_none() {
                let sentence = format!("No address follows variant {}.", position + 1);
                playlist.head.fault("RFC 8216 4.3.4.2", sentence);
            }
        }
        playlist
    }

    fn tag(&mut self, name: &str, value: &str) {
        match name {
            "EXT-X-STREAM-INF" => {
                let attributes = self.head.attributes(name, value);
                self.streams.push(Stream { attributes, uri: None });
            }
            "EXT-X-MEDIA" => self.media.push(self.head.attributes(name, value)),
            "EXT-X-I-FRAME-STREAM-INF" => self.iframes.push(self.head.attributes(name, value)),
            "EXTINF" | "EXT-X-TARGETDURATION" | "EXT-X-ENDLIST" | "EXT-X-PLAYLIST-TYPE" => {
                self.head.misplaced(name, "media");
            }
            _ => self.head.take(name, value),
        }
    }

    fn uri(&mut self, uri: &str) {
        match self.streams.last_mut() {
            Some(stream) if stream.uri.is_none() => stream.uri = Some(uri.to_owned()),
            Some(_) => self
                .head
                .fault("RFC 8216 4.3.4.2", "An address follows no #EXT-X-STREAM-INF."),
            // That there is no variant at all is said once.
            None => {}
        }
    }
}

/// What has been said of the next segment.
#[derive(Default)]
struct Next {
    duration: Option<f64>,
    range: Option<String>,
    discontinuity: bool,
}

impl Media {
    pub(crate) fn parse(bytes: &[u8]) -> Self {
        let mut playlist = Self::default();
        let text = text(bytes, &mut playlist.head);
        let (mut next, mut map) = (Next::default(), None);
        for line in playlist.head.lines(&text) {
            match line {
                Line::Tag("EXT-X-MAP", value) => map = playlist.map(value),
                Line::Tag(name, value) if playlist.of_segment(name, value, &mut next) => {}
                Line::Tag(name, value) => playlist.tag(name, value),
                Line::Uri(uri) => playlist.entry(uri, std::mem::take(&mut next), map.clone()),
            }
        }
        playlist
    }

    fn tag(&mut self, name: &str, value: &str) {
        match name {
            "EXT-X-TARGETDURATION" => {
                self.target_duration = value.parse().ok();
                if self.target_duration.is_none() {
                    let sentence = format!("The target duration `{value}` is not a whole number.");
                    self.head.fault("RFC 8216 4.3.3.1", sentence);
                }
            }
            "EXT-X-PLAYLIST-TYPE" => self.kind = Some(value.to_owned()),
            "EXT-X-ENDLIST" => self.ended = true,
            "EXT-X-I-FRAMES-ONLY" => self.iframes_only = true,
            "EXT-X-KEY" => {
                let method = self.head.attributes(name, value);
                self.encrypted |= method.get("METHOD") != Some("NONE");
            }
            "EXT-X-STREAM-INF" | "EXT-X-MEDIA" | "EXT-X-I-FRAME-STREAM-INF" => {
                self.head.misplaced(name, "multivariant");
            }
            _ => self.head.take(name, value),
        }
    }

    /// Whether the tag is of the next segment.
    fn of_segment(&mut self, name: &str, value: &str, next: &mut Next) -> bool {
        match name {
            "EXTINF" => {
                let seconds = value.split_once(',').map_or(value, |(seconds, _)| seconds);
                next.duration = decimal(seconds);
                if next.duration.is_none() {
                    self.head
                        .fault(SEGMENTS, format!("The EXTINF `{value}` is not a duration."));
                }
            }
            "EXT-X-BYTERANGE" => next.range = Some(value.to_owned()),
            "EXT-X-DISCONTINUITY" => next.discontinuity = true,
            _ => return false,
        }
        true
    }

    fn map(&mut self, value: &str) -> Option<Map> {
        let attributes = self.head.attributes("EXT-X-MAP", value);
        let Some(uri) = attributes.quoted("URI") else {
            self.head.fault("RFC 8216 4.3.2.5", "#EXT-X-MAP has no URI.");
            return None;
        };
        let uri = uri.to_owned();
        let text = attributes.quoted("BYTERANGE");
        let range = text.and_then(|text| self.range(text, Some(0)));
        Some(Map { uri, range })
    }

    fn entry(&mut self, uri: &str, next: Next, map: Option<Map>) {
        if next.duration.is_none() {
            self.head.fault(
                SEGMENTS,
                format!("No EXTINF goes before segment {}.", self.entries.len()),
            );
        }
        let before = self.entries.last().filter(|entry| entry.uri == uri);
        let follows = before
            .and_then(|entry| entry.range)
            .map(|range| range.last().saturating_add(1));
        let range = next.range.and_then(|text| self.range(&text, follows));
        self.entries.push(Entry {
            uri: uri.to_owned(),
            duration: next.duration.unwrap_or_default(),
            range,
            map,
            discontinuity: next.discontinuity,
        });
    }

    /// `length@offset`, or `length` alone where it follows on something.
    fn range(&mut self, text: &str, follows: Option<u64>) -> Option<Range> {
        let (length, offset) = match text.split_once('@') {
            Some((length, offset)) => (length, offset.parse().ok()),
            None => (text, follows),
        };
        let length = length.parse().ok().filter(|length| *length > 0);
        let range = length.zip(offset).map(|(length, offset)| Range { offset, length });
        if range.is_none() {
            self.head
                .fault("RFC 8216 4.3.2.2", format!("`{text}` is not a range of bytes."));
        }
        range
    }

    /// Seconds, as announced.
    pub(crate) fn duration(&self) -> f64 {
        self.entries.iter().map(|entry| entry.duration).sum()
    }

    /// Of a presentation to which something may be added. This playlist may have ended before others have.
    pub(crate) fn is_event(&self) -> bool {
        self.kind.as_deref() == Some("EVENT")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn faults(head: &Head) -> Vec<&str> {
        head.faults.iter().map(|fault| fault.sentence.as_str()).collect()
    }

    #[test]
    fn a_multivariant_playlist_is_read() {
        let text =
            "#EXTM3U\r\n#EXT-X-VERSION:7\n# a comment\n\n#EXT-X-MEDIA:TYPE=AUDIO\n#EXT-X-STREAM-INF:BANDWIDTH=1\na\n";
        let playlist = Multivariant::parse(text.as_bytes());
        assert_eq!(faults(&playlist.head), [""; 0]);
        assert_eq!(playlist.head.versions, ["7"]);
        assert_eq!(playlist.media.len(), 1);
        assert_eq!(playlist.streams[0].uri.as_deref(), Some("a"));
    }

    #[test]
    fn what_is_wrong_with_a_multivariant_playlist_is_told() {
        for (text, fault) in [
            (
                &b"\xef\xbb\xbf#EXTM3U\n"[..],
                "The playlist begins with a byte order mark.",
            ),
            (b"#EXTM3U\n#\xff\n", "The playlist is not UTF-8."),
            (b" #EXTM3U\n", "The first line is not #EXTM3U."),
            (b"", "The first line is not #EXTM3U."),
            (b"#EXTM3U\n#EXT-X-STREAM-INF:A=1\n", "No address follows variant 1."),
            (
                b"#EXTM3U\n#EXT-X-STREAM-INF:A=1\na\nb\n",
                "An address follows no #EXT-X-STREAM-INF.",
            ),
            (b"#EXTM3U\n#EXTINF:1,\n", "#EXTINF belongs into a media playlist."),
            (b"#EXTM3U\n#EXT-X-MEDIA:A=\n", "In #EXT-X-MEDIA A has the value ``."),
        ] {
            let playlist = Multivariant::parse(text);
            assert!(
                faults(&playlist.head).contains(&fault),
                "{fault}: {:?}",
                playlist.head.faults
            );
        }
    }

    #[test]
    fn a_media_playlist_is_read() {
        let text = "#EXTM3U\n#EXT-X-TARGETDURATION:4\n#EXT-X-PLAYLIST-TYPE:VOD\n#EXT-X-MAP:URI=\"i\",BYTERANGE=\"7@1\"\n\
                    #EXTINF:4.0,title\n#EXT-X-BYTERANGE:10@5\na\n#EXT-X-DISCONTINUITY\n#EXTINF:2.5,\n\
                    #EXT-X-BYTERANGE:3\na\n#EXT-X-ENDLIST\n";
        let playlist = Media::parse(text.as_bytes());
        assert_eq!(faults(&playlist.head), [""; 0]);
        assert_eq!((playlist.target_duration, playlist.ended), (Some(4), true));
        let ranges: Vec<_> = playlist.entries.iter().map(|entry| entry.range.unwrap()).collect();
        assert_eq!(ranges[0], Range { offset: 5, length: 10 });
        assert_eq!(ranges[1], Range { offset: 15, length: 3 });
        assert!(playlist.entries[1].discontinuity && !playlist.entries[0].discontinuity);
        assert!((playlist.duration() - 6.5).abs() < 1e-9);
        let map = playlist.entries[1].map.as_ref().unwrap();
        assert_eq!(map.range, Some(Range { offset: 1, length: 7 }));
    }

    #[test]
    fn what_is_wrong_with_a_media_playlist_is_told() {
        for (lines, fault) in [
            (
                "#EXT-X-TARGETDURATION:4.5",
                "The target duration `4.5` is not a whole number.",
            ),
            ("#EXTINF:x,", "The EXTINF `x,` is not a duration."),
            ("a", "No EXTINF goes before segment 0."),
            ("#EXT-X-MAP:X=1", "#EXT-X-MAP has no URI."),
            ("#EXTINF:1,\n#EXT-X-BYTERANGE:5\na", "`5` is not a range of bytes."),
            ("#EXTINF:1,\n#EXT-X-BYTERANGE:0@5\na", "`0@5` is not a range of bytes."),
            ("#EXT-X-MEDIA:A=1", "#EXT-X-MEDIA belongs into a multivariant playlist."),
        ] {
            let playlist = Media::parse(format!("#EXTM3U\n{lines}\n").as_bytes());
            assert_eq!(faults(&playlist.head), [fault]);
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_survived(bytes in prop::collection::vec(any::<u8>(), 0..200), text in "(#EXT[A-Z:=,@0-9\n\"-]{0,20}){0,9}") {
            Multivariant::parse(&bytes);
            Media::parse(&bytes);
            Multivariant::parse(text.as_bytes());
            Media::parse(text.as_bytes());
        }
    }
}
