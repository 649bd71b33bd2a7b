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
    #[serde(default, rename = "flags", deserialize_with = "discarded")]
    pub(super) discarded: bool,
    #[serde(default, rename = "side_data_list", deserialize_with = "encrypted")]
    pub(super) encrypted: bool,
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
    attached_pic: u8,
    still_image: u8,
    timed_thumbnails: u8,
}

#[derive(Clone, Debug, Default, Deserialize)]
struct Tags {
    #[serde(default, deserialize_with = "parsed")]
    rotate: Option<f64>,
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
        } = self.disposition;
        self.codec_type == "video" && attached_pic + still_image + timed_thumbnails == 0
    }

    pub(super) fn is_encrypted(&self) -> bool {
        const PROTECTED: [&str; 5] = ["encv", "enca", "drmi", "drms", "drmt"];
        PROTECTED.contains(&self.codec_tag_string.as_str()) || self.side_data_list.iter().any(SideData::encrypts)
    }

    /// Degrees by which the picture is to be turned; the display matrix, or the tag of old files.
    pub(super) fn rotation(&self) -> f64 {
        let matrix = self.side_data_list.iter().find_map(|data| data.rotation);
        matrix.or(self.tags.rotate).unwrap_or(0.0)
    }
}

impl SideData {
    fn encrypts(&self) -> bool {
        self.side_data_type.starts_with("Encryption ")
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

/// `D`: decoded, but not shown, because an edit list cuts it away.
fn discarded<'de, D: Deserializer<'de>>(input: D) -> Result<bool, D::Error> {
    Ok(String::deserialize(input)?.contains('D'))
}

fn encrypted<'de, D: Deserializer<'de>>(input: D) -> Result<bool, D::Error> {
    Ok(Vec::<SideData>::deserialize(input)?.iter().any(SideData::encrypts))
}
