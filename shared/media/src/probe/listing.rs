//! What ffprobe prints, as data. Lenient: a field that is missing or odd is none, since a hostile file chooses them.

use std::str::FromStr;

use serde::{Deserialize, Deserializer};

use crate::source::Fraction;

#[derive(Debug, Default, Deserialize)]
pub(super) struct Listing {
    #[serde(default)]
    pub(super) packets: Vec<Packet>,
    #[serde(default)]
    pub(super) streams: Vec<Stream>,
    /// Which streams a broadcast shows together.
    #[serde(default)]
    programs: Vec<Program>,
}

#[derive(Debug, Default, Deserialize)]
struct Program {
    #[serde(default)]
    streams: Vec<Member>,
}

#[derive(Debug, Deserialize)]
struct Member {
    index: u32,
}

impl Program {
    fn has(&self, stream: u32) -> bool {
        self.streams.iter().any(|member| member.index == stream)
    }
}

impl Listing {
    pub(super) fn packets_of(&self, stream: &Stream) -> impl Iterator<Item = &Packet> {
        let index = stream.index;
        self.packets.iter().filter(move |packet| packet.stream_index == index)
    }

    /// Packets of this stream that are shown or heard.
    pub(super) fn shown(&self, stream: &Stream) -> usize {
        self.packets_of(stream).filter(|packet| !packet.flags.discarded).count()
    }

    /// Whether two streams belong to one programme; all do where there are none.
    pub(super) fn together(&self, one: u32, other: u32) -> bool {
        let mut of_one = self.programs.iter().filter(|program| program.has(one)).peekable();
        of_one.peek().is_none() || of_one.any(|program| program.has(other))
    }
}

#[derive(Clone, Debug, Default, Deserialize)]
pub(super) struct Packet {
    #[serde(default)]
    pub(super) stream_index: u32,
    #[serde(default, rename = "pts_time", deserialize_with = "parsed")]
    pub(super) pts: Option<f64>,
    #[serde(default, rename = "dts_time", deserialize_with = "parsed")]
    pub(super) dts: Option<f64>,
    #[serde(default, rename = "duration_time", deserialize_with = "parsed")]
    pub(super) duration: Option<f64>,
    /// Bytes.
    #[serde(default, deserialize_with = "parsed")]
    pub(super) size: Option<u64>,
    /// Where in the file it begins.
    #[serde(default, rename = "pos", deserialize_with = "parsed")]
    pub(super) place: Option<u64>,
    #[serde(default, deserialize_with = "flags")]
    pub(super) flags: Flags,
    #[serde(default, rename = "side_data_list", deserialize_with = "encrypted")]
    pub(super) encrypted: bool,
}

#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Flags {
    /// Can be decoded without those before it.
    pub(super) key: bool,
    /// Decoded, but not shown, because an edit list cuts it away.
    pub(super) discarded: bool,
}

#[derive(Clone, Debug, Default, Deserialize)]
pub(super) struct Stream {
    #[serde(default)]
    pub(super) index: u32,
    #[serde(default)]
    pub(super) codec_type: String,
    /// Missing where ffmpeg does not know the codec.
    pub(super) codec_name: Option<String>,
    #[serde(default)]
    pub(super) codec_tag_string: String,
    #[serde(default)]
    pub(super) width: u32,
    #[serde(default)]
    pub(super) height: u32,
    #[serde(default, deserialize_with = "ratio")]
    pub(super) sample_aspect_ratio: Option<Fraction>,
    pub(super) pix_fmt: Option<String>,
    pub(super) color_range: Option<String>,
    pub(super) color_space: Option<String>,
    pub(super) color_transfer: Option<String>,
    pub(super) color_primaries: Option<String>,
    field_order: Option<String>,
    /// As the container has it.
    #[serde(default, rename = "nb_frames", deserialize_with = "parsed")]
    pub(super) frames: Option<usize>,
    /// Seconds.
    #[serde(default, rename = "start_time", deserialize_with = "parsed")]
    pub(super) start: Option<f64>,
    #[serde(default, deserialize_with = "ratio")]
    pub(super) r_frame_rate: Option<Fraction>,
    #[serde(default, deserialize_with = "ratio")]
    pub(super) avg_frame_rate: Option<Fraction>,
    #[serde(default, deserialize_with = "parsed")]
    pub(super) sample_rate: Option<u32>,
    #[serde(default)]
    pub(super) channels: u32,
    #[serde(default)]
    pub(super) disposition: Disposition,
    #[serde(default)]
    tags: Tags,
    #[serde(default)]
    side_data_list: Vec<SideData>,
}

