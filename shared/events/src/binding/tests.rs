//! The binding by itself; over real HTTP it is held against the specification in the runtime's `tests/binding`.

use super::*;
use cloudevents::{AttributesReader, AttributesWriter, EventBuilder, EventBuilderV10};
use http::{HeaderName, HeaderValue};
use proptest::prelude::*;
use serde_json::{Value, json};

fn binary(more: &[(&str, &str)], body: &[u8]) -> Result<Event, Malformed> {
    let required = [
        ("ce-specversion", "1.0"),
        ("ce-id", "1"),
        ("ce-source", "/s"),
        ("ce-type", "t"),
    ];
    from_binary(&headers(required.iter().chain(more)), body)
}

fn headers<'a>(pairs: impl IntoIterator<Item = &'a (&'a str, &'a str)>) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in pairs {
        let name = HeaderName::from_bytes(name.as_bytes()).unwrap();
        headers.append(name, HeaderValue::from_bytes(value.as_bytes()).unwrap());
    }
    headers
}

fn subject(value: &str) -> Option<String> {
    let event = binary(&[("ce-subject", value)], b"").ok()?;
    event.subject().map(str::to_owned)
}

#[test]
fn values_are_unquoted_and_decoded_once() {
    let cases = [
        ("plain", "plain"),
        ("Euro%20%E2%82%AC%20%F0%9F%98%80", "Euro € 😀"),
        ("euro%20%e2%82%ac", "euro €"),
        ("%61%62c", "abc"),
        ("%2520", "%20"),
        ("\"quoted \\\"twice\\\" \\\\ %41\"", "quoted \"twice\" \\ A"),
        ("half \"and half\"", "half and half"),
        ("back\\slash", "back\\slash"),
        ("Zürich €", "Zürich €"),
        ("100%", "100%"),
        ("%zz", "%zz"),
    ];
    for (given, meant) in cases {
        assert_eq!(subject(given).as_deref(), Some(meant), "{given}");
    }
}

#[test]
fn values_that_are_none_are_refused() {
    for bad in [
        "%C0%A0",
        "%FF",
        "%ED%A0%80",
        "\"open",
        "\"ends \\",
        "a%0Ab",
        "%00",
        "%EF%BF%BF",
        "",
    ] {
        assert_eq!(subject(bad), None, "{bad}");
    }
}

#[test]
fn what_is_encoded_is_encoded_as_the_specification_says() {
    assert_eq!(encode_value("Euro € 😀"), "Euro%20%E2%82%AC%20%F0%9F%98%80");
    assert_eq!(encode_value("a\"b%c\u{7f}"), "a%22b%25c%7F");
    let untouched: String = ('!'..='~').filter(|c| !['"', '%'].contains(c)).collect();
    assert_eq!(encode_value(&untouched), untouched);
}

#[test]
fn media_types_tell_the_mode() {
    let mode_of = |text: &str| mode(&headers(&[("content-type", text)]));
    let structured = [
        "application/cloudevents+json",
        "Application/CloudEvents+JSON ; charset=\"utf-8\"",
    ];
    assert!(structured.iter().all(|text| mode_of(text) == Ok(Mode::Structured)));
    assert_eq!(
        mode_of("application/CloudEvents-Batch+json;charset=UTF-8"),
        Ok(Mode::Batched)
    );
    let plain = [
        "",
        "application/json",
        "TEXT/plain; charset=utf-8",
        "application/problem+json",
    ];
    assert!(plain.iter().all(|text| mode_of(text) == Ok(Mode::Plain)));
    assert_eq!(mode(&HeaderMap::new()), Ok(Mode::Plain));
    let others = [
        "application/cloudevents+avro",
        "application/cloudevents",
        "video/mp4",
        "rubbish",
        "a/b/c",
    ];
    assert!(others.iter().all(|text| mode_of(text).is_err()));

    let with_id = |text: &str| mode(&headers(&[("content-type", text), ("ce-id", "1")]));
    assert_eq!(with_id("video/mp4"), Ok(Mode::Binary));
    assert_eq!(with_id("application/cloudevents+json"), Ok(Mode::Structured));
    assert!(with_id("application/cloudevents+avro").is_err());
}

#[test]
fn json_data_are_json_in_every_spelling_and_nothing_else_is() {
    let data = |event: Value| from_value(event).unwrap().data().cloned();
    let event = |more: Value| {
        let mut event = json!({"specversion": "1.0", "id": "1", "source": "/s", "type": "t"});
        event.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        event
    };
    for media in ["application/json", "Text/JSON; charset=utf-8", "application/x+json;a=b"] {
        let given = event(json!({"datacontenttype": media, "data": "{}"}));
        assert_eq!(data(given), Some(Data::Json(json!("{}"))), "{media}");
    }
    assert_eq!(data(event(json!({"data": null}))), Some(Data::Json(Value::Null)));
    assert_eq!(data(event(json!({}))), None);
    assert_eq!(
        data(event(json!({"datacontenttype": "application/xml", "data": "<a/>"}))),
        Some(Data::String("<a/>".into()))
    );
    assert_eq!(
        data(event(json!({"data_base64": "e30="}))),
        Some(Data::Binary(b"{}".to_vec()))
    );
    assert!(from_value(event(json!({"data": 1, "data_base64": "e30="}))).is_err());
    assert!(from_value(event(json!({"data_base64": "e30"}))).is_err());
}

