//! Fragmented MP4 as an encoder wrote it, cut into segments.
#![no_main]

use libfuzzer_sys::fuzz_target;
use toktik_media::cmaf::{Cut, split};

fuzz_target!(|bytes: &[u8]| {
    for cut in Cut::all() {
        let _ = split(bytes, &cut, |_| Ok(()));
    }
});
