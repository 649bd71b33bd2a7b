//! From a dead letter to a failed clip, or to a clip that goes on without.

use anyhow::anyhow;
use async_trait::async_trait;
use tokio_util::sync::CancellationToken;
use toktik_catalog::ledger::{OVERVIEW, State, StepItem};
use toktik_catalog::videos::{Status, Trouble, Video};
use toktik_events::binding::AttributesReader;
use toktik_events::intake::{self, Unreadable};
use toktik_events::payload::{Failed, Step};
use toktik_events::{Event, Function, Message, Payload, routes};
use toktik_runtime::dead_letter::Envelope;
use toktik_runtime::{Context, Failure, step};

pub(crate) struct Handler {
    pub(crate) context: Context,
}

/// What a person reads; the details are for the log.
const SORRY: &str = "Something went wrong while processing this clip. You can try again.";

#[async_trait]
impl toktik_runtime::Handler for Handler {
    /// A broker's dead letter is the event itself. What it was answered does not matter here: backlog (429, 503, 504, no
    /// answer in time) and a verdict (422) are told apart by the ledger, which has every verdict and every run.
    async fn handle(&self, message: &Message, _: &CancellationToken) -> Result<(), Failure> {
        if let Payload::UserDeleted(_) = &message.payload {
            // No step waits for it that the janitor would find: it has to be said again, after a while.
            let again = Message {
                time: self.context.clock.now(),
                ..message.clone()
            };
            return Ok(self.context.catalog.owe(&again).await?);
        }
        for step in asked_of_anybody(message) {
            self.judge(&step).await?;
        }
        Ok(())
    }

    /// A host's dead letter has the event in an envelope. What nobody can read ends here: there is nowhere else to go.
    fn read(&self, body: &[u8]) -> Result<Vec<Message>, Unreadable> {
        let envelope: Option<Envelope> = serde_json::from_slice(body).ok();
        let event = envelope.map_or_else(|| body.to_vec(), |envelope| envelope.event.to_string().into_bytes());
        Ok(intake::parse(&event).unwrap_or_else(|error| {
            tracing::error!(error = %error, body = %String::from_utf8_lossy(body), "an unreadable event ends here");
            Vec::new()
        }))
    }

    fn read_event(&self, event: &Event) -> Result<Vec<Message>, Unreadable> {
        tell(event);
        Ok(intake::messages(event).unwrap_or_else(|error| {
            tracing::error!(error = %error, event.id = event.id(), event.ty = event.ty(), "an unreadable event ends here");
            Vec::new()
        }))
    }
}

/// Who did not take the event, and what the broker was answered.
fn tell(event: &Event) {
    let said = |name| event.extension(name).map(ToString::to_string);
    let code = said("knativeerrorcode");
    if let Some(destination) = said("knativeerrordest") {
        tracing::warn!(
            event.id = event.id(),
            event.ty = event.ty(),
            destination,
            code,
            answer = said("knativeerrordata"),
            "a broker could not deliver an event"
        );
    }
}

/// The steps that this event asks for, of whichever functions it starts.
fn asked_of_anybody(message: &Message) -> Vec<Step> {
    let functions = routes::targets(&message.payload.ty());
    functions
        .iter()
        .filter_map(|function| step::asked(*function, message))
        .collect()
}

impl Handler {
    async fn judge(&self, step: &Step) -> Result<(), Failure> {
        let (id, generation) = (step.video_id, step.generation);
        let catalog = &self.context.catalog;
        let video = catalog.video(id).await?.filter(|video| video.generation == generation);
        let item = catalog.step(id, generation, &step.step, &step.unit).await?;
        let (Some(video), Some(item)) = (video, item) else {
            return Ok(());
        };
        match item.state {
            State::Failed => self.settle(&video, step, &item).await,
            State::Running if item.is_leased(self.context.clock.now()) => Ok(()),
            State::Pending | State::Running if item.is_exhausted() => {
                let trouble = exhausted(&item);
                catalog
                    .give_up(
                        id,
                        generation,
                        &step.step,
                        &step.unit,
                        &trouble,
                        self.context.clock.now(),
                    )
                    .await?;
                self.settle(&video, step, &item).await
            }
            State::Pending | State::Running | State::Done => Ok(()),
        }
    }

    /// The step will not be done. The clip goes on without, or it has failed.
    async fn settle(&self, video: &Video, step: &Step, item: &StepItem) -> Result<(), Failure> {
        if is_optional(step) {
            return self.context.step_completed(Function::DeadLetter, step).await;
        }
        let inner = item.error.clone().unwrap_or_else(|| exhausted(item));
        tracing::error!(
            video.id = %video.id,
            step = step.step,
            unit = step.unit,
            code = inner.code,
            reason = inner.message,
            "a clip has failed"
        );
        let mut trouble = Trouble {
            message: SORRY.to_owned(),
            ..inner
        };
        if !self.context.catalog.fail(video, &trouble).await? {
            let Some(before) = self.failed_before(video).await? else {
                return Ok(());
            };
            trouble = before;
        }
        let failed = Failed {
            video_id: video.id,
            generation: video.generation,
            step: trouble.step.unwrap_or_default(),
            code: trouble.code,
            message: trouble.message,
        };
        let message = Message::new(Function::DeadLetter, self.context.clock.now(), Payload::Failed(failed));
        self.context
            .publisher
            .publish(&message)
            .await
            .map_err(|error| anyhow!(error).into())
    }

    /// Why the clip failed before: the word of it may have been lost.
    async fn failed_before(&self, video: &Video) -> Result<Option<Trouble>, Failure> {
        let now = self.context.catalog.video(video.id).await?;
        let failed = |now: &Video| now.status == Status::Failed && now.generation == video.generation;
        Ok(now.filter(failed).and_then(|now| now.error))
    }
}

/// A clip is ready without its MP3, without storyboard and preview, and without the file to take along.
fn is_optional(step: &Step) -> bool {
    let steps = [
        (Function::Audio, ""),
        (Function::Thumbnail, OVERVIEW),
        (Function::Package, ""),
    ];
    steps
        .iter()
        .any(|(function, unit)| step.step == function.name() && step.unit == *unit)
}

fn exhausted(item: &StepItem) -> Trouble {
    Trouble {
        code: "attempts_exhausted".to_owned(),
        message: format!("{} ran {} times without coming to an end", item.step, item.attempts),
        step: Some(item.step.clone()),
    }
}
