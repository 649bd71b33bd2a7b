//! A request that carries events: a header a line, then an empty line and the body. Its headers say in which mode.
#![no_main]

use http::{HeaderMap, HeaderName, HeaderValue};
use libfuzzer_sys::fuzz_target;
use toktik_events::binding::{self, Event, Mode};
use toktik_events::intake;

fuzz_target!(|bytes: &[u8]| {
    let end = bytes.windows(2).position(|two| two == b"\n\n").unwrap_or(bytes.len());
    let (head, body) = bytes.split_at(end);
    let body = body.get(2..).unwrap_or_default();
    let headers = headers(head);
    let events = match binding::mode(&headers) {
        Ok(Mode::Binary) => binding::from_binary(&headers, body).map(|event| vec![event]),
        Ok(Mode::Structured) => binding::from_structured(body).map(|event| vec![event]),
        Ok(Mode::Batched) => binding::from_batch(body),
        Ok(Mode::Plain) | Err(_) => return,
    };
    for event in events.unwrap_or_default() {
        survives(&event);
        let _ = intake::messages(&event);
    }
});

fn headers(head: &[u8]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for line in head.split(|byte| *byte == b'\n').take(20) {
        let colon = line.iter().position(|byte| *byte == b':').unwrap_or(line.len());
        let (name, value) = line.split_at(colon);
        let name = HeaderName::from_bytes(name);
        if let (Ok(name), Ok(value)) = (name, HeaderValue::from_bytes(value.get(1..).unwrap_or_default())) {
            headers.append(name, value);
        }
    }
    headers
}

/// What was taken can be passed on in binary mode, and has the same attributes there.
fn survives(event: &Event) {
    let Ok((headers, body)) = binding::to_binary(event) else {
        return;
    };
    // Strings under a JSON type, and JSON under another, are told apart in JSON only.
    let Ok(again) = binding::from_binary(&headers, &body) else {
        return;
    };
    let attributes = |event: &Event| {
        let all = event.iter().filter(|(name, _)| *name != "datacontenttype");
        let mut all: Vec<_> = all.map(|(name, value)| (name.to_owned(), value.to_string())).collect();
        all.sort();
        all
    };
    assert_eq!(attributes(event), attributes(&again));
}
