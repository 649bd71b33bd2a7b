//! A CloudEvent in binary form: its attributes are headers. A line each, then an empty line and the data.
#![no_main]

use cloudevents::binding::http::to_event;
use http::{HeaderMap, HeaderName, HeaderValue};
use libfuzzer_sys::fuzz_target;
use toktik_events::Message;

fuzz_target!(|bytes: &[u8]| {
    let end = bytes.windows(2).position(|two| two == b"\n\n").unwrap_or(bytes.len());
    let (head, body) = bytes.split_at(end);
    let mut headers = HeaderMap::from_iter([(
        HeaderName::from_static("ce-specversion"),
        HeaderValue::from_static("1.0"),
    )]);
    for line in head.split(|byte| *byte == b'\n').take(20) {
        let colon = line.iter().position(|byte| *byte == b':').unwrap_or(line.len());
        let (name, value) = line.split_at(colon);
        let name = HeaderName::from_bytes(name);
        if let (Ok(name), Ok(value)) = (name, HeaderValue::from_bytes(value.get(1..).unwrap_or_default())) {
            headers.append(name, value);
        }
    }
    if let Ok(event) = to_event(&headers, body.to_vec()) {
        let _ = Message::try_from(event).map(|message| message.to_json());
    }
});
