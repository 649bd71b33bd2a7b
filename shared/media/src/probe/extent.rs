//! How much of a file is there, by what its container says of its own size.
//!
//! A copy that broke off keeps the beginning, and the beginning of most formats tells how long the whole is. Nothing
//! is decoded and nothing believed: the answer only ever speaks against a file. Formats that do not say (transport
//! streams, fragmented MP4) have no missing part.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::Path;

use crate::sniff::Container;

/// Boxes and chunks that are looked at; a fragmented film of an hour has some thousands.
const MOST: usize = 100_000;

/// What the container says of its film; none if it says nothing.
pub(super) fn extent(file: &Path, container: Container) -> io::Result<Option<Extent>> {
    let mut file = File::open(file)?;
    let size = file.metadata()?.len();
    let declared = match container {
        Container::Mp4 => media_boxes(&mut file, size),
        Container::Matroska => segment(&mut file),
        Container::Avi => riff(&mut file, size),
        _ => Ok(None),
    };
    match declared {
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(None),
        declared => declared,
    }
}

/// Bytes of film, as the container has it and as they are.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Extent {
    pub(super) said: u64,
    there: u64,
}

impl Extent {
    fn add(&mut self, begin: u64, length: u64, size: u64) {
        self.said = self.said.saturating_add(length);
        self.there = self.there.saturating_add(length.min(size.saturating_sub(begin)));
    }

    /// The part that is there, from 0 to 1.
    #[expect(clippy::cast_precision_loss, reason = "a part to within a millionth will do")]
    pub(super) fn part(&self) -> f64 {
        if self.said == 0 {
            1.0
        } else {
            self.there as f64 / self.said as f64
        }
    }
}

fn array<const N: usize>(file: &mut File) -> io::Result<[u8; N]> {
    let mut bytes = [0; N];
    file.read_exact(&mut bytes)?;
    Ok(bytes)
}

/// ISO/IEC 14496-12: the samples lie in `mdat`.
fn media_boxes(file: &mut File, size: u64) -> io::Result<Option<Extent>> {
    let mut extent = Extent::default();
    let mut place = 0_u64;
    for _ in 0..MOST {
        if place.saturating_add(8) > size {
            break;
        }
        file.seek(SeekFrom::Start(place))?;
        let [a, b, c, d, kind @ ..] = array::<8>(file)?;
        let length = match u32::from_be_bytes([a, b, c, d]) {
            // To the end, wherever that is.
            0 => break,
            1 => u64::from_be_bytes(array(file)?),
            length => length.into(),
        };
        if kind == *b"mdat" {
            extent.add(place, length, size);
        }
        // A box cannot be shorter than its header; what follows is no box.
        match place.checked_add(length) {
            Some(next) if length >= 8 => place = next,
            _ => break,
        }
    }
    Ok(Some(extent))
}

/// Matroska: one segment after the header. A live recording does not know its size.
fn segment(file: &mut File) -> io::Result<Option<Extent>> {
    const HEADER: [u8; 4] = *b"\x1a\x45\xdf\xa3";
    const SEGMENT: [u8; 4] = *b"\x18\x53\x80\x67";
    let size = file.metadata()?.len();
    if array::<4>(file)? != HEADER {
        return Ok(None);
    }
    let Some(header) = element_size(file)?.filter(|header| *header < size) else {
        return Ok(None);
    };
    let begin = file.stream_position()? + header;
    file.seek(SeekFrom::Start(begin))?;
    if array::<4>(file)? != SEGMENT {
        return Ok(None);
    }
    let length = element_size(file)?;
    let begin = file.stream_position()?;
    Ok(length.map(|length| {
        let mut extent = Extent::default();
        extent.add(begin, length, size);
        extent
    }))
}

/// RFC 8794 4: the zeros before the first one tell how many bytes there are. None if all others are ones: unknown.
fn element_size(file: &mut File) -> io::Result<Option<u64>> {
    let [first] = array::<1>(file)?;
    let more = first.leading_zeros();
    if more > 7 {
        return Ok(None);
    }
    let mut value = u64::from(first) & ((1 << (7 - more)) - 1);
    for _ in 0..more {
        let [byte] = array::<1>(file)?;
        value = value << 8 | u64::from(byte);
    }
    let unknown = (1 << (7 * (more + 1))) - 1;
    Ok((value != unknown).then_some(value))
}

