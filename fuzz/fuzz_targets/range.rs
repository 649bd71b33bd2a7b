//! Range headers, as the embedded store reads them.
#![no_main]

use libfuzzer_sys::fuzz_target;
use s3s::dto::Range;

fuzz_target!(|input: (&str, u64)| {
    let (header, size) = input;
    let Ok(range) = Range::parse(header) else { return };
    if let Ok(bytes) = range.check(size) {
        // Of an empty object even the last bytes are none.
        assert!(
            (bytes.start < bytes.end || size == 0) && bytes.end <= size,
            "{header} of {size}: {bytes:?}"
        );
    }
});