#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Disposition {
    default: u8,
    attached_pic: u8,
    still_image: u8,
    timed_thumbnails: u8,
}

#[derive(Clone, Debug, Default, Deserialize)]
struct Tags {
    #[serde(default, deserialize_with = "parsed")]
    rotate: Option<f64>,
    /// Where a Matroska track says which key it is encrypted with.
    enc_key_id: Option<String>,
}

#[derive(Clone, Debug, Deserialize)]
struct SideData {
    #[serde(default)]
    side_data_type: String,
    rotation: Option<f64>,
}

impl Stream {
    /// Cover art and chapter pictures are no video, though they are streams of one.
    pub(super) fn is_moving(&self) -> bool {
        let Disposition {
            attached_pic,
            still_image,
            timed_thumbnails,
            ..
        } = self.disposition;
        self.codec_type == "video" && attached_pic + still_image + timed_thumbnails == 0
    }

    /// Which of several tracks is played: the one marked so, and of pictures the largest.
    pub(super) fn prominence(&self) -> (u8, u64) {
        (self.disposition.default, u64::from(self.width) * u64::from(self.height))
    }

    /// Two fields of different moments in each frame.
    pub(super) fn is_interlaced(&self) -> bool {
        matches!(self.field_order.as_deref(), Some("tt" | "bb" | "tb" | "bt"))
    }

    /// As it says itself; not only because it does not say that it is interlaced.
    pub(super) fn is_progressive(&self) -> bool {
        self.field_order.as_deref() == Some("progressive")
    }

    /// Neither turned nor mirrored.
    pub(super) fn is_upright(&self) -> bool {
        let placed = |data: &SideData| data.rotation.is_some() || data.side_data_type == "Display Matrix";
        !self.side_data_list.iter().any(placed) && self.tags.rotate.unwrap_or(0.0) == 0.0
    }

    pub(super) fn is_encrypted(&self) -> bool {
        const PROTECTED: [&str; 5] = ["encv", "enca", "drmi", "drms", "drmt"];
        PROTECTED.contains(&self.codec_tag_string.as_str())
            || self.tags.enc_key_id.is_some()
            || self.side_data_list.iter().any(SideData::encrypts)
    }

    /// Degrees by which the picture is to be turned; the display matrix, or the tag of old files.
    pub(super) fn rotation(&self) -> f64 {
        let matrix = self.side_data_list.iter().find_map(|data| data.rotation);
        matrix.or(self.tags.rotate).unwrap_or(0.0)
    }
}

impl SideData {
    fn encrypts(&self) -> bool {
        // Keys alone ("Encryption initialization data") also lie in files whose samples are clear.
        self.side_data_type == "Encryption info"
    }
}

/// ffprobe writes times and rates as text.
fn parsed<'de, D: Deserializer<'de>, T: FromStr>(input: D) -> Result<Option<T>, D::Error> {
    let text = Option::<String>::deserialize(input)?;
    Ok(text.and_then(|text| text.parse().ok()))
}

/// `30000/1001` or `4:3`; none if a part is zero.
fn ratio<'de, D: Deserializer<'de>>(input: D) -> Result<Option<Fraction>, D::Error> {
    let text = String::deserialize(input)?;
    let Some((num, den)) = text.split_once(['/', ':']) else {
        return Ok(None);
    };
    let fraction = num
        .parse()
        .ok()
        .zip(den.parse().ok())
        .map(|(num, den)| Fraction::new(num, den));
    Ok(fraction.filter(|fraction| fraction.num > 0 && fraction.den > 0))
}

fn flags<'de, D: Deserializer<'de>>(input: D) -> Result<Flags, D::Error> {
    let letters = String::deserialize(input)?;
    Ok(Flags {
        key: letters.contains('K'),
        discarded: letters.contains('D'),
    })
}

fn encrypted<'de, D: Deserializer<'de>>(input: D) -> Result<bool, D::Error> {
    Ok(Vec::<SideData>::deserialize(input)?.iter().any(SideData::encrypts))
}