/// AVI: one RIFF chunk, and more behind it where the file is larger than a gigabyte.
fn riff(file: &mut File, size: u64) -> io::Result<Option<Extent>> {
    let mut extent = Extent::default();
    let mut place = 0_u64;
    for _ in 0..MOST {
        if place.saturating_add(8) > size {
            break;
        }
        file.seek(SeekFrom::Start(place))?;
        let [kind @ .., a, b, c, d] = array::<8>(file)?;
        if kind != *b"RIFF" {
            break;
        }
        let length = u64::from(u32::from_le_bytes([a, b, c, d]));
        extent.add(place + 8, length, size);
        place += 8 + length + length % 2;
    }
    Ok(Some(extent))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn present_of(container: Container, bytes: &[u8]) -> f64 {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let file = dir.path().join("file");
        std::fs::write(&file, bytes).expect("it is ours");
        let extent = extent(&file, container).expect("it can be read");
        extent.map_or(1.0, |extent| extent.part())
    }

    #[track_caller]
    fn assert_part(container: Container, bytes: &[u8], part: f64) {
        let measured = present_of(container, bytes);
        assert!((measured - part).abs() < 0.01, "{measured} instead of {part}");
    }

    fn film(length: u32, there: usize) -> Vec<u8> {
        let begin = [&b"\0\0\0\x08ftyp\0\0\0\x0cmoov...."[..], &length.to_be_bytes(), b"mdat"].concat();
        [begin, vec![0; there - 8]].concat()
    }

    #[test]
    fn film_that_is_whole_or_has_no_end() {
        assert_part(Container::Mp4, &film(1000, 1000), 1.0);
        assert_part(Container::Mp4, &film(0, 1000), 1.0);
        assert_part(Container::Mp4, &film(1000, 2000), 1.0);
    }

    #[test]
    fn film_that_breaks_off() {
        assert_part(Container::Mp4, &film(1000, 400), 0.4);
        let long = [b"\0\0\0\x01mdat", &1000_u64.to_be_bytes()[..], &[0; 284]].concat();
        assert_part(Container::Mp4, &long, 0.3);
    }

    #[test]
    fn a_fragment_that_breaks_off_is_a_small_part_of_all() {
        let fragments = film(1000, 1000).repeat(9);
        assert_part(Container::Mp4, &[fragments, film(1000, 100)].concat(), 0.91);
    }

    fn matroska(size: &[u8], there: usize) -> Vec<u8> {
        [b"\x1a\x45\xdf\xa3\x83abc\x18\x53\x80\x67", size, &vec![0; there]].concat()
    }

    #[test]
    fn matroska_that_breaks_off() {
        assert_part(Container::Matroska, &matroska(b"\x43\xe8", 1000), 1.0);
        assert_part(Container::Matroska, &matroska(b"\x43\xe8", 250), 0.25);
        assert_part(Container::Matroska, &matroska(b"\x01\0\0\0\0\0\x03\xe8", 250), 0.25);
        assert_part(
            Container::Matroska,
            &matroska(b"\x01\xff\xff\xff\xff\xff\xff\xff", 250),
            1.0,
        );
    }

    #[test]
    fn avi_that_breaks_off() {
        let avi = |length: u32, there| [b"RIFF", &length.to_le_bytes()[..], &vec![0; there]].concat();
        assert_part(Container::Avi, &avi(1000, 1000), 1.0);
        assert_part(Container::Avi, &avi(1000, 100), 0.1);
        assert_part(Container::Avi, &[avi(1000, 1000), avi(1000, 200)].concat(), 0.6);
    }

    proptest::proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes: Vec<u8>, begin in 0..4_usize) {
            let begins: [&[u8]; 4] = [b"", b"\x1a\x45\xdf\xa3", b"RIFF", b"\0\0\0\x01mdat\xff\xff\xff\xff"];
            for container in [Container::Mp4, Container::Matroska, Container::Avi, Container::Flv] {
                let part = present_of(container, &[begins[begin], &bytes].concat());
                assert!((0.0..=1.0).contains(&part));
            }
        }
    }
}
