//! The first bytes of an upload.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(container) = toktik_media::sniff::sniff(bytes, bytes.len() as u64) {
        assert!(!container.demuxer().is_empty());
    }
});
