//! Whether every second picture can be left undecoded: those that no other refers to, where what is left still follows evenly.
//! Cameras and encoders make HEVC so, with one such picture between two others; it halves what the picture's decoding costs.
//!
//! [`pictures`] goes by ffprobe's listing, [`confirmed`] by the samples' own headers: no container says it reliably. Only HEVC
//! in MP4 is looked at, which is what is dear to decode, and of which every sample lies where the listing says.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

use super::boxes::described;
use super::listing::{Listing, Packet};
use crate::source::Source;

/// A picture that may be thinned out, as far as the listing says.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Candidate {
    stream: u32,
    /// What its samples are described as.
    entry: [u8; 4],
    /// Seconds from one picture to the next.
    step: f64,
    /// In the order in which they are shown.
    pictures: Vec<Picture>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
struct Picture {
    time: f64,
    place: u64,
    size: u64,
}

/// What its header says of a picture.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Header {
    /// No picture of its temporal sub-layer refers to it.
    spare: bool,
    sublayer: u8,
}

/// Pictures a second that have to be left.
const FLUENT: f64 = 24.0;

/// None if it is not to be thinned out.
pub(super) fn pictures(listing: &Listing, source: &Source) -> Option<Candidate> {
    let stream = listing
        .streams
        .iter()
        .find(|stream| stream.index == source.video.stream)?;
    let mut entries = [*b"hvc1", *b"hev1"].into_iter();
    let entry = entries.find(|entry| stream.codec_tag_string.as_bytes() == entry)?;
    let video = &source.video;
    let fluent = !video.variable_frame_rate && video.frame_rate.as_f64() / 2.0 >= FLUENT;
    (source.demuxer == "mov" && fluent).then_some(())?;
    let pictures: Option<Vec<Picture>> = listing.packets_of(stream).map(picture).collect();
    let mut pictures = pictures?;
    pictures.sort_by(|one, other| one.time.total_cmp(&other.time));
    Some(Candidate {
        stream: stream.index,
        entry,
        step: 1.0 / video.frame_rate.as_f64(),
        pictures,
    })
}

fn picture(packet: &Packet) -> Option<Picture> {
    Some(Picture {
        time: packet.pts?,
        place: packet.place?,
        size: packet.size?,
    })
}

/// Whether the pictures are such.
pub(super) fn confirmed(file: &Path, candidate: &Candidate) -> io::Result<bool> {
    let mut file = File::open(file)?;
    let description = described(&mut file, candidate.stream, candidate.entry, *b"hvcC")?;
    let Some(length) = description.and_then(|description| length_size(&description.record)) else {
        return Ok(false);
    };
    let mut headers = Vec::with_capacity(candidate.pictures.len());
    for picture in &candidate.pictures {
        match header(&file, *picture, length)? {
            Some(header) => headers.push((picture.time, header)),
            None => return Ok(false),
        }
    }
    Ok(is_even(&headers, candidate.step))
}

/// Bytes of the length before each unit (ISO/IEC 14496-15 8.3.3.1).
fn length_size(record: &[u8]) -> Option<usize> {
    Some(usize::from(record.get(21)? & 3) + 1)
}

/// That of the first slice; none if there is none where one is to be.
fn header(file: &File, picture: Picture, length: usize) -> io::Result<Option<Header>> {
    /// Before a picture's slices: a delimiter, parameter sets, and what some encoder has to say.
    const BEFORE: usize = 32;
    let (mut place, end) = (picture.place, picture.place.saturating_add(picture.size));
    for _ in 0..BEFORE {
        let mut unit = [0; 6];
        let unit = &mut unit[..length + 2];
        if place.saturating_add(unit.len() as u64) > end {
            return Ok(None);
        }
        match file.read_exact_at(unit, place) {
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
            read => read?,
        }
        let (size, unit) = unit.split_at(length);
        if let Some(header) = of_slice([unit[0], unit[1]]) {
            return Ok(Some(header));
        }
        let size = size.iter().fold(0_u64, |size, byte| size << 8 | u64::from(*byte));
        place = place.saturating_add(size).saturating_add(length as u64);
    }
    Ok(None)
}

