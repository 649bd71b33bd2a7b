//! One event on its way: what happened, who says so, and the trace it belongs to.

use chrono::{DateTime, Utc};
use cloudevents::event::ExtensionValue;
use cloudevents::{AttributesReader, Data, Event, EventBuilder, EventBuilderV10};
use serde_json::Value;

use crate::binding;
use crate::payload::{InvalidPayload, Payload};
use crate::routes::Function;
use crate::trace::TraceParent;

/// A CloudEvent of ours, taken apart.
#[derive(Clone, Debug, PartialEq)]
pub struct Message {
    pub id: String,
    /// `/toktik/<function>`, or the bucket for S3's own events.
    pub source: String,
    pub time: DateTime<Utc>,
    pub trace: Option<TraceParent>,
    pub payload: Payload,
}

#[derive(Debug, thiserror::Error)]
pub enum InvalidMessage {
    #[error("the event's data are not JSON: {0}")]
    NotJson(String),
    #[error(transparent)]
    Payload(#[from] InvalidPayload),
    #[error("the event cannot be written as a CloudEvent: {0}")]
    Build(String),
}

impl Message {
    pub fn new(from: Function, time: DateTime<Utc>, payload: Payload) -> Self {
        Self {
            id: payload.id(),
            source: format!("/toktik/{from}"),
            time,
            trace: None,
            payload,
        }
    }

    #[must_use]
    pub fn with_trace(mut self, trace: Option<TraceParent>) -> Self {
        self.trace = trace;
        self
    }

    /// Structured JSON, the one form in which we send.
    pub fn to_json(&self) -> Result<String, InvalidMessage> {
        binding::to_structured(&self.to_event()?).map_err(|e| InvalidMessage::Build(e.to_string()))
    }

    pub fn to_event(&self) -> Result<Event, InvalidMessage> {
        let mut builder = EventBuilderV10::new()
            .id(&self.id)
            .source(&self.source)
            .ty(self.payload.ty())
            .time(self.time)
            .data("application/json", self.payload.data());
        // A key of somebody else's bucket may be anything.
        let subject = self.payload.subject();
        if let Some(subject) = subject.filter(|text| !text.is_empty() && binding::is_string(text)) {
            builder = builder.subject(subject);
        }
        if let Some(trace) = self.trace {
            builder = builder.extension("traceparent", trace.to_string());
        }
        builder.build().map_err(|e| InvalidMessage::Build(e.to_string()))
    }
}

impl TryFrom<&Event> for Message {
    type Error = InvalidMessage;

    fn try_from(event: &Event) -> Result<Self, InvalidMessage> {
        let data = data(event)?;
        let payload = match crate::intake::object_created(event.ty(), &data) {
            Some(object) => Payload::ObjectCreated(object),
            None => Payload::parse(event.ty(), data)?,
        };
        Ok(Self {
            id: event.id().to_owned(),
            source: event.source().clone(),
            time: event.time().copied().unwrap_or_else(Utc::now),
            trace: trace(event),
            payload,
        })
    }
}

/// What an event carries, however it came to be encoded.
pub(crate) fn data(event: &Event) -> Result<Value, InvalidMessage> {
    match event.data() {
        None => Ok(Value::Object(serde_json::Map::new())),
        Some(Data::Json(value)) => Ok(value.clone()),
        Some(Data::String(text)) => parse_json(text.as_bytes()),
        Some(Data::Binary(bytes)) => parse_json(bytes),
    }
}

fn parse_json(bytes: &[u8]) -> Result<Value, InvalidMessage> {
    serde_json::from_slice(bytes).map_err(|e| InvalidMessage::NotJson(e.to_string()))
}

/// The trace that an event belongs to. What is none is nobody's trouble.
pub(crate) fn trace(event: &Event) -> Option<TraceParent> {
    match event.extension("traceparent")? {
        ExtensionValue::String(text) => text.parse().ok(),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::VideoId;
    use crate::payload::{Clip, Step};

    fn sample() -> Message {
        let clip = Clip {
            video_id: VideoId::derived("sample"),
            generation: 1,
        };
        Message::new(Function::Upload, Utc::now(), Payload::Uploaded(clip)).with_trace(Some(TraceParent::root()))
    }

    #[test]
    fn structured_json_round_trips() {
        let message = sample();
        let json = message.to_json().unwrap();
        let event = binding::from_structured(json.as_bytes()).unwrap();
        assert_eq!(Message::try_from(&event).unwrap(), message);
    }

    #[test]
    fn a_repeat_has_the_same_id_and_another_unit_another() {
        let step = |unit: &str| {
            Payload::StepCompleted(Step {
                video_id: VideoId::derived("sample"),
                generation: 1,
                step: "transcode".into(),
                unit: unit.into(),
            })
        };
        let message = |unit| Message::new(Function::Transcode, Utc::now(), step(unit));
        assert_eq!(message("audio").id, message("audio").id);
        assert_ne!(message("audio").id, message("video-0").id);
    }

    #[test]
    fn source_and_subject_are_as_the_contract_says() {
        let event = sample().to_event().unwrap();
        assert_eq!(event.source(), "/toktik/upload");
        assert_eq!(event.subject(), Some(VideoId::derived("sample").to_string().as_str()));
        assert_eq!(event.ty(), "toktik.video.uploaded.v1");
    }
}
