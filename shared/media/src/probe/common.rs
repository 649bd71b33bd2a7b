//! Whether a picture is what every player takes, so that it need not be encoded to be watched: H.264 with eight bits and
//! 4:2:0, progressive, upright, of square pixels and BT.709 colors, described once, in closed groups that follow each other
//! evenly.
//!
//! [`groups`] says so of ffprobe's listing, which knows frames and keyframes. [`confirmed`] looks at the samples themselves,
//! since a container may call a keyframe what is none. Only MP4 is looked at: there every sample lies where the listing
//! says, and is described once for all.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

use super::boxes::{Description, described};
use super::listing::{Listing, Packet, Stream};
use crate::filters;
use crate::source::{Gop, Source, Transfer};

/// A picture that can be taken as it is, as far as the listing says.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Candidate {
    stream: u32,
    pub(super) gops: Vec<Gop>,
    samples: Vec<Sample>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Sample {
    place: u64,
    size: u64,
    key: bool,
}

/// None if it has to be encoded like any other.
pub(super) fn groups(listing: &Listing, source: &Source) -> Option<Candidate> {
    let stream = listing
        .streams
        .iter()
        .find(|stream| stream.index == source.video.stream)?;
    if !is_common(stream, source) {
        return None;
    }
    let packets: Vec<&Packet> = listing.packets_of(stream).collect();
    let shown = order_shown(&packets)?;
    let samples: Option<Vec<Sample>> = packets.iter().map(|packet| sample(packet)).collect();
    let mut gops: Vec<Gop> = Vec::new();
    let mut begin = 0;
    for (place, packet) in packets.iter().enumerate() {
        if packet.flags.key {
            // Shown before what follows it, and after all before it.
            (shown[place] == place).then_some(())?;
            begin = place;
            gops.push(Gop { frames: 0, bytes: 0 });
        }
        (shown[place] >= begin).then_some(())?;
        let gop = gops.last_mut()?;
        gop.frames += 1;
        gop.bytes += packet.size?;
    }
    Some(Candidate {
        stream: stream.index,
        gops,
        samples: samples?,
    })
}

fn is_common(stream: &Stream, source: &Source) -> bool {
    let video = &source.video;
    source.demuxer == "mov"
        && stream.codec_tag_string == "avc1"
        && video.codec == "h264"
        && video.pixel_format == "yuv420p"
        && stream.is_progressive()
        && stream.is_upright()
        && (video.width, video.height) == (stream.width, stream.height)
        && !video.variable_frame_rate
        && video.start >= 0.0
        && video.transfer == Transfer::Sdr
        && !video.wide_gamut
        && video.color_range.as_deref().is_none_or(|range| range == "tv")
        && filters::is_bt709(video)
}

fn sample(packet: &Packet) -> Option<Sample> {
    Some(Sample {
        place: packet.place?,
        size: packet.size?,
        key: packet.flags.key,
    })
}

/// As which frame each packet is shown; none if one is cut away, or they do not follow each other evenly.
fn order_shown(packets: &[&Packet]) -> Option<Vec<usize>> {
    /// Part of a frame's time by which it may be off.
    const OFF: f64 = 0.4;
    let whole = packets.iter().all(|packet| !packet.flags.discarded);
    let times: Option<Vec<f64>> = packets.iter().map(|packet| packet.pts).collect();
    let times = times.filter(|_| whole)?;
    let mut order: Vec<usize> = (0..times.len()).collect();
    order.sort_by(|one, other| times[*one].total_cmp(&times[*other]));
    let (first, last) = (times[*order.first()?], times[*order.last()?]);
    let count = |frames: usize| f64::from(u32::try_from(frames).unwrap_or(u32::MAX));
    let step = (last - first) / count(times.len().saturating_sub(1)).max(1.0);
    let mut shown = vec![0; times.len()];
    for (frame, packet) in order.into_iter().enumerate() {
        shown[packet] = frame;
        let off = times[packet] - first - step * count(frame);
        (off.abs() <= step * OFF).then_some(())?;
    }
    Some(shown)
}

/// Whether the samples are what the listing says.
pub(super) fn confirmed(file: &Path, candidate: &Candidate) -> io::Result<bool> {
    let mut file = File::open(file)?;
    let description = described(&mut file, candidate.stream, *b"avc1", *b"avcC")?;
    let Some(length) = description.as_ref().and_then(length_size) else {
        return Ok(false);
    };
    for sample in &candidate.samples {
        if !is_whole(&file, *sample, length)? {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Bytes of the length before each unit, where the picture has one description with one set of parameters (ISO/IEC
/// 14496-15 5.3.3.1).
fn length_size(description: &Description) -> Option<usize> {
    /// Baseline, Main and High.
    const PROFILES: [u8; 3] = [66, 77, 100];
    let record = &description.record;
    let once = description.entries == 1 && record.get(5)? & 0x1f == 1 && PROFILES.contains(record.get(1)?);
    let [high, low] = *record.get(6..)?.first_chunk()?;
    let pictures = record.get(8 + usize::from(u16::from_be_bytes([high, low])))?;
    (once && *pictures == 1).then_some(usize::from(record.get(4)? & 3) + 1)
}

/// H.264 7.4.1.
const SLICE: u8 = 1;
const IDR: u8 = 5;
const ENHANCEMENT: u8 = 6;
const DELIMITER: u8 = 9;
const FILLER: u8 = 12;

/// Whether a sample has the slices of one picture, and nothing else that decoders would have to heed.
fn is_whole(file: &File, sample: Sample, length: usize) -> io::Result<bool> {
    let slice = if sample.key { IDR } else { SLICE };
    let (mut place, end) = (sample.place, sample.place.saturating_add(sample.size));
    let mut slices = 0;
    while place < end {
        let mut header = [0; 5];
        let header = &mut header[..=length];
        match file.read_exact_at(header, place) {
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(false),
            read => read?,
        }
        let (size, ty) = header.split_at(length);
        let size = size.iter().fold(0_u64, |size, byte| size << 8 | u64::from(*byte));
        match ty[0] & 0x1f {
            ty if ty == slice => slices += 1,
            ENHANCEMENT | DELIMITER | FILLER => {}
            _ => return Ok(false),
        }
        place = place.saturating_add(size.max(1)).saturating_add(length as u64);
    }
    Ok(slices > 0 && place == end)
}
