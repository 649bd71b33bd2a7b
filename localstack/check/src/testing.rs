//! A presentation made by hand, in which every clause holds until a test breaks one: two pictures and a sound, 8 s.

#![allow(
    clippy::cast_possible_truncation,
    clippy::cast_precision_loss,
    clippy::cast_sign_loss,
    reason = "small numbers, made here"
)]

use std::collections::HashMap;
use std::fmt::Write;

use url::Url;

use crate::fetch::{Answer, Exchange, Kind, Range, Source};
use crate::report::{Finding, Report};

pub(crate) const MAIN: &str = "main.m3u8";

#[derive(Clone)]
pub(crate) struct Show {
    pub(crate) tracks: Vec<Model>,
}

/// A track, as its init segment and its segments are to have it.
#[derive(Clone)]
pub(crate) struct Model {
    pub(crate) name: &'static str,
    pub(crate) video: bool,
    pub(crate) timescale: u32,
    pub(crate) size: (u16, u16),
    pub(crate) level: u8,
    /// Duration and media time.
    pub(crate) edits: Vec<(u32, i32)>,
    pub(crate) segments: Vec<Piece>,
}

#[derive(Clone, Default)]
pub(crate) struct Piece {
    pub(crate) fragments: Vec<Part>,
}

#[derive(Clone, Default)]
pub(crate) struct Part {
    pub(crate) sequence_number: u32,
    pub(crate) decode_time: u32,
    pub(crate) description: u32,
    /// Beside where the samples are.
    pub(crate) data_offset: u32,
    pub(crate) samples: Vec<Picture>,
}

/// A sample.
#[derive(Clone, Copy, Default)]
pub(crate) struct Picture {
    pub(crate) duration: u32,
    pub(crate) size: u32,
    pub(crate) composition: u32,
    pub(crate) sync: bool,
    /// Type of its only NAL unit.
    pub(crate) unit: u8,
    pub(crate) broken_units: bool,
}

impl Show {
    pub(crate) fn new() -> Self {
        let tracks = vec![picture("v0", (640, 360)), picture("v1", (426, 240)), sound()];
        Self { tracks }
    }

    pub(crate) fn site(&self) -> Site {
        let mut site = Site::default();
        site.put(MAIN, playlist_type(), self.multivariant().into_bytes());
        for track in &self.tracks {
            let kind = if track.video { "video/mp4" } else { "audio/mp4" };
            site.put(
                &format!("{}.m3u8", track.name),
                playlist_type(),
                media(track).into_bytes(),
            );
            if track.video {
                let name = format!("{}-iframes.m3u8", track.name);
                site.put(&name, playlist_type(), iframes(track).into_bytes());
            }
            site.put(&format!("{}/init.mp4", track.name), kind, init_bytes(track));
            for number in 0..track.segments.len() {
                site.put(
                    &format!("{}/{number}.m4s", track.name),
                    kind,
                    segment_bytes(track, number),
                );
            }
        }
        site
    }

    fn multivariant(&self) -> String {
        let mut text = String::from("#EXTM3U\n#EXT-X-VERSION:7\n#EXT-X-INDEPENDENT-SEGMENTS\n");
        let sounds: Vec<&Model> = self.tracks.iter().filter(|track| !track.video).collect();
        let sound: u64 = sounds.iter().map(|track| rate(track)).sum();
        for track in &sounds {
            writeln!(
                text,
                "#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID=\"{0}\",NAME=\"Original\",LANGUAGE=\"und\",DEFAULT=YES,AUTOSELECT=YES,\
                 CHANNELS=\"2\",URI=\"{0}.m3u8\"",
                track.name
            )
            .unwrap();
        }
        for track in self.tracks.iter().filter(|track| track.video) {
            let (width, height) = track.size;
            let codec = if sounds.is_empty() { "" } else { ",mp4a.40.2" };
            let group = if sounds.is_empty() { "" } else { ",AUDIO=\"a0\"" };
            let bandwidth = rate(track) + sound;
            writeln!(
                text,
                "#EXT-X-STREAM-INF:BANDWIDTH={bandwidth},AVERAGE-BANDWIDTH={bandwidth},\
                 CODECS=\"avc1.6400{:02x}{codec}\",RESOLUTION={width}x{height},FRAME-RATE=30.000{group},\
                 CLOSED-CAPTIONS=NONE\n{}.m3u8",
                track.level, track.name
            )
            .unwrap();
        }
        for track in self.tracks.iter().filter(|track| track.video) {
            let (width, height) = track.size;
            let sizes: usize = track.key_ranges().iter().map(|(_, _, length, _)| length).sum();
            let bandwidth = sizes as u64 * 8 / track.seconds().ceil() as u64;
            writeln!(
                text,
                "#EXT-X-I-FRAME-STREAM-INF:BANDWIDTH={bandwidth},AVERAGE-BANDWIDTH={bandwidth},\
                 CODECS=\"avc1.6400{:02x}\",RESOLUTION={width}x{height},URI=\"{}-iframes.m3u8\"",
                track.level, track.name
            )
            .unwrap();
        }
        text
    }
}