/// By the header of a unit (ITU-T H.265 7.3.1.2); none if it is no slice of the base layer.
fn of_slice(unit: [u8; 2]) -> Option<Header> {
    /// H.265 table 7-1: slices are below; up to `RSV_VCL_R15` those with even numbers are of what no other of the sub-layer
    /// refers to.
    const SLICES: u8 = 32;
    const SUBLAYERS: u8 = 16;
    let unit = u16::from_be_bytes(unit);
    let ty = u8::try_from(unit >> 9 & 0x3f).unwrap_or(u8::MAX);
    let (layer, sublayer) = (unit >> 3 & 0x3f, u8::try_from(unit & 7).unwrap_or(u8::MAX));
    (ty < SLICES && layer == 0).then_some(Header {
        spare: ty < SUBLAYERS && ty % 2 == 0,
        sublayer,
    })
}

/// Whether some pictures can be spared, and those left stand no longer than two. What no other of its sub-layer refers to,
/// those of a higher one might.
fn is_even(pictures: &[(f64, Header)], step: f64) -> bool {
    /// Part of a picture's time by which it may be off.
    const OFF: f64 = 0.4;
    let highest = pictures.iter().map(|(_, header)| header.sublayer).max();
    let mut spared = pictures.iter().filter(|(_, header)| header.spare).peekable();
    let some = spared.peek().is_some() && spared.all(|(_, header)| Some(header.sublayer) == highest);
    let left: Vec<f64> = pictures
        .iter()
        .filter(|(_, header)| !header.spare)
        .map(|(time, _)| *time)
        .collect();
    some && left.windows(2).all(|pair| pair[1] - pair[0] <= step * (2.0 + OFF))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Pictures at 60 a second: `P` is referred to, `b` is not, a digit is that of a sub-layer from there on.
    fn even(pictures: &str) -> bool {
        let mut sublayer = 1;
        let mut shown = Vec::new();
        for picture in pictures.chars() {
            match picture.to_digit(10) {
                Some(digit) => sublayer = u8::try_from(digit).unwrap(),
                None => shown.push(Header {
                    spare: picture == 'b',
                    sublayer,
                }),
            }
        }
        let times = (0_u32..).map(|number| f64::from(number) / 60.0);
        is_even(&times.zip(shown).collect::<Vec<_>>(), 1.0 / 60.0)
    }

    #[test]
    fn every_second_picture_can_be_spared() {
        assert!(even("PbPbPbP"));
        assert!(even("PbPPbPb"), "and no more than that");
        assert!(even("1P2b1P2b1P"));
    }

    #[test]
    fn pictures_that_would_be_missed_are_not_spared() {
        assert!(!even("PbbPbP"), "for three pictures' time one would stand");
        assert!(!even("PPPP"), "there is none to spare");
        assert!(!even("1P1b2P1P"), "a higher sub-layer may refer to it");
        assert!(!even(""));
    }

    #[test]
    fn headers_of_slices() {
        let spare = |spare, sublayer| Some(Header { spare, sublayer });
        assert_eq!(of_slice([0x26, 0x01]), spare(false, 1), "IDR_W_RADL");
        assert_eq!(of_slice([0x02, 0x01]), spare(false, 1), "TRAIL_R");
        assert_eq!(of_slice([0x00, 0x01]), spare(true, 1), "TRAIL_N");
        assert_eq!(of_slice([0x10, 0x02]), spare(true, 2), "RASL_N of the second sub-layer");
        assert_eq!(
            of_slice([0x2c, 0x01]),
            spare(false, 1),
            "no trailing picture has its number"
        );
        assert_eq!(of_slice([0x4e, 0x01]), None, "SEI");
        assert_eq!(of_slice([0x00, 0x09]), None, "another layer");
    }
}
