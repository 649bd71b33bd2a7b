//! Init and media segments of anybody, as `toktik check` reads them.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    // An init segment ends where the first moof begins.
    let moof = bytes
        .windows(4)
        .position(|four| four == b"moof")
        .unwrap_or(bytes.len())
        .saturating_sub(4);
    let (init, segment) = bytes.split_at(moof);
    toktik_check::fuzzing::boxes(init, segment);
});
