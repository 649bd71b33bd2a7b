//! The event types and the data each carries.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::binding;
use crate::id::VideoId;
use crate::verdict::Rejection;

/// Any of S3's `ObjectCreated` events: `com.amazonaws.s3.ObjectCreated:Put` and its like.
pub const OBJECT_CREATED: &str = "com.amazonaws.s3.ObjectCreated:";
/// What a Knative `IntegrationSource` makes of a message of SQS: the data are the message as it is.
pub const SQS_MESSAGE: &str = "dev.knative.eventing.aws-sqs";
pub const UPLOADED: &str = "toktik.video.uploaded.v1";
pub const ACCEPTED: &str = "toktik.video.accepted.v1";
pub const UNIT_REQUESTED: &str = "toktik.unit.requested.v1";
pub const STEP_PROGRESSED: &str = "toktik.step.progressed.v1";
pub const STEP_COMPLETED: &str = "toktik.step.completed.v1";
pub const PLAYABLE: &str = "toktik.video.playable.v1";
pub const READY: &str = "toktik.video.ready.v1";
pub const REJECTED: &str = "toktik.video.rejected.v1";
pub const FAILED: &str = "toktik.video.failed.v1";
pub const UPDATED: &str = "toktik.video.updated.v1";
pub const DELETED: &str = "toktik.video.deleted.v1";
pub const USER_DELETED: &str = "toktik.user.deleted.v1";
pub const LIKED: &str = "toktik.video.liked.v1";
pub const TICK: &str = "toktik.schedule.tick.v1";
/// What a `PingSource` of Knative sends: its clock, and no type of ours can be put in its place.
pub const PING: &str = "dev.knative.sources.ping";

/// What happened. The type and the data of an event.
#[derive(Clone, Debug, PartialEq)]
pub enum Payload {
    ObjectCreated(ObjectCreated),
    Uploaded(Clip),
    Accepted(Clip),
    UnitRequested(Step),
    StepProgressed(Progress),
    StepCompleted(Step),
    Playable(Clip),
    Ready(Clip),
    Rejected(Rejected),
    Failed(Failed),
    Updated(Change),
    Deleted(Change),
    UserDeleted(User),
    Liked(Liked),
    Tick,
}

/// An object arrived in the bucket. Sizes are bytes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ObjectCreated {
    /// S3's own name of what created it: `Put`, `CompleteMultipartUpload` ...
    pub operation: String,
    pub bucket: String,
    /// Decoded.
    pub key: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub etag: Option<String>,
    /// Orders events of one key; absent where the store does not give one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sequencer: Option<String>,
}

/// A clip in one of its generations; each retry of a failed clip begins a new one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Clip {
    pub video_id: VideoId,
    pub generation: u32,
}

/// One step item of a clip's ledger.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Step {
    pub video_id: VideoId,
    pub generation: u32,
    /// The function that does it: `transcode`, `thumbnail` ...
    pub step: String,
    /// Which unit of the plan; empty for steps that have only one.
    #[serde(default)]
    pub unit: String,
}

/// A step that is under way has published more of what it makes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Progress {
    #[serde(flatten)]
    pub step: Step,
    /// So many segments of each of its tracks there are by now.
    pub segments: u64,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rejected {
    pub video_id: VideoId,
    pub generation: u32,
    #[serde(flatten)]
    pub rejection: Rejection,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failed {
    pub video_id: VideoId,
    pub generation: u32,
    pub step: String,
    pub code: String,
    pub message: String,
}

/// A change of a clip by its owner; `revision` rises with each.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Change {
    pub video_id: VideoId,
    pub revision: u64,
}

/// An account that its owner deleted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct User {
    pub user_id: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Liked {
    pub video_id: VideoId,
    pub user_id: String,
    /// RFC 3339.
    pub at: String,
}

#[derive(Debug, thiserror::Error)]
pub enum InvalidPayload {
    #[error("unknown event type {0}")]
    UnknownType(String),
    #[error("event data do not fit {ty}: {source}")]
    Data { ty: String, source: serde_json::Error },
}

impl Payload {
    pub fn ty(&self) -> String {
        let ty = match self {
            Self::ObjectCreated(object) => return format!("{OBJECT_CREATED}{}", object.operation),
            Self::Uploaded(_) => UPLOADED,
            Self::Accepted(_) => ACCEPTED,
            Self::UnitRequested(_) => UNIT_REQUESTED,
            Self::StepProgressed(_) => STEP_PROGRESSED,
            Self::StepCompleted(_) => STEP_COMPLETED,
            Self::Playable(_) => PLAYABLE,
            Self::Ready(_) => READY,
            Self::Rejected(_) => REJECTED,
            Self::Failed(_) => FAILED,
            Self::Updated(_) => UPDATED,
            Self::Deleted(_) => DELETED,
            Self::UserDeleted(_) => USER_DELETED,
            Self::Liked(_) => LIKED,
            Self::Tick => TICK,
        };
        ty.to_owned()
    }

    /// The CloudEvents `subject`: the clip, or the object's key.
    pub fn subject(&self) -> Option<String> {
        match self {
            Self::ObjectCreated(object) => Some(object.key.clone()),
            Self::UserDeleted(user) => Some(user.user_id.clone()),
            Self::Tick => None,
            _ => self.video_id().map(|id| id.to_string()),
        }
    }

