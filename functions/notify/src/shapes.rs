//! What the events say, as JSON.

use serde::Serialize;
use toktik_catalog::counters::Counts;
use toktik_catalog::ledger::{State, StepItem};
use toktik_catalog::progress;
use toktik_catalog::videos::{Status, Trouble, Video};
use toktik_events::VideoId;

/// `event: clip`: how one of the reader's own clips stands.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct Clip {
    pub(crate) id: VideoId,
    /// As of a clip; `deleted` when it is gone.
    pub(crate) status: Status,
    /// 0 to 1.
    pub(crate) progress: f64,
    pub(crate) steps: Vec<Step>,
    /// Why it was refused or has failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) error: Option<Error>,
}

/// One piece of work.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct Step {
    name: String,
    /// Which part of the clip, where a step has several.
    #[serde(skip_serializing_if = "String::is_empty")]
    unit: String,
    /// `pending`, `running`, `done` or `failed`.
    state: State,
}

#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct Error {
    code: String,
    message: String,
}

/// `event: counts`: how often a clip was watched and liked.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct Tally {
    id: VideoId,
    views: u64,
    likes: u64,
    comments: u64,
}

/// `event: status`: what a clip that somebody looks at has become.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct Standing {
    pub(crate) id: VideoId,
    /// As of a clip; `deleted` when the reader may no longer see it.
    pub(crate) status: Status,
}

impl Clip {
    pub(crate) fn new(video: &Video, steps: &[StepItem]) -> Self {
        Self {
            id: video.id,
            status: video.status,
            progress: progress(video.status, steps),
            steps: steps.iter().map(Step::from).collect(),
            error: video.error.as_ref().map(Error::from),
        }
    }

    pub(crate) fn gone(id: VideoId) -> Self {
        Self {
            id,
            status: Status::Deleted,
            progress: 1.0,
            steps: Vec::new(),
            error: None,
        }
    }
}

impl From<&StepItem> for Step {
    fn from(item: &StepItem) -> Self {
        Self {
            name: item.step.clone(),
            unit: item.unit.clone(),
            state: item.state,
        }
    }
}

impl From<&Trouble> for Error {
    fn from(trouble: &Trouble) -> Self {
        Self {
            code: trouble.code.clone(),
            message: trouble.message.clone(),
        }
    }
}

impl Tally {
    pub(crate) fn new(id: VideoId, counts: Counts) -> Self {
        Self {
            id,
            views: counts.views,
            likes: counts.likes,
            comments: counts.comments,
        }
    }
}
