//! Media segments: their fragments, down to the samples and the NAL units that say what a picture is.

use crate::boxes::{Atom, Reader, all, find, name, walk};
use crate::init::{Track, Units};

/// The samples of one track in one segment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Content {
    pub(crate) fragments: Vec<Fragment>,
    /// Top-level boxes, in order.
    pub(crate) layout: Vec<[u8; 4]>,
    /// What is wrong with it.
    pub(crate) faults: Vec<String>,
}

/// A `moof`, and what it says of the samples in its `mdat`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Fragment {
    pub(crate) sequence_number: u32,
    /// Ticks: `tfdt`.
    pub(crate) decode_time: Option<u64>,
    /// Which sample entry.
    pub(crate) description: u32,
    pub(crate) samples: Vec<Sample>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Sample {
    /// Ticks.
    pub(crate) duration: u32,
    pub(crate) composition: i64,
    /// By its flags.
    pub(crate) sync: bool,
    /// By its NAL units; none where there are none to read.
    pub(crate) idr: Option<bool>,
}

impl Fragment {
    pub(crate) fn ticks(&self) -> u64 {
        self.samples.iter().map(|sample| u64::from(sample.duration)).sum()
    }
}

impl Sample {
    /// A picture with which decoding can begin, by the best evidence.
    pub(crate) fn is_idr(&self) -> bool {
        self.idr.unwrap_or(self.sync)
    }
}

impl Content {
    pub(crate) fn parse(bytes: &[u8], track: &Track) -> Self {
        let mut content = Self::default();
        let (atoms, fault) = walk(bytes);
        content.layout = atoms.iter().map(|atom| atom.kind).collect();
        content.faults.extend(fault);
        for (position, atom) in atoms.iter().enumerate() {
            if &atom.kind != b"moof" {
                continue;
            }
            if atoms.get(position + 1).is_none_or(|next| &next.kind != b"mdat") {
                content.faults.push("no mdat follows a moof".to_owned());
            }
            match fragment(bytes, &atoms, atom, track, &mut content.faults) {
                Ok(fragment) => content.fragments.push(fragment),
                Err(fault) => content.faults.push(fault),
            }
        }
        if content.fragments.is_empty() && content.faults.is_empty() {
            content.faults.push("there is no moof".to_owned());
        }
        content
    }

    pub(crate) fn samples(&self) -> impl Iterator<Item = &Sample> {
        self.fragments.iter().flat_map(|fragment| &fragment.samples)
    }

    pub(crate) fn ticks(&self) -> u64 {
        self.fragments.iter().map(Fragment::ticks).sum()
    }
}

/// Flags of `tfhd` (ISO/IEC 14496-12 8.8.7) and `trun` (8.8.8).
const BASE_OFFSET: u32 = 0x1;
const DESCRIPTION: u32 = 0x2;
const DEFAULT_DURATION: u32 = 0x8;
const DEFAULT_SIZE: u32 = 0x10;
const DEFAULT_FLAGS: u32 = 0x20;
const DATA_OFFSET: u32 = 0x1;
const FIRST_FLAGS: u32 = 0x4;
const DURATION: u32 = 0x100;
const SIZE: u32 = 0x200;
const FLAGS: u32 = 0x400;
const COMPOSITION: u32 = 0x800;
/// `sample_is_non_sync_sample` (8.8.3.1).
const NOT_SYNC: u32 = 0x0001_0000;

/// What samples are when their run does not say otherwise.
struct Header {
    base: u64,
    description: u32,
    duration: u32,
    size: u32,
    flags: u32,
}

fn fragment(
    bytes: &[u8],
    atoms: &[Atom<'_>],
    moof: &Atom<'_>,
    track: &Track,
    faults: &mut Vec<String>,
) -> Result<Fragment, String> {
    let mfhd = crate::boxes::need(moof.body, *b"mfhd")?;
    let sequence_number = Reader(mfhd.get(4..).unwrap_or_default())
        .u32()
        .ok_or("mfhd ends early")?;
    let (header, traf) = own_traf(moof, track).ok_or_else(|| format!("a moof has nothing of track {}", track.id))?;
    let mut runs = Runs {
        position: header.base,
        header,
        data: Data {
            bytes,
            atoms,
            units: track.entries.first().and_then(|entry| entry.units),
        },
        samples: Vec::new(),
    };
    for trun in all(traf, *b"trun") {
        if let Err(fault) = runs.take(trun.body) {
            faults.push(format!("fragment {sequence_number}: {fault}"));
            break;
        }
    }
    Ok(Fragment {
        sequence_number,
        decode_time: find(traf, *b"tfdt").and_then(decode_time),
        description: runs.header.description,
        samples: runs.samples,
    })
}

fn own_traf<'a>(moof: &Atom<'a>, track: &Track) -> Option<(Header, &'a [u8])> {
    for traf in all(moof.body, *b"traf") {
        let header = find(traf.body, *b"tfhd").and_then(|tfhd| header(tfhd, moof.start as u64, track));
        if let Some(header) = header {
            return Some((header, traf.body));
        }
    }
    None
}