    pub fn video_id(&self) -> Option<VideoId> {
        match self {
            Self::ObjectCreated(_) | Self::UserDeleted(_) | Self::Tick => None,
            Self::Uploaded(c) | Self::Accepted(c) | Self::Playable(c) | Self::Ready(c) => Some(c.video_id),
            Self::UnitRequested(s) | Self::StepCompleted(s) => Some(s.video_id),
            Self::StepProgressed(p) => Some(p.step.video_id),
            Self::Rejected(r) => Some(r.video_id),
            Self::Failed(f) => Some(f.video_id),
            Self::Updated(c) | Self::Deleted(c) => Some(c.video_id),
            Self::Liked(l) => Some(l.video_id),
        }
    }

    /// The same for every repeat of the same fact.
    pub(crate) fn id(&self) -> String {
        let name = self.name();
        match self {
            Self::ObjectCreated(o) => {
                let version = o.sequencer.as_deref().or(o.etag.as_deref()).unwrap_or_default();
                let named = format!("{}/{}.{version}", o.bucket, o.key);
                // Names of somebody else's objects may have characters that no attribute may have.
                binding::encode_value(&named).into_owned()
            }
            Self::Uploaded(c) | Self::Accepted(c) | Self::Playable(c) | Self::Ready(c) => {
                format!("{}.{}.{name}", c.video_id, c.generation)
            }
            Self::UnitRequested(s) | Self::StepCompleted(s) => {
                format!("{}.{}.{}.{}.{name}", s.video_id, s.generation, s.step, s.unit)
            }
            Self::StepProgressed(Progress { step: s, segments }) => {
                format!(
                    "{}.{}.{}.{}.{segments}.{name}",
                    s.video_id, s.generation, s.step, s.unit
                )
            }
            Self::Rejected(r) => format!("{}.{}.{name}", r.video_id, r.generation),
            Self::Failed(f) => format!("{}.{}.{name}", f.video_id, f.generation),
            Self::Updated(c) | Self::Deleted(c) => format!("{}.{}.{name}", c.video_id, c.revision),
            Self::UserDeleted(u) => format!("{}.{name}", u.user_id),
            Self::Liked(l) => format!("{}.{}.{}.{name}", l.video_id, l.user_id, l.at),
            Self::Tick => format!("{}.{name}", uuid::Uuid::now_v7()),
        }
    }

    fn name(&self) -> &'static str {
        match self {
            Self::ObjectCreated(_) => "created",
            Self::Uploaded(_) => "uploaded",
            Self::Accepted(_) => "accepted",
            Self::UnitRequested(_) => "requested",
            Self::StepProgressed(_) => "progressed",
            Self::StepCompleted(_) => "completed",
            Self::Playable(_) => "playable",
            Self::Ready(_) => "ready",
            Self::Rejected(_) => "rejected",
            Self::Failed(_) => "failed",
            Self::Updated(_) => "updated",
            Self::Deleted(_) | Self::UserDeleted(_) => "deleted",
            Self::Liked(_) => "liked",
            Self::Tick => "tick",
        }
    }

    pub(crate) fn data(&self) -> Value {
        let data = match self {
            Self::ObjectCreated(d) => serde_json::to_value(d),
            Self::Uploaded(d) | Self::Accepted(d) | Self::Playable(d) | Self::Ready(d) => serde_json::to_value(d),
            Self::UnitRequested(d) | Self::StepCompleted(d) => serde_json::to_value(d),
            Self::StepProgressed(d) => serde_json::to_value(d),
            Self::Rejected(d) => serde_json::to_value(d),
            Self::Failed(d) => serde_json::to_value(d),
            Self::Updated(d) | Self::Deleted(d) => serde_json::to_value(d),
            Self::UserDeleted(d) => serde_json::to_value(d),
            Self::Liked(d) => serde_json::to_value(d),
            Self::Tick => Ok(Value::Object(serde_json::Map::new())),
        };
        // Plain structs of strings and numbers: serialising them cannot fail.
        data.unwrap_or(Value::Null)
    }

    /// Whether events of this type are ours, whatever they carry.
    pub(crate) fn knows(ty: &str) -> bool {
        let unknown = matches!(Self::parse(ty, Value::Null), Err(InvalidPayload::UnknownType(_)));
        ty.starts_with(OBJECT_CREATED) || !unknown
    }

    pub(crate) fn parse(ty: &str, data: Value) -> Result<Self, InvalidPayload> {
        match ty {
            UPLOADED => read(ty, data).map(Self::Uploaded),
            ACCEPTED => read(ty, data).map(Self::Accepted),
            UNIT_REQUESTED => read(ty, data).map(Self::UnitRequested),
            STEP_PROGRESSED => read(ty, data).map(Self::StepProgressed),
            STEP_COMPLETED => read(ty, data).map(Self::StepCompleted),
            PLAYABLE => read(ty, data).map(Self::Playable),
            READY => read(ty, data).map(Self::Ready),
            REJECTED => read(ty, data).map(Self::Rejected),
            FAILED => read(ty, data).map(Self::Failed),
            UPDATED => read(ty, data).map(Self::Updated),
            DELETED => read(ty, data).map(Self::Deleted),
            USER_DELETED => read(ty, data).map(Self::UserDeleted),
            LIKED => read(ty, data).map(Self::Liked),
            TICK | PING => Ok(Self::Tick),
            _ => Err(InvalidPayload::UnknownType(ty.to_owned())),
        }
    }
}

fn read<T: DeserializeOwned>(ty: &str, data: Value) -> Result<T, InvalidPayload> {
    serde_json::from_value(data).map_err(|source| InvalidPayload::Data {
        ty: ty.to_owned(),
        source,
    })
}