impl Model {
    fn ticks(&self) -> u32 {
        self.segments.iter().map(Piece::ticks).sum()
    }

    fn seconds(&self) -> f64 {
        f64::from(self.ticks()) / f64::from(self.timescale)
    }

    /// Segment, offset, length and ticks of each key fragment.
    fn key_ranges(&self) -> Vec<(usize, usize, usize, u32)> {
        let mut ranges: Vec<(usize, usize, usize, u32)> = Vec::new();
        for (number, segment) in self.segments.iter().enumerate() {
            let mut offset = 0;
            for part in &segment.fragments {
                let length = part.bytes().len();
                let ticks: u32 = part.samples.iter().map(|sample| sample.duration).sum();
                if part.samples.first().is_some_and(|sample| sample.sync) {
                    ranges.push((number, offset, length, ticks));
                } else if let Some(last) = ranges.last_mut() {
                    last.3 += ticks;
                }
                offset += length;
            }
        }
        ranges
    }
}

impl Piece {
    fn ticks(&self) -> u32 {
        let samples = self.fragments.iter().flat_map(|part| &part.samples);
        samples.map(|sample| sample.duration).sum()
    }
}

/// Two segments of two GOPs, each a key fragment and one of the rest; 30 fps.
fn picture(name: &'static str, size: (u16, u16)) -> Model {
    let sample = |sync: bool| Picture {
        duration: 512,
        size: if sync { 100 } else { 20 },
        composition: 1024,
        sync,
        unit: if sync { 5 } else { 1 },
        broken_units: false,
    };
    let mut parts = (0..4_u32).flat_map(|gop| {
        let part = |half: u32, samples: Vec<Picture>| Part {
            sequence_number: gop * 2 + half + 1,
            decode_time: (gop * 60 + half) * 512,
            description: 1,
            data_offset: 0,
            samples,
        };
        [part(0, vec![sample(true)]), part(1, vec![sample(false); 59])]
    });
    let mut segment = || Piece {
        fragments: parts.by_ref().take(4).collect(),
    };
    Model {
        name,
        video: true,
        timescale: 15360,
        size,
        level: 0x1e,
        edits: vec![(8000, 1024)],
        segments: vec![segment(), segment()],
    }
}

fn sound() -> Model {
    let sample = Picture {
        duration: 1024,
        size: 50,
        sync: true,
        ..Picture::default()
    };
    let segment = |number: u32, first: u32, count: usize| Piece {
        fragments: vec![Part {
            sequence_number: number,
            decode_time: first * 1024,
            description: 1,
            data_offset: 0,
            samples: vec![sample; count],
        }],
    };
    Model {
        name: "a0",
        video: false,
        timescale: 48000,
        size: (0, 0),
        level: 0,
        edits: Vec::new(),
        segments: vec![segment(1, 0, 188), segment(2, 188, 187)],
    }
}

fn playlist_type() -> &'static str {
    "application/vnd.apple.mpegurl"
}

/// Bit/s of the heaviest segment; all are nearly alike.
fn rate(track: &Model) -> u64 {
    let rate = |number: usize| {
        let seconds = f64::from(track.segments[number].ticks()) / f64::from(track.timescale);
        (segment_bytes(track, number).len() as f64 * 8.0 / seconds).ceil() as u64
    };
    (0..track.segments.len()).map(rate).max().unwrap_or_default()
}

fn media_head(track: &Model) -> String {
    format!(
        "#EXTM3U\n#EXT-X-VERSION:7\n#EXT-X-TARGETDURATION:4\n#EXT-X-MEDIA-SEQUENCE:0\n#EXT-X-PLAYLIST-TYPE:VOD\n\
         #EXT-X-MAP:URI=\"{}/init.mp4\"\n",
        track.name
    )
}

fn media(track: &Model) -> String {
    let mut text = media_head(track);
    for (number, segment) in track.segments.iter().enumerate() {
        let seconds = f64::from(segment.ticks()) / f64::from(track.timescale);
        writeln!(text, "#EXTINF:{seconds:.6},\n{}/{number}.m4s", track.name).unwrap();
    }
    text + "#EXT-X-ENDLIST\n"
}

