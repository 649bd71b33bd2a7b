//! Playlists of anybody, as `toktik check` reads them.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| toktik_check::fuzzing::playlist(bytes));
