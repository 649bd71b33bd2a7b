//! The attributes of an event: which names and values there may be (CloudEvents 1.0, "Context Attributes"), and the event
//! that they make.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use cloudevents::event::ExtensionValue;
use cloudevents::{AttributesWriter, Event, EventBuilder, EventBuilderV10};
use url::Url;

use super::media::MediaType;

/// Why something is no CloudEvent.
#[derive(Debug, thiserror::Error)]
pub enum Malformed {
    #[error("the event has no {0}")]
    Missing(&'static str),
    #[error("the event's {name} {why}")]
    Attribute { name: String, why: &'static str },
    #[error("{0:?} is no name of an attribute: those are of a-z and 0-9, and not `data`")]
    Name(String),
    #[error("the event's data {0}")]
    Data(&'static str),
    #[error("{0} was expected")]
    Shape(&'static str),
    #[error("not JSON: {0}")]
    NotJson(#[from] serde_json::Error),
}

/// Attributes that the specification itself defines.
const CORE: [&str; 8] = [
    "specversion",
    "id",
    "source",
    "type",
    "subject",
    "time",
    "datacontenttype",
    "dataschema",
];

/// Attributes by name, of which an event is made once all are known.
#[derive(Default)]
pub(super) struct Attributes(BTreeMap<String, ExtensionValue>);

impl Attributes {
    pub(super) fn add(&mut self, name: &str, value: ExtensionValue) -> Result<(), Malformed> {
        check_name(name)?;
        check_value(name, &value)?;
        match self.0.insert(name.to_owned(), value) {
            None => Ok(()),
            Some(_) => Err(wrong(name, "is given twice")),
        }
    }

    /// The event, without data as yet.
    pub(super) fn into_event(mut self) -> Result<Event, Malformed> {
        if self.required("specversion")? != "1.0" {
            return Err(wrong("specversion", "is not 1.0"));
        }
        let event = EventBuilderV10::new()
            .id(self.required("id")?)
            .source(self.required("source")?)
            .ty(self.required("type")?)
            .build();
        let mut event = event.map_err(|_| wrong("source", "cannot be taken"))?;
        event.set_subject(self.optional("subject")?);
        event.set_time(self.optional("time")?.as_deref().map(time).transpose()?);
        let content_type = self.optional("datacontenttype")?;
        if content_type
            .as_deref()
            .is_some_and(|text| MediaType::parse(text).is_none())
        {
            return Err(wrong("datacontenttype", "is no media type"));
        }
        event.set_datacontenttype(content_type);
        let schema = self.optional("dataschema")?.map(|text| Url::parse(&text)).transpose();
        event.set_dataschema(schema.map_err(|_| wrong("dataschema", "is no absolute URI"))?);
        for (name, value) in self.0 {
            event.set_extension(&name, value);
        }
        Ok(event)
    }

    fn required(&mut self, name: &'static str) -> Result<String, Malformed> {
        self.optional(name)?.ok_or(Malformed::Missing(name))
    }

    fn optional(&mut self, name: &'static str) -> Result<Option<String>, Malformed> {
        match self.0.remove(name) {
            None => Ok(None),
            Some(ExtensionValue::String(text)) if text.is_empty() => Err(wrong(name, "is empty")),
            Some(ExtensionValue::String(text)) => Ok(Some(text)),
            Some(_) => Err(wrong(name, "is not a string")),
        }
    }
}

/// An extension that is to be added to events, as somebody configured it.
pub fn check_extension(name: &str, value: &ExtensionValue) -> Result<(), Malformed> {
    if CORE.contains(&name) {
        return Err(wrong(name, "is no extension"));
    }
    check_name(name)?;
    check_value(name, value)
}

/// "Naming Conventions".
pub(super) fn check_name(name: &str) -> Result<(), Malformed> {
    let allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    if name.is_empty() || name == "data" || !name.bytes().all(allowed) {
        return Err(Malformed::Name(name.to_owned()));
    }
    Ok(())
}

/// "Type System".
pub(super) fn check_value(name: &str, value: &ExtensionValue) -> Result<(), Malformed> {
    match value {
        ExtensionValue::String(text) if !is_string(text) => {
            Err(wrong(name, "has characters that no attribute may have"))
        }
        ExtensionValue::Integer(number) if i32::try_from(*number).is_err() => Err(wrong(name, "is no 32-bit number")),
        _ => Ok(()),
    }
}

/// Whether every character may be in an attribute: no controls, no noncharacters.
pub(crate) fn is_string(text: &str) -> bool {
    let is_noncharacter = |c: char| matches!(c, '\u{fdd0}'..='\u{fdef}') || u32::from(c) & 0xfffe == 0xfffe;
    !text.chars().any(|c| c.is_control() || is_noncharacter(c))
}

fn time(text: &str) -> Result<DateTime<Utc>, Malformed> {
    let time = DateTime::parse_from_rfc3339(text);
    time.map(DateTime::<Utc>::from)
        .map_err(|_| wrong("time", "is not as RFC 3339 has it"))
}

fn wrong(name: &str, why: &'static str) -> Malformed {
    Malformed::Attribute {
        name: name.to_owned(),
        why,
    }
}