fn iframes(track: &Model) -> String {
    let mut text = media_head(track) + "#EXT-X-I-FRAMES-ONLY\n";
    for (number, offset, length, ticks) in track.key_ranges() {
        let seconds = f64::from(ticks) / f64::from(track.timescale);
        writeln!(
            text,
            "#EXTINF:{seconds:.6},\n#EXT-X-BYTERANGE:{length}@{offset}\n{}/{number}.m4s",
            track.name
        )
        .unwrap();
    }
    text + "#EXT-X-ENDLIST\n"
}

fn boxed(kind: [u8; 4], body: &[&[u8]]) -> Vec<u8> {
    let body = body.concat();
    let size = u32::try_from(body.len() + 8).unwrap();
    [&size.to_be_bytes()[..], &kind, &body].concat()
}

fn words(words: &[u32]) -> Vec<u8> {
    words.iter().flat_map(|word| word.to_be_bytes()).collect()
}

pub(crate) fn init_bytes(track: &Model) -> Vec<u8> {
    let (width, height) = (u32::from(track.size.0), u32::from(track.size.1));
    let mvhd = boxed(*b"mvhd", &[&words(&[0, 0, 0, 1000, 0]), &[0; 80]]);
    let tkhd = boxed(
        *b"tkhd",
        &[
            &words(&[3, 0, 0, 1, 0, 0]),
            &[0; 52],
            &words(&[width << 16, height << 16]),
        ],
    );
    let count = u32::try_from(track.edits.len()).unwrap();
    let mut elst = words(&[0, count]);
    for (duration, time) in &track.edits {
        elst.extend(words(&[*duration, time.cast_unsigned(), 0x0001_0000]));
    }
    let edts = boxed(*b"edts", &[&boxed(*b"elst", &[&elst])]);
    let mdhd = boxed(*b"mdhd", &[&words(&[0, 0, 0, track.timescale, 0, 0])]);
    let handler = if track.video { b"vide" } else { b"soun" };
    let hdlr = boxed(*b"hdlr", &[&[0; 8], handler, &[0; 13]]);
    let entry = if track.video { avc1(track) } else { mp4a() };
    let stsd = boxed(*b"stsd", &[&words(&[0, 1]), &entry]);
    let minf = boxed(*b"minf", &[&boxed(*b"stbl", &[&stsd])]);
    let mdia = boxed(*b"mdia", &[&mdhd, &hdlr, &minf]);
    let trak = boxed(*b"trak", &[&tkhd, if count > 0 { &edts } else { &[] }, &mdia]);
    let trex = boxed(*b"trex", &[&words(&[0, 1, 1, 0, 0, 0])]);
    let moov = boxed(*b"moov", &[&mvhd, &trak, &boxed(*b"mvex", &[&trex])]);
    [boxed(*b"ftyp", &[b"iso6\0\0\0\0cmfc"]), moov].concat()
}

fn avc1(track: &Model) -> Vec<u8> {
    let (width, height) = track.size;
    let size = [width.to_be_bytes(), height.to_be_bytes()].concat();
    let avcc = boxed(*b"avcC", &[&[1, 0x64, 0, track.level, 0xff, 0xe0, 0]]);
    boxed(*b"avc1", &[&[0; 6], &[0, 1], &[0; 16], &size, &[0; 50], &avcc])
}

fn mp4a() -> Vec<u8> {
    let specific = [5, 2, 0x11, 0x90];
    let config = [&[4, 17, 0x40, 0x15][..], &[0; 11], &specific].concat();
    let descriptor = [&[3, 22, 0, 1, 0][..], &config].concat();
    let esds = boxed(*b"esds", &[&[0; 4], &descriptor]);
    boxed(
        *b"mp4a",
        &[
            &[0; 6],
            &[0, 1],
            &[0; 8],
            &[0, 2, 0, 16],
            &[0; 4],
            &words(&[48000 << 16]),
            &esds,
        ],
    )
}

pub(crate) fn segment_bytes(track: &Model, number: usize) -> Vec<u8> {
    track.segments[number].fragments.iter().flat_map(Part::bytes).collect()
}

