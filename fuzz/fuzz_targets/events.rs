//! What queues and request bodies bring: CloudEvents in structured form, batches, notifications of stores.
#![no_main]

use libfuzzer_sys::fuzz_target;
use toktik_events::intake;

fuzz_target!(|bytes: &[u8]| {
    let Ok(messages) = intake::parse(bytes) else { return };
    for message in messages {
        // What was read can be passed on, and comes back as it was.
        let Ok(json) = message.to_json() else { continue };
        let again = intake::parse(json.as_bytes()).expect("what we write we read");
        assert_eq!(again.len(), 1);
        assert_eq!(again[0].id, message.id);
        assert_eq!(again[0].payload, message.payload);
    }
});
