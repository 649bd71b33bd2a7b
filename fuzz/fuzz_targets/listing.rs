//! What ffprobe prints of a file that chose its own numbers.
#![no_main]

use libfuzzer_sys::fuzz_target;
use toktik_media::probe::decided;
use toktik_media::sniff::Container;

fuzz_target!(|bytes: &[u8]| {
    let Some((first, listing)) = bytes.split_first() else {
        return;
    };
    let container = match first % 3 {
        0 => Container::Mp4,
        1 => Container::MpegTs,
        _ => Container::Gif,
    };
    if let Ok(source) = decided(listing.to_vec(), container, u64::from(*first) << 10) {
        assert!(source.duration.is_finite() && source.duration >= 0.0, "{source:?}");
        assert!(source.video.frame_rate.as_f64() > 0.0, "{source:?}");
    }
});
