//! Cursors of lists, ids and traces.
#![no_main]

use libfuzzer_sys::fuzz_target;

// Private to videos, and read from where it is.
#[path = "../../functions/videos/src/cursor.rs"]
mod cursor;

use toktik_events::{TraceParent, VideoId};

fuzz_target!(|text: &str| {
    if let Some(position) = cursor::position(text) {
        // It becomes part of a key.
        assert!(
            position.is_ascii() && !position.contains(['#', '/', '\0']),
            "{position}"
        );
    }
    if let Some(rank) = cursor::rank(text) {
        assert!(rank <= usize::from(u16::MAX));
    }
    if let Ok(id) = text.parse::<VideoId>() {
        assert_eq!(id.to_string(), text);
    }
    if let Ok(trace) = text.parse::<TraceParent>() {
        let again: TraceParent = trace.to_string().parse().expect("what we write we read");
        assert_eq!(again.trace_id(), trace.trace_id());
    }
});