fn decode_time(body: &[u8]) -> Option<u64> {
    let mut reader = Reader(body);
    let (version, _) = reader.full()?;
    reader.wide(version)
}

/// None if it is another track's.
fn header(body: &[u8], moof: u64, track: &Track) -> Option<Header> {
    let mut reader = Reader(body);
    let (_, flags) = reader.full()?;
    let id = reader.u32()?;
    let mut header = Header {
        base: moof,
        description: track.defaults.description,
        duration: track.defaults.duration,
        size: track.defaults.size,
        flags: track.defaults.flags,
    };
    if flags & BASE_OFFSET != 0 {
        header.base = reader.u64()?;
    }
    for (flag, field) in [
        (DESCRIPTION, &mut header.description),
        (DEFAULT_DURATION, &mut header.duration),
        (DEFAULT_SIZE, &mut header.size),
        (DEFAULT_FLAGS, &mut header.flags),
    ] {
        if flags & flag != 0 {
            *field = reader.u32()?;
        }
    }
    (id == track.id).then_some(header)
}

/// Where the bytes of samples lie.
struct Data<'a> {
    bytes: &'a [u8],
    atoms: &'a [Atom<'a>],
    units: Option<Units>,
}

impl<'a> Data<'a> {
    /// The bytes of a sample, if they are inside an `mdat`.
    fn sample(&self, position: u64, size: u32) -> Option<&'a [u8]> {
        let start = usize::try_from(position).ok()?;
        let end = start.checked_add(usize::try_from(size).ok()?)?;
        let inside = |atom: &Atom<'_>| &atom.kind == b"mdat" && atom.body_start <= start && end <= atom.end();
        self.atoms.iter().any(inside).then(|| self.bytes.get(start..end))?
    }
}

struct Runs<'a> {
    header: Header,
    data: Data<'a>,
    /// Of the next sample.
    position: u64,
    samples: Vec<Sample>,
}

impl Runs<'_> {
    fn take(&mut self, body: &[u8]) -> Result<(), String> {
        let early = "trun ends early";
        let mut reader = Reader(body);
        let (_, flags) = reader.full().ok_or(early)?;
        let count = reader.u32().ok_or(early)?;
        if flags & DATA_OFFSET != 0 {
            let offset = reader.i32().ok_or(early)?;
            let position = self.header.base.checked_add_signed(offset.into());
            self.position = position.ok_or("the samples lie before the segment")?;
        }
        let mut first_flags = None;
        if flags & FIRST_FLAGS != 0 {
            first_flags = Some(reader.u32().ok_or(early)?);
        }
        for _ in 0..count {
            let own = first_flags.take();
            self.sample(&mut reader, flags, own).ok_or(early)??;
        }
        Ok(())
    }

    /// None if the run ends early.
    fn sample(&mut self, reader: &mut Reader<'_>, flags: u32, first: Option<u32>) -> Option<Result<(), String>> {
        let mut field = |flag, default| if flags & flag == 0 { Some(default) } else { reader.u32() };
        let duration = field(DURATION, self.header.duration)?;
        let size = field(SIZE, self.header.size)?;
        let own = field(FLAGS, first.unwrap_or(self.header.flags))?;
        // Version 0 has no negative offsets, and none so large that it would be taken for one.
        let composition = i64::from(field(COMPOSITION, 0)?.cast_signed());
        let number = self.samples.len();
        if size == 0 {
            return Some(Err(format!("sample {number} is empty")));
        }
        let Some(bytes) = self.data.sample(self.position, size) else {
            return Some(Err(format!(
                "the {size} bytes of sample {number} are not inside an mdat"
            )));
        };
        self.position += u64::from(size);
        let idr = match self.data.units.map(|units| is_idr(bytes, units)).transpose() {
            Ok(idr) => idr,
            Err(fault) => return Some(Err(format!("in sample {number} {fault}"))),
        };
        self.samples.push(Sample {
            duration,
            composition,
            sync: own & NOT_SYNC == 0,
            idr,
        });
        Some(Ok(()))
    }
}

