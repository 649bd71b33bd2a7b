//! The boxes of an MP4, as far as one has to look for oneself at what ffprobe does not say.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::ops::Range;

/// Larger indexes belong to films of many hours.
const MOST: u64 = 64 << 20;
const BOXES: usize = 100_000;

/// How the samples of a stream are described.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Description {
    /// So many others there are, with this one.
    pub(super) entries: u32,
    /// The decoder's configuration record of the first one of its kind.
    pub(super) record: Vec<u8>,
}

/// That of a stream by an entry of this kind and the record of this kind in it; none if there is no such.
pub(super) fn described(
    file: &mut File,
    stream: u32,
    entry: [u8; 4],
    record: [u8; 4],
) -> io::Result<Option<Description>> {
    let Some(place) = index(file)? else {
        return Ok(None);
    };
    let mut bytes = vec![0; usize::try_from(place.end - place.start).map_err(io::Error::other)?];
    file.seek(SeekFrom::Start(place.start))?;
    file.read_exact(&mut bytes)?;
    let stream = usize::try_from(stream).unwrap_or(usize::MAX);
    Ok(description(&bytes, stream, entry, record))
}

fn description(index: &[u8], stream: usize, entry: [u8; 4], record: [u8; 4]) -> Option<Description> {
    /// Before the boxes of a sample entry: ISO/IEC 14496-12 12.1.3.
    const FIELDS: usize = 78;
    let mut place = child(index, 0..index.len(), *b"trak", stream)?;
    for kind in [*b"mdia", *b"minf", *b"stbl", *b"stsd"] {
        place = child(index, place, kind, 0)?;
    }
    let entries = index.get(place.start + 4..place.end)?.first_chunk()?;
    let entry = child(index, place.start + 8..place.end, entry, 0)?;
    let record = child(index, entry.start + FIELDS..entry.end, record, 0)?;
    Some(Description {
        entries: u32::from_be_bytes(*entries),
        record: index.get(record)?.to_vec(),
    })
}

/// Where the content of `moov` lies.
pub(super) fn index(file: &mut (impl Read + Seek)) -> io::Result<Option<Range<u64>>> {
    let size = file.seek(SeekFrom::End(0))?;
    let mut place = 0_u64;
    for _ in 0..BOXES {
        if place.saturating_add(16) > size {
            return Ok(None);
        }
        file.seek(SeekFrom::Start(place))?;
        let (mut short, mut kind, mut long) = ([0; 4], [0; 4], [0; 8]);
        file.read_exact(&mut short)?;
        file.read_exact(&mut kind)?;
        file.read_exact(&mut long)?;
        let (begin, length) = match u32::from_be_bytes(short) {
            0 => (8, size - place),
            1 => (16, u64::from_be_bytes(long)),
            length => (8, u64::from(length)),
        };
        let Some(end) = place.checked_add(length).filter(|_| length >= begin) else {
            return Ok(None);
        };
        if kind == *b"moov" {
            let content = place + begin..end.min(size);
            return Ok((content.end - content.start <= MOST).then_some(content));
        }
        place = end;
    }
    Ok(None)
}

/// The content of the n-th box of this kind.
pub(super) fn child(bytes: &[u8], within: Range<usize>, kind: [u8; 4], nth: usize) -> Option<Range<usize>> {
    let mut place = within.start;
    let mut seen = 0;
    loop {
        let header = bytes.get(place..within.end)?.first_chunk::<8>()?;
        let [a, b, c, d, name @ ..] = *header;
        let length = usize::try_from(u32::from_be_bytes([a, b, c, d])).ok()?;
        let end = place
            .checked_add(length)
            .filter(|end| *end <= within.end && length >= 8)?;
        if name == kind {
            if seen == nth {
                return Some(place + 8..end);
            }
            seen += 1;
        }
        place = end;
    }
}