/// What is the same event: JSON by value, everything else by bytes, extensions by their text. JSON without a media type
/// is `application/json`, and no data are empty data.
fn canonical(event: &Event) -> (Vec<(String, String)>, Option<Value>, Vec<u8>) {
    let mut attributes: Vec<(String, String)> = event
        .iter()
        .map(|(name, value)| (name.into(), value.to_string()))
        .collect();
    let (json, bytes) = match event.data() {
        None => (None, Vec::new()),
        Some(Data::Json(value)) => (Some(value.clone()), Vec::new()),
        Some(Data::String(text)) => (None, text.clone().into_bytes()),
        Some(Data::Binary(bytes)) => (None, bytes.clone()),
    };
    if json.is_some() && event.datacontenttype().is_none() {
        attributes.push(("datacontenttype".into(), "application/json".into()));
    }
    attributes.sort();
    (attributes, json, bytes)
}

fn text() -> impl Strategy<Value = String> {
    "\\PC{1,20}".prop_filter("no noncharacters", |text| is_string(text))
}

fn extension() -> impl Strategy<Value = (String, ExtensionValue)> {
    let name = "[a-z][a-z0-9]{0,20}".prop_filter("an extension", |name| check_extension(name, &"".into()).is_ok());
    let value = prop_oneof![
        prop_oneof![text(), Just(String::new())].prop_map(ExtensionValue::String),
        any::<bool>().prop_map(ExtensionValue::Boolean),
        any::<i32>().prop_map(|number| ExtensionValue::Integer(number.into())),
    ];
    (name, value)
}

fn json_value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<String>().prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 12, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::btree_map(any::<String>(), inner, 0..4)
                .prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    })
}

fn content() -> impl Strategy<Value = (Option<String>, Option<Data>)> {
    let json_types = prop_oneof![
        Just(None),
        Just(Some("application/json")),
        Just(Some("Application/Vnd.X+JSON; charset=utf-8"))
    ];
    let others = prop_oneof![Just("text/plain; charset=utf-8"), Just("application/xml")];
    let any_type = prop_oneof![json_types.clone(), others.clone().prop_map(Some)];
    prop_oneof![
        (any_type, Just(None)),
        (json_types, json_value().prop_map(|value| Some(Data::Json(value)))),
        (
            others.clone().prop_map(Some),
            any::<String>().prop_map(|text| Some(Data::String(text)))
        ),
        (
            prop_oneof![others.prop_map(Some), Just(None)],
            prop::collection::vec(any::<u8>(), 0..40).prop_map(|bytes| Some(Data::Binary(bytes)))
        ),
    ]
    .prop_map(|(media, data): (Option<&str>, _)| (media.map(str::to_owned), data))
}

prop_compose! {
    fn event()(
        id in text(), source in text(), ty in text(), subject in prop::option::of(text()),
        seconds in prop::option::of(-62_135_596_800_i64..253_402_300_799), nanos in 0_u32..1_000_000_000,
        schema in prop::option::of("https://example\\.com/[a-z]{1,8}"),
        (media, data) in content(),
        more in prop::collection::vec(extension(), 0..4),
    ) -> Event {
        let mut event = EventBuilderV10::new().id(id).source(source).ty(ty).build().unwrap();
        event.set_subject(subject);
        event.set_time(seconds.and_then(|seconds| chrono::DateTime::from_timestamp(seconds, nanos)));
        event.set_dataschema(schema.map(|text| text.parse::<url::Url>().unwrap()));
        event.set_datacontenttype(media);
        for (name, value) in more {
            event.set_extension(&name, value);
        }
        if let Some(data) = data {
            event.set_data_unchecked(data);
        }
        event
    }
}

proptest! {
    #[test]
    fn any_event_survives_binary_mode(event in event()) {
        let (headers, body) = to_binary(&event).unwrap();
        let printable = |value: &HeaderValue| value.as_bytes().iter().all(|byte| (0x21..=0x7e).contains(byte));
        let mut own = headers.iter().filter(|(name, _)| name.as_str().starts_with("ce-"));
        prop_assert!(own.all(|(_, value)| printable(value)));
        prop_assert_eq!(mode(&headers).unwrap(), Mode::Binary);
        prop_assert_eq!(canonical(&from_binary(&headers, &body).unwrap()), canonical(&event));
    }

    #[test]
    fn any_event_survives_structured_mode(event in event()) {
        let again = from_structured(to_structured(&event).unwrap().as_bytes()).unwrap();
        prop_assert_eq!(canonical(&again), canonical(&event));
    }

    #[test]
    fn any_events_survive_as_a_batch(events in prop::collection::vec(event(), 0..4)) {
        let batch = serde_json::to_vec(&events).unwrap();
        let again: Vec<_> = from_batch(&batch).unwrap().iter().map(canonical).collect();
        prop_assert_eq!(again, events.iter().map(canonical).collect::<Vec<_>>());
    }

    #[test]
    fn no_header_makes_it_panic(value in prop::collection::vec(any::<u8>(), 0..40), body: Vec<u8>) {
        let mut headers = headers(&[("ce-specversion", "1.0"), ("ce-id", "1"), ("ce-type", "t")]);
        if let Ok(value) = HeaderValue::from_bytes(&value) {
            headers.insert("ce-source", value);
        }
        let _ = from_binary(&headers, &body);
    }
}
