//! Splits a fragmented MP4 of one track into an init segment and media segments, each an object of its own.
//!
//! ffmpeg's fragments are taken apart into samples and put together again, because three things have to be ours:
//! where a sound segment ends (at the sample nearest to the picture's boundary), when a segment starts (a unit in the
//! middle of a clip continues its predecessor's `tfdt` and sequence numbers), and that a keyframe is a fragment by
//! itself (then the range that an I-frame playlist names is complete, and strict demuxers read it). Samples are copied
//! as they are (but for the times of a source's own picture, see `Kind::Copy`), the init segment too: its edit list takes back the delay of the B-frames, so that the first picture is
//! shown at zero. (Signed composition offsets need no edit list, but libavformat reads them as a shift of the picture.)
//! No more than one segment and one fragment is held in memory.

use std::fs::File;
use std::io::{self, BufReader, Read};
use std::path::Path;

use mp4_atom::{
    Atom, Codec, Encode, FourCC, Header, Mfhd, Moof, Moov, ReadFrom, Tfdt, Tfhd, Traf, Trex, Trun, TrunEntry,
    TrunSamples,
};

use crate::manifest::{Keyframe, Part, Segment};
use crate::plan::Plan;
use crate::source::Fraction;

pub const INIT: &str = "init.mp4";

/// `00000.m4s`, `00001.m4s` ...
pub fn segment_name(index: usize) -> String {
    format!("{index:05}.m4s")
}

/// Where segments end, and what comes before the first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cut {
    kind: Kind,
    frame_rate: Fraction,
    /// Frame of the clip with which the first segment begins.
    first_frame: u64,
    /// The frame behind each segment, from the first of this cut to the clip's last.
    ends: Vec<u64>,
    /// Of the first fragment.
    sequence_number: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// A fragment read is a GOP.
    Video,
    /// The same of a source's own picture. Its frames have the times that a camera gave them; they are put on the grid of
    /// all other rungs. That each GOP is closed and nothing but picture is checked.
    Copy,
    /// A segment is one fragment.
    Audio,
}

impl Cut {
    pub fn video(plan: &Plan, first_frame: u64) -> Self {
        let gops = match &plan.copied {
            Some(copied) => copied.keyframes().filter(|keyframe| *keyframe < first_frame).count() as u64,
            // There is one more of them: the first is in halves.
            None => first_frame / u64::from(plan.gop_frames) + u64::from(first_frame > 0),
        };
        Self {
            kind: Kind::Video,
            frame_rate: plan.frame_rate,
            first_frame,
            ends: plan.ends().into_iter().filter(|end| *end > first_frame).collect(),
            // Two fragments a GOP.
            sequence_number: u32::try_from(gops * 2).unwrap_or(u32::MAX - 1).saturating_add(1),
        }
    }

    pub fn copy(plan: &Plan) -> Self {
        Self {
            kind: Kind::Copy,
            ..Self::video(plan, 0)
        }
    }

    pub fn audio(plan: &Plan) -> Self {
        Self {
            kind: Kind::Audio,
            frame_rate: plan.frame_rate,
            first_frame: 0,
            ends: plan.ends(),
            sequence_number: 1,
        }
    }

    /// Of pictures and of sound, for `fuzz/` alone.
    #[cfg(fuzzing)]
    pub fn all() -> [Self; 3] {
        let cut = |kind| Self {
            kind,
            frame_rate: Fraction { num: 30, den: 1 },
            first_frame: 0,
            ends: vec![120, 240, 300],
            sequence_number: 1,
        };
        [cut(Kind::Video), cut(Kind::Copy), cut(Kind::Audio)]
    }

    /// When a frame of the clip is shown, in ticks.
    fn ticks(&self, frame: u64, timescale: u32) -> u64 {
        let num = u128::from(self.frame_rate.num.max(1));
        let ticks = u128::from(frame) * u128::from(self.frame_rate.den) * u128::from(timescale);
        u64::try_from((ticks + num / 2) / num).unwrap_or(u64::MAX)
    }
}

/// What a split has made.
#[derive(Clone, Debug, PartialEq)]
pub struct Track {
    /// RFC 6381: `avc1.64001f`, `mp4a.40.2`.
    pub codecs: String,
    /// Ticks a second.
    pub timescale: u32,
    /// Sum of the samples' durations, in ticks.
    pub ticks: u64,
    pub samples: u64,
    pub init_size: u64,
    pub init_hash: u64,
    pub segments: Vec<Segment>,
}