/// Whether the picture is an IDR one, by its first slice. The units have to fill the sample.
fn is_idr(bytes: &[u8], units: Units) -> Result<bool, String> {
    let mut reader = Reader(bytes);
    let mut idr = None;
    while !reader.0.is_empty() {
        let length = reader.take(units.length_size).map(|length| {
            let digit = |sum: usize, byte: &u8| sum << 8 | usize::from(*byte);
            length.iter().fold(0, digit)
        });
        let unit = length.and_then(|length| reader.take(length));
        let unit = unit.ok_or("the NAL units do not fill the sample")?;
        let byte = *unit.first().ok_or("a NAL unit is empty")?;
        idr = idr.or(slice(byte, units.hevc));
    }
    idr.ok_or_else(|| "there is no slice of a picture".to_owned())
}

/// Whether a slice is of an IDR picture; none if the unit is no slice.
fn slice(byte: u8, hevc: bool) -> Option<bool> {
    if hevc {
        let kind = byte >> 1 & 0x3f;
        (kind < 32).then_some(matches!(kind, 19 | 20))
    } else {
        let kind = byte & 0x1f;
        (1..=5).contains(&kind).then_some(kind == 5)
    }
}

impl Content {
    /// The names of the top-level boxes.
    pub(crate) fn layout(&self) -> String {
        let names: Vec<_> = self.layout.iter().copied().map(name).collect();
        names.join(" ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::init::Init;
    use crate::testing::{Show, init_bytes, segment_bytes};
    use proptest::prelude::*;

    fn read(show: &Show, track: usize) -> Content {
        let track = &show.tracks[track];
        let init = Init::parse(&init_bytes(track)).unwrap();
        Content::parse(&segment_bytes(track, 0), init.main().unwrap())
    }

    #[test]
    fn a_segment_is_read_down_to_its_pictures() {
        let content = read(&Show::new(), 0);
        assert_eq!(content.faults, [""; 0]);
        assert_eq!(content.layout(), "moof mdat moof mdat moof mdat moof mdat");
        assert_eq!(content.fragments[1].decode_time, Some(512));
        assert_eq!(content.fragments[1].sequence_number, 2);
        assert_eq!(content.ticks(), 120 * 512);
        let idrs: Vec<_> = content
            .samples()
            .enumerate()
            .filter(|(_, sample)| sample.is_idr())
            .collect();
        assert_eq!(idrs.iter().map(|(position, _)| *position).collect::<Vec<_>>(), [0, 60]);
        assert!(content.samples().all(|sample| sample.composition == 1024));
        assert!(content.samples().all(|sample| sample.idr == Some(sample.sync)));
    }

    #[test]
    fn sounds_have_no_slices() {
        let content = read(&Show::new(), 2);
        assert_eq!((content.faults.len(), content.fragments.len()), (0, 1));
        assert!(content.samples().all(|sample| sample.idr.is_none() && sample.sync));
    }

    #[test]
    fn what_is_wrong_is_told() {
        let mut show = Show::new();
        show.tracks[0].segments[0].fragments[0].data_offset = 1;
        assert_eq!(
            read(&show, 0).faults,
            ["fragment 1: the 100 bytes of sample 0 are not inside an mdat"]
        );
        let mut show = Show::new();
        show.tracks[0].segments[0].fragments[0].samples[0].broken_units = true;
        assert_eq!(
            read(&show, 0).faults,
            ["fragment 1: in sample 0 the NAL units do not fill the sample"]
        );
        let track = Init::parse(&init_bytes(&show.tracks[0])).unwrap();
        let content = Content::parse(b"\0\0\0\x08styp", track.main().unwrap());
        assert_eq!(content.faults, ["there is no moof"]);
    }

    #[test]
    fn pictures_of_hevc_are_told_apart() {
        assert_eq!(slice(19 << 1, true), Some(true));
        assert_eq!(slice(1 << 1, true), Some(false));
        assert_eq!(slice(33 << 1, true), None);
    }

    proptest! {
        #[test]
        fn damage_is_survived(at in 0_usize..900, bytes in prop::collection::vec(any::<u8>(), 1..5), length in 0_usize..9000) {
            let show = Show::new();
            let track = Init::parse(&init_bytes(&show.tracks[0])).unwrap();
            let mut segment = segment_bytes(&show.tracks[0], 0);
            segment[at..at + bytes.len()].copy_from_slice(&bytes);
            Content::parse(&segment, track.main().unwrap());
            segment.truncate(length);
            Content::parse(&segment, track.main().unwrap());
        }
    }
}