impl Part {
    fn bytes(&self) -> Vec<u8> {
        let mfhd = boxed(*b"mfhd", &[&words(&[0, self.sequence_number])]);
        // Base is the moof, and the description is named.
        let tfhd = boxed(*b"tfhd", &[&words(&[0x02_0002, 1, self.description])]);
        let tfdt = boxed(*b"tfdt", &[&words(&[0, self.decode_time])]);
        let count = u32::try_from(self.samples.len()).unwrap();
        let mut trun = words(&[0xf01, count, 0]);
        for sample in &self.samples {
            let flags = if sample.sync { 0x0200_0000 } else { 0x0101_0000 };
            trun.extend(words(&[sample.duration, sample.size, flags, sample.composition]));
        }
        let size = 8 + mfhd.len() + 8 + tfhd.len() + tfdt.len() + 8 + trun.len();
        let offset = u32::try_from(size + 8).unwrap() + self.data_offset;
        trun[8..12].copy_from_slice(&offset.to_be_bytes());
        let traf = boxed(*b"traf", &[&tfhd, &tfdt, &boxed(*b"trun", &[&trun])]);
        let moof = boxed(*b"moof", &[&mfhd, &traf]);
        let data: Vec<u8> = self.samples.iter().flat_map(Picture::bytes).collect();
        [moof, boxed(*b"mdat", &[&data])].concat()
    }
}

impl Picture {
    fn bytes(&self) -> Vec<u8> {
        let mut bytes = vec![0; self.size as usize];
        let length = self.size - 4 + u32::from(self.broken_units);
        bytes[..4].copy_from_slice(&length.to_be_bytes());
        bytes[4] = self.unit;
        bytes
    }
}

/// What a server would answer, by path.
#[derive(Clone, Default)]
pub(crate) struct Site {
    pub(crate) answers: HashMap<String, (Answer, Vec<u8>)>,
    pub(crate) ignores_ranges: bool,
}

const ROOT: &str = "/show/";

impl Site {
    fn put(&mut self, name: &str, kind: &str, body: Vec<u8>) {
        let answer = Answer {
            status: 200,
            content_type: kind.to_owned(),
            content_encoding: if kind == playlist_type() { "gzip" } else { "" }.to_owned(),
            allows_origin: true,
            ..Answer::default()
        };
        self.answers.insert(format!("{ROOT}{name}"), (answer, body));
    }

    pub(crate) fn remove(&mut self, name: &str) {
        self.answers.remove(&format!("{ROOT}{name}"));
    }

    pub(crate) fn answer(&mut self, name: &str) -> &mut (Answer, Vec<u8>) {
        self.answers.get_mut(&format!("{ROOT}{name}")).unwrap()
    }

    /// Replaces what has to be there.
    pub(crate) fn edit(mut self, name: &str, from: &str, to: &str) -> Self {
        let body = &mut self.answer(name).1;
        let text = String::from_utf8(body.clone()).unwrap();
        assert!(text.contains(from), "{name} has no {from}:\n{text}");
        *body = text.replace(from, to).into_bytes();
        self
    }

    pub(crate) fn text(&mut self, name: &str) -> String {
        String::from_utf8(self.answer(name).1.clone()).unwrap()
    }

    pub(crate) fn report(&self) -> Report {
        let url = Url::parse(&format!("https://example.com{ROOT}{MAIN}?signature=secret")).unwrap();
        futures::executor::block_on(crate::check_at(self, &url)).unwrap()
    }

    pub(crate) fn findings(&self) -> Vec<Finding> {
        self.report().findings
    }

    /// Asserts that this clause is found broken, in a sentence with this in it.
    #[track_caller]
    pub(crate) fn breaks(&self, clause: &str, part: &str) {
        let findings = self.findings();
        let found = |finding: &Finding| finding.clause == clause && finding.sentence.contains(part);
        assert!(findings.iter().any(found), "not {clause} `{part}` in {findings:#?}");
    }

    /// Asserts that nothing is found.
    #[track_caller]
    pub(crate) fn clean(&self) {
        assert_eq!(self.findings(), []);
    }
}

impl Source for Site {
    async fn get(&self, url: &Url, kind: Kind, range: Option<Range>) -> (Exchange, Vec<u8>) {
        let found = self.answers.get(url.path()).cloned();
        let (mut answer, mut body) = found.unwrap_or_else(|| {
            let answer = Answer {
                status: 404,
                ..Answer::default()
            };
            (answer, Vec::new())
        });
        if let (Some(range), 200, false) = (range, answer.status, self.ignores_ranges) {
            let (start, end) = (range.offset as usize, range.last() as usize + 1);
            if answer.content_range.is_empty() {
                answer.content_range = format!("bytes {start}-{}/{}", end - 1, body.len());
            }
            answer.status = 206;
            body = body.get(start..end.min(body.len())).unwrap_or_default().to_vec();
        }
        answer.received = body.len() as u64;
        answer.content_length = answer.content_length.or(Some(answer.received));
        let exchange = Exchange {
            kind,
            place: url.path().to_owned(),
            range,
            answer: Ok(answer),
        };
        (exchange, body)
    }
}
