//! Descriptions of generated clips, as probe would give them.

use toktik_media::source::{Audio, Fraction, Source, Transfer, Video, Weight};

/// H.264 in MP4, 30 fps, with sound.
pub(crate) fn source(width: u32, height: u32, duration: f64) -> Source {
    Source {
        demuxer: "mov".to_owned(),
        duration,
        video: Video {
            stream: 0,
            codec: "h264".to_owned(),
            width,
            height,
            start: 0.0,
            frame_rate: Fraction::new(30, 1),
            variable_frame_rate: false,
            interlaced: false,
            transfer: Transfer::Sdr,
            pixel_format: "yuv420p".to_owned(),
            color_range: None,
            color_space: None,
            wide_gamut: false,
        },
        audio: Some(Audio {
            stream: 1,
            codec: "aac".to_owned(),
            channels: 2,
            sample_rate: 48_000,
        }),
        weight: Weight::default(),
        gops: Vec::new(),
    }
}

pub(crate) fn silent(width: u32, height: u32, duration: f64, frame_rate: Fraction) -> Source {
    let mut source = source(width, height, duration);
    source.audio = None;
    source.video.frame_rate = frame_rate;
    source
}