impl Track {
    /// The part of a rendition whose files are stored under `prefix`, which ends in `/`.
    pub fn part(self, prefix: String) -> Part {
        Part {
            prefix,
            init_size: self.init_size,
            init_hash: self.init_hash,
            segments: self.segments,
        }
    }
}

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("cannot be read or written: {0}")]
    Io(#[from] io::Error),
    #[error("a box cannot be read: {0}")]
    Box(mp4_atom::Error),
    #[error("the file ends in the middle of a box")]
    Truncated,
    #[error("there is no {0}")]
    Missing(&'static str),
    /// An encoder that was given nothing writes a header and no more.
    #[error("nothing follows the header")]
    Empty,
    #[error("the file has more than one track")]
    SeveralTracks,
    #[error("{0} is neither H.264 nor AAC")]
    UnknownCodec(String),
    #[error("a fragment is not laid out as ffmpeg does it: {0}")]
    Layout(&'static str),
    #[error("fragment {0} does not begin with a keyframe")]
    NoKeyframe(u32),
    #[error("fragment {0} does not begin where its predecessor ends")]
    Gap(u32),
    #[error("it begins later than the unit does")]
    Late,
    /// Of a source's own picture: it has to be encoded after all.
    #[error("fragment {0} is not what every player takes: {1}")]
    Uncommon(u32, &'static str),
}

impl From<mp4_atom::Error> for Error {
    fn from(error: mp4_atom::Error) -> Self {
        match error {
            mp4_atom::Error::Io(error) if error.kind() == io::ErrorKind::UnexpectedEof => Self::Truncated,
            mp4_atom::Error::Io(error) => Self::Io(error),
            error => Self::Box(error),
        }
    }
}

pub type Result<T> = std::result::Result<T, Error>;

/// An object, as soon as it is whole.
#[derive(Clone, Copy, Debug)]
pub enum Piece<'a> {
    /// The init segment.
    Init(Init<'a>),
    /// The next media segment.
    Segment(&'a Segment, &'a [u8]),
}

#[derive(Clone, Copy, Debug)]
pub struct Init<'a> {
    pub bytes: &'a [u8],
    /// The same for the same bytes.
    pub hash: u64,
    /// RFC 6381.
    pub codecs: &'a str,
}

/// Splits `input` into files in `dir`, which exists.
pub fn split_file(input: &Path, cut: &Cut, dir: &Path) -> Result<Track> {
    let reader = BufReader::with_capacity(1 << 18, File::open(input)?);
    let mut number = 0..;
    split(reader, cut, |piece| match piece {
        Piece::Init(init) => std::fs::write(dir.join(INIT), init.bytes),
        Piece::Segment(_, bytes) => std::fs::write(dir.join(segment_name(number.next().unwrap_or(0))), bytes),
    })
}

/// Splits `input` and hands each object to `sink`: the init segment first, then the media segments in order.
pub fn split(input: impl Read, cut: &Cut, mut sink: impl FnMut(Piece<'_>) -> io::Result<()>) -> Result<Track> {
    let mut reader = Reader { input };
    let (init, track) = reader.init()?;
    match cut.kind {
        Kind::Video if track.late => return Err(Error::Late),
        Kind::Copy if track.late => return Err(Error::Uncommon(cut.sequence_number, "it begins late")),
        _ => {}
    }
    sink(Piece::Init(Init {
        bytes: &init,
        hash: fnv(&init),
        codecs: &track.codecs,
    }))?;
    let mut splitter = Splitter::new(cut, track);
    while let Some(fragment) = reader.fragment()? {
        splitter.take(&fragment, &mut sink)?;
    }
    splitter.finish(&init, &mut sink)
}

/// What the init segment says of its only track.
struct Description {
    id: u32,
    timescale: u32,
    codecs: String,
    defaults: Trex,
    /// Something stands before the first sample: an edit without media.
    late: bool,
}

impl Description {
    fn read(moov: &Moov) -> Result<Self> {
        let [trak] = moov.trak.as_slice() else {
            return Err(if moov.trak.is_empty() {
                Error::Missing("track")
            } else {
                Error::SeveralTracks
            });
        };
        let id = trak.tkhd.track_id;
        let mvex = moov.mvex.as_ref().ok_or(Error::Missing("mvex"))?;
        let trex = mvex.trex.iter().find(|trex| trex.track_id == id);
        let codec = trak
            .mdia
            .minf
            .stbl
            .stsd
            .codecs
            .first()
            .ok_or(Error::Missing("sample entry"))?;
        let timescale = trak.mdia.mdhd.timescale;
        if timescale == 0 {
            return Err(Error::Missing("timescale"));
        }
        let edits = trak.edts.iter().filter_map(|edits| edits.elst.as_ref());
        let mut edits = edits.flat_map(|list| &list.entries);
        Ok(Self {
            id,
            timescale,
            codecs: codecs(codec)?,
            defaults: trex.cloned().unwrap_or_default(),
            late: edits.any(|edit| edit.media_time.is_none() && edit.segment_duration > 0),
        })
    }
}

/// RFC 6381 3.3 and 3.4.
fn codecs(codec: &Codec) -> Result<String> {
    match codec {
        Codec::Avc1(avc) => {
            let avcc = &avc.avcc;
            let [profile, compatibility, level] = [
                avcc.avc_profile_indication,
                avcc.profile_compatibility,
                avcc.avc_level_indication,
            ];
            Ok(format!("avc1.{profile:02x}{compatibility:02x}{level:02x}"))
        }
        Codec::Mp4a(mp4a) => {
            let config = &mp4a.esds.es_desc.dec_config;
            let specific = config
                .dec_specific
                .as_ref()
                .ok_or(Error::Missing("AAC configuration"))?;
            Ok(format!(
                "mp4a.{:02x}.{}",
                config.object_type_indication, specific.profile
            ))
        }
        other => Err(Error::UnknownCodec(name_of(other))),
    }
}

fn name_of(codec: &Codec) -> String {
    match codec {
        Codec::Unknown(kind, _) => kind.to_string(),
        _ => "the sample entry".to_owned(),
    }
}

/// A `moof` and its `mdat`.
struct Fragment {
    moof: Moof,
    moof_size: u64,
    data: Vec<u8>,
}

/// Reads top-level boxes in order.
struct Reader<R> {
    input: R,
}

/// Groups of samples (`sgpd`) can be declared to take no bytes each, and the decoder makes as many as it is told: a box of
/// a few bytes could take all the memory there is.
fn refuse_empty_groups(body: &[u8]) -> Result<()> {
    for (at, kind) in body.windows(4).enumerate().filter(|(_, kind)| kind == b"sgpd") {
        let declared = &body[at + kind.len()..];
        let version = usize::from(*declared.first().unwrap_or(&0));
        // Version and flags, the grouping's type, and in later versions a length and an index.
        let count = declared.get(8 + 4 * version.min(2)..).and_then(<[u8]>::first_chunk);
        if count.is_some_and(|count| u32::from_be_bytes(*count) as usize > body.len()) {
            return Err(Error::Layout("more groups of samples than bytes"));
        }
    }
    Ok(())
}

/// `ftyp`, `moov` and `moof` of one track are far smaller.
const LARGEST_BOX: u64 = 16 << 20;

impl<R: Read> Reader<R> {
    /// The boxes of the init segment as they are, and what they say.
    fn init(&mut self) -> Result<(Vec<u8>, Description)> {
        let mut init = Vec::new();
        while let Some((kind, size)) = self.header()? {
            match &kind.to_string()[..] {
                "ftyp" => append(&mut init, kind, &self.body(size, LARGEST_BOX)?)?,
                "moov" => {
                    let body = self.body(size, LARGEST_BOX)?;
                    append(&mut init, kind, &body)?;
                    refuse_empty_groups(&body)?;
                    let moov = Moov::decode_body(&mut &body[..])?;
                    return Ok((init, Description::read(&moov)?));
                }
                "moof" | "mdat" => break,
                _ => self.skip(size)?,
            }
        }
        Err(Error::Missing("moov"))
    }

    /// None at the end of the file.
    fn fragment(&mut self) -> Result<Option<Fragment>> {
        while let Some((kind, size)) = self.header()? {
            if kind != Moof::KIND {
                self.skip(size)?;
                continue;
            }
            let body = self.body(size, LARGEST_BOX)?;
            refuse_empty_groups(&body)?;
            let moof = Moof::decode_body(&mut &body[..])?;
            let data = self.mdat()?;
            return Ok(Some(Fragment {
                moof,
                moof_size: size + BOX_HEADER,
                data,
            }));
        }
        Ok(None)
    }

    fn mdat(&mut self) -> Result<Vec<u8>> {
        match self.header()? {
            Some((kind, size)) if kind == MDAT => self.body(size, u64::MAX),
            Some(_) => Err(Error::Layout("something lies between moof and mdat")),
            None => Err(Error::Truncated),
        }
    }

    /// Kind and size of the body; none at the end of the file.
    fn header(&mut self) -> Result<Option<(FourCC, u64)>> {
        let Some(header) = Option::<Header>::read_from(&mut self.input)? else {
            return Ok(None);
        };
        let size = header.size.ok_or(Error::Layout("a box without a size"))?;
        Ok(Some((header.kind, size as u64)))
    }

    /// Grows with what is there, not with what the header promises.
    fn body(&mut self, size: u64, limit: u64) -> Result<Vec<u8>> {
        if size > limit {
            return Err(Error::Layout("a box is too large"));
        }
        let mut body = Vec::new();
        self.input.by_ref().take(size).read_to_end(&mut body)?;
        if body.len() as u64 == size {
            Ok(body)
        } else {
            Err(Error::Truncated)
        }
    }

    fn skip(&mut self, size: u64) -> Result<()> {
        let skipped = io::copy(&mut self.input.by_ref().take(size), &mut io::sink())?;
        if skipped == size { Ok(()) } else { Err(Error::Truncated) }
    }
}

const MDAT: FourCC = FourCC::new(b"mdat");
const BOX_HEADER: u64 = 8;

fn append(bytes: &mut Vec<u8>, kind: FourCC, body: &[u8]) -> Result<()> {
    Header {
        kind,
        size: Some(body.len()),
    }
    .encode(bytes)?;
    bytes.extend_from_slice(body);
    Ok(())
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Sample {
    duration: u32,
    size: u32,
    flags: u32,
    cts: i64,
}

/// H.264 7.4.1: the types of what a picture consists of, and of marks between pictures.
const SLICE: u8 = 1;
const IDR: u8 = 5;
const DELIMITER: u8 = 9;

/// Types of the units of a sample; none if it is not what it should be. ffmpeg writes lengths of four bytes.
fn units(mut sample: &[u8]) -> Option<Vec<u8>> {
    let mut types = Vec::new();
    while let Some((length, rest)) = sample.split_first_chunk() {
        let (unit, rest) = rest.split_at_checked(usize::try_from(u32::from_be_bytes(*length)).ok()?)?;
        types.push(unit.first()? & 0x1f);
        sample = rest;
    }
    sample.is_empty().then_some(types)
}

/// ISO/IEC 14496-12 8.8.3.1: `sample_is_non_sync_sample`.
const NOT_SYNC: u32 = 0x0001_0000;

impl Sample {
    fn is_sync(&self) -> bool {
        self.flags & NOT_SYNC == 0
    }
}

impl Fragment {
    fn traf(&self, track: &Description) -> Result<&Traf> {
        match self.moof.traf.as_slice() {
            [traf] if traf.tfhd.track_id == track.id => Ok(traf),
            [_] => Err(Error::Layout("an unknown track")),
            _ => Err(Error::SeveralTracks),
        }
    }

    /// The samples, whose bytes are `data` from its start and without gaps.
    fn samples(&self, track: &Description) -> Result<Vec<Sample>> {
        let traf = self.traf(track)?;
        let [trun] = traf.trun.as_slice() else {
            return Err(Error::Layout("not one trun"));
        };
        // 16 with a 64-bit size.
        let starts = [BOX_HEADER, 16].map(|header| i64::try_from(self.moof_size + header).ok());
        if !starts.contains(&trun.data_offset.map(i64::from)) {
            return Err(Error::Layout("samples do not start with the mdat"));
        }
        if trun.samples.is_empty() || trun.samples.len() > self.data.len() {
            return Err(Error::Layout("no samples, or empty ones"));
        }
        let samples: Vec<Sample> = trun
            .samples
            .iter()
            .map(|entry| sample(&entry, &traf.tfhd, &track.defaults))
            .collect();
        let size: u64 = samples.iter().map(|sample| u64::from(sample.size)).sum();
        if size == self.data.len() as u64 {
            Ok(samples)
        } else {
            Err(Error::Layout("samples do not fill the mdat"))
        }
    }

    fn decode_time(&self, track: &Description) -> Result<u64> {
        let tfdt = self.traf(track)?.tfdt.as_ref().ok_or(Error::Missing("tfdt"))?;
        Ok(tfdt.base_media_decode_time)
    }
}

fn sample(entry: &TrunEntry, header: &Tfhd, defaults: &Trex) -> Sample {
    let duration = entry.duration.or(header.default_sample_duration);
    let size = entry.size.or(header.default_sample_size);
    let flags = entry.flags.or(header.default_sample_flags);
    Sample {
        duration: duration.unwrap_or(defaults.default_sample_duration),
        size: size.unwrap_or(defaults.default_sample_size),
        flags: flags.unwrap_or(defaults.default_sample_flags),
        cts: entry.cts.unwrap_or(0),
    }
}

/// Collects samples into chunks (a `moof` and its `mdat`), and chunks into segments.
struct Splitter<'a> {
    cut: &'a Cut,
    track: Description,
    /// `tfdt` of the first fragment read: ours counts from `cut.first_frame` instead.
    origin: Option<u64>,
    chunk: Chunk,
    /// Ticks before the chunk under way.
    elapsed: u64,
    segment: Vec<u8>,
    segment_ticks: u64,
    keyframes: Vec<Keyframe>,
    sequence_number: u32,
    samples: u64,
    segments: Vec<Segment>,
    /// By how much the first picture of a copy is shown later than it is decoded. Its edit list takes that back, so that
    /// it is the same for all that follow.
    delay: Option<i64>,
    /// What the fragments read say of their times, in which a copy's own are not counted.
    read: u64,
}

#[derive(Default)]
struct Chunk {
    samples: Vec<Sample>,
    data: Vec<u8>,
    ticks: u64,
}

impl Chunk {
    fn push(&mut self, sample: &Sample, bytes: &[u8]) {
        self.samples.push(*sample);
        self.data.extend_from_slice(bytes);
        self.ticks += u64::from(sample.duration);
    }
}

impl<'a> Splitter<'a> {
    fn new(cut: &'a Cut, track: Description) -> Self {
        Self {
            cut,
            track,
            origin: None,
            chunk: Chunk::default(),
            elapsed: 0,
            segment: Vec::new(),
            segment_ticks: 0,
            keyframes: Vec::new(),
            sequence_number: cut.sequence_number,
            samples: 0,
            segments: Vec::new(),
            delay: None,
            read: 0,
        }
    }

    fn take(&mut self, fragment: &Fragment, sink: &mut impl FnMut(Piece<'_>) -> io::Result<()>) -> Result<()> {
        let samples = fragment.samples(&self.track)?;
        self.check_time(fragment.decode_time(&self.track)?)?;
        self.read += samples.iter().map(|sample| u64::from(sample.duration)).sum::<u64>();
        match self.cut.kind {
            Kind::Video => self.take_gop(&samples, &fragment.data, sink),
            Kind::Copy => {
                let samples = self.on_the_grid(&samples, &fragment.data)?;
                self.delay = self.delay.or(samples.first().map(|sample| sample.cts));
                self.take_gop(&samples, &fragment.data, sink)
            }
            Kind::Audio => self.take_sound(&samples, &fragment.data, sink),
        }
    }

    /// Durations alone place the samples, so they have to add up to what ffmpeg wrote down.
    fn check_time(&mut self, decode_time: u64) -> Result<()> {
        let origin = *self.origin.get_or_insert(decode_time);
        let expected = origin.checked_add(self.read);
        if expected == Some(decode_time) {
            Ok(())
        } else {
            Err(Error::Gap(self.sequence_number))
        }
    }

    fn take_gop(
        &mut self,
        samples: &[Sample],
        data: &[u8],
        sink: &mut impl FnMut(Piece<'_>) -> io::Result<()>,
    ) -> Result<()> {
        let (key, others) = samples.split_first().ok_or(Error::Missing("samples"))?;
        let (key_data, data) = data.split_at_checked(key.size as usize).ok_or(Error::Truncated)?;
        if !key.is_sync() {
            return Err(Error::NoKeyframe(self.sequence_number));
        }
        let offset = self.segment.len() as u64;
        self.chunk.push(key, key_data);
        self.end_chunk()?;
        let size = self.segment.len() as u64 - offset;
        for (sample, bytes) in with_bytes(others, data) {
            self.chunk.push(sample, bytes);
        }
        self.end_chunk()?;
        let ticks = samples.iter().map(|sample| u64::from(sample.duration)).sum();
        self.keyframes.push(Keyframe {
            offset,
            size,
            duration: seconds(ticks, self.track.timescale),
        });
        if !self.is_last() && self.cut.first_frame + self.samples >= self.end() {
            self.end_segment(sink)?;
        }
        Ok(())
    }

    /// The samples of a closed GOP with the times of the grid. Each keeps its place: they are shown in the order of their
    /// own times, which may be off by less than half a frame.
    fn on_the_grid(&self, samples: &[Sample], data: &[u8]) -> Result<Vec<Sample>> {
        let uncommon = |why| Error::Uncommon(self.sequence_number, why);
        for (place, (_, bytes)) in with_bytes(samples, data).enumerate() {
            let types = units(bytes).ok_or(uncommon("a sample is damaged"))?;
            let picture = if place == 0 { IDR } else { SLICE };
            if !types.contains(&picture) || types.iter().any(|ty| ![picture, DELIMITER].contains(ty)) {
                return Err(uncommon("not one IDR and what depends on it"));
            }
        }
        let tick = i64::try_from(self.cut.ticks(1, self.track.timescale)).unwrap_or(i64::MAX);
        let delay = self.delay.unwrap_or(samples.first().map_or(0, |sample| sample.cts));
        let mut decoded = 0_i64;
        let mut shown: Vec<(i64, usize)> = Vec::with_capacity(samples.len());
        for (place, sample) in samples.iter().enumerate() {
            shown.push((decoded.saturating_add(sample.cts).saturating_sub(delay), place));
            decoded = decoded.saturating_add(i64::from(sample.duration));
        }
        shown.sort_unstable();
        let mut on_grid = samples.to_vec();
        for (rank, (time, place)) in shown.into_iter().enumerate() {
            let (rank, before) = (as_ticks(rank, tick), as_ticks(place, tick));
            if time.abs_diff(rank).saturating_mul(2) >= tick.unsigned_abs() {
                return Err(uncommon("its frames do not follow each other evenly"));
            }
            on_grid[place].cts = rank.saturating_sub(before).saturating_add(delay);
            on_grid[place].duration = u32::try_from(tick).unwrap_or(u32::MAX);
        }
        Ok(on_grid)
    }

    fn take_sound(
        &mut self,
        samples: &[Sample],
        data: &[u8],
        sink: &mut impl FnMut(Piece<'_>) -> io::Result<()>,
    ) -> Result<()> {
        for (sample, bytes) in with_bytes(samples, data) {
            if self.sound_ends_before(sample) {
                self.end_chunk()?;
                self.end_segment(sink)?;
            }
            self.chunk.push(sample, bytes);
        }
        Ok(())
    }

    /// A sound segment ends with the sample nearest to where the picture's does.
    fn sound_ends_before(&self, sample: &Sample) -> bool {
        if self.is_last() || self.chunk.samples.is_empty() {
            return false;
        }
        let frame = self.end();
        let middle = self.elapsed + self.chunk.ticks + u64::from(sample.duration / 2);
        middle > self.cut.ticks(frame, self.track.timescale)
    }

    /// The clip's last segment takes what is left, whatever its length.
    fn is_last(&self) -> bool {
        self.segments.len() + 1 >= self.cut.ends.len()
    }

    /// The frame behind the segment under way.
    fn end(&self) -> u64 {
        self.cut.ends.get(self.segments.len()).copied().unwrap_or(u64::MAX)
    }

    fn end_chunk(&mut self) -> Result<()> {
        let chunk = std::mem::take(&mut self.chunk);
        if chunk.samples.is_empty() {
            return Ok(());
        }
        let moof = self.moof(&chunk)?;
        self.segment.extend_from_slice(&moof);
        append(&mut self.segment, MDAT, &chunk.data)?;
        self.sequence_number = self.sequence_number.wrapping_add(1);
        self.samples += chunk.samples.len() as u64;
        self.elapsed += chunk.ticks;
        self.segment_ticks += chunk.ticks;
        Ok(())
    }

    fn moof(&self, chunk: &Chunk) -> Result<Vec<u8>> {
        let base = self.cut.ticks(self.cut.first_frame, self.track.timescale);
        let mut moof = Moof {
            mfhd: Mfhd {
                sequence_number: self.sequence_number,
            },
            traf: vec![traf(self.track.id, base.saturating_add(self.elapsed), &chunk.samples)],
        };
        let mut bytes = Vec::new();
        moof.encode(&mut bytes)?;
        // Its own size is known only now, and stays as it is.
        let offset = bytes.len() as u64 + BOX_HEADER;
        moof.traf[0].trun[0].data_offset = i32::try_from(offset).ok();
        bytes.clear();
        moof.encode(&mut bytes)?;
        Ok(bytes)
    }

    fn end_segment(&mut self, sink: &mut impl FnMut(Piece<'_>) -> io::Result<()>) -> Result<()> {
        if self.segment.is_empty() {
            return Ok(());
        }
        let segment = Segment {
            duration: seconds(self.segment_ticks, self.track.timescale),
            size: self.segment.len() as u64,
            keyframes: std::mem::take(&mut self.keyframes),
        };
        sink(Piece::Segment(&segment, &self.segment))?;
        self.segments.push(segment);
        self.segment.clear();
        self.segment_ticks = 0;
        Ok(())
    }

    fn finish(mut self, init: &[u8], sink: &mut impl FnMut(Piece<'_>) -> io::Result<()>) -> Result<Track> {
        self.end_chunk()?;
        self.end_segment(sink)?;
        if self.segments.is_empty() {
            return Err(Error::Empty);
        }
        Ok(Track {
            codecs: self.track.codecs,
            timescale: self.track.timescale,
            ticks: self.elapsed,
            samples: self.samples,
            init_size: init.len() as u64,
            init_hash: fnv(init),
            segments: self.segments,
        })
    }
}

/// Each sample with its bytes, which `Fragment::samples` has checked to be there.
fn with_bytes<'a>(samples: &'a [Sample], mut data: &'a [u8]) -> impl Iterator<Item = (&'a Sample, &'a [u8])> {
    samples.iter().map(move |sample| {
        let (bytes, rest) = data.split_at((sample.size as usize).min(data.len()));
        data = rest;
        (sample, bytes)
    })
}

/// What most samples share is said once, in the header.
fn traf(track_id: u32, decode_time: u64, samples: &[Sample]) -> Traf {
    let typical = samples.last().copied();
    let duration = typical.map(|sample| sample.duration);
    let flags = typical.map(|sample| sample.flags);
    let same_duration = samples.iter().all(|sample| Some(sample.duration) == duration);
    let same_flags = samples.iter().skip(1).all(|sample| Some(sample.flags) == flags);
    let reordered = samples.iter().any(|sample| sample.cts != 0);
    let entries = samples.iter().map(|sample| TrunEntry {
        duration: (!same_duration).then_some(sample.duration),
        size: Some(sample.size),
        flags: (!same_flags || Some(sample.flags) != flags).then_some(sample.flags),
        cts: reordered.then_some(sample.cts),
    });
    let trun = Trun {
        data_offset: Some(0),
        samples: TrunSamples::Explicit(entries.collect()),
    };
    Traf {
        tfhd: Tfhd {
            track_id,
            default_sample_duration: duration,
            default_sample_flags: flags,
            default_base_is_moof: true,
            ..Tfhd::default()
        },
        tfdt: Some(Tfdt {
            base_media_decode_time: decode_time,
        }),
        trun: vec![trun],
        ..Traf::default()
    }
}

fn as_ticks(frames: usize, tick: i64) -> i64 {
    i64::try_from(frames).unwrap_or(i64::MAX).saturating_mul(tick)
}

#[expect(clippy::cast_precision_loss, reason = "a clip of 2^52 ticks has no end")]
fn seconds(ticks: u64, timescale: u32) -> f64 {
    ticks as f64 / f64::from(timescale)
}

/// FNV-1a: tells init segments of one encoder apart, and is the same on every machine.
fn fnv(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

#[cfg(test)]
mod tests;
