//! Runs a step of the ledger under its lease.
//!
//! While the work runs, the lease is renewed and the clip looked at; the moment it is lost, or nobody wants the clip any
//! more, the work is dropped where it stands, and with it every process it started.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::anyhow;
use tokio_util::sync::CancellationToken;
use toktik_catalog::ledger::{Begin, Lease, State};
use toktik_events::payload::{Clip, Progress, Step};
use toktik_events::{Function, Message, Payload, Rejection};
use toktik_objects::keys;

use crate::context::{Context, sign_of_life};
use crate::function::Failure;

/// What became of a step.
#[derive(Debug)]
pub enum Turn<T> {
    /// We did it; the lease is still ours to finish.
    Worked(Lease, T),
    /// It was done before.
    Done,
    /// Nobody wants it.
    Over,
}

/// What came of a step that was done.
#[derive(Debug)]
pub enum Outcome {
    /// What package is to know of it.
    Made(serde_json::Value),
    /// It showed that the clip cannot be played.
    Refused(Rejection),
}

/// How far the work is, 0 to 1, for whoever asks meanwhile.
#[derive(Clone, Debug, Default)]
pub struct Gauge(Arc<AtomicU64>);

impl Gauge {
    pub fn set(&self, progress: f64) {
        self.0.store(progress.clamp(0.0, 1.0).to_bits(), Ordering::Relaxed);
    }

    fn get(&self) -> f64 {
        f64::from_bits(self.0.load(Ordering::Relaxed))
    }
}

/// Where the objects of this run go, and no other's; ends in `/`.
pub fn prefix(lease: &Lease) -> String {
    keys::attempt(
        lease.video_id,
        lease.generation,
        &lease.step,
        &lease.unit,
        lease.attempt,
    )
}

/// The step of the ledger that an event asks this function for.
pub fn asked(function: Function, message: &Message) -> Option<Step> {
    let step = |clip: &Clip, name: Function| Step {
        video_id: clip.video_id,
        generation: clip.generation,
        step: name.to_string(),
        unit: String::new(),
    };
    match (function, &message.payload) {
        (_, Payload::UnitRequested(unit)) => (unit.step == function.name()).then(|| unit.clone()),
        (Function::Thumbnail | Function::Audio, Payload::Accepted(clip))
        | (Function::Probe, Payload::Uploaded(clip)) => Some(step(clip, function)),
        (Function::Probe, Payload::ObjectCreated(object)) => {
            let video_id = keys::video_of_upload(&object.key)?;
            Some(step(
                &Clip {
                    video_id,
                    generation: 1,
                },
                function,
            ))
        }
        (Function::Package, Payload::StepCompleted(made) | Payload::StepProgressed(Progress { step: made, .. })) => {
            let clip = Clip {
                video_id: made.video_id,
                generation: made.generation,
            };
            Some(step(&clip, function))
        }
        _ => None,
    }
}

impl Context {
    /// Does the work if it is to be done and nobody else is at it. Whoever is, is waited for by a later delivery.
    pub async fn under_lease<T, W>(
        &self,
        step: &Step,
        cancel: &CancellationToken,
        work: impl FnOnce(Lease, Gauge) -> W,
    ) -> Result<Turn<T>, Failure>
    where
        W: Future<Output = Result<T, Failure>>,
    {
        let now = self.clock.now();
        let begun = self
            .catalog
            .begin(step.video_id, step.generation, &step.step, &step.unit, now)
            .await?;
        let lease = match begun {
            Begin::Started(lease) => lease,
            Begin::Done => return Ok(Turn::Done),
            Begin::Unwanted => return Ok(Turn::Over),
            // Whoever gave it up may not have come to say so.
            Begin::Failed => return Err(Failure::give_up("given_up", anyhow!("the step was given up before"))),
            Begin::Exhausted => {
                let why = anyhow!("the step was begun again and again without coming to an end");
                return Err(Failure::give_up("attempts_exhausted", why));
            }
            Begin::Busy => {
                let look_again = sign_of_life(self.lease);
                return Err(Failure::retry_after(
                    look_again,
                    anyhow!("somebody else holds the lease"),
                ));
            }
        };
        let gauge = Gauge::default();
        let outcome = tokio::select! {
            result = work(lease.clone(), gauge.clone()) => Some(result),
            () = self.until_lost(&lease, &gauge) => None,
            () = cancel.cancelled() => {
                self.catalog.interrupt(&lease).await?;
                return Err(Failure::retry_after(Duration::ZERO, anyhow!("the host is stopping")));
            }
        };
        match outcome {
            Some(Ok(result)) => Ok(Turn::Worked(lease, result)),
            Some(Err(failure)) => {
                self.give_back(&lease, &failure, cancel).await?;
                Err(failure)
            }
            None => {
                tracing::info!("the clip no longer wants this step, or somebody else has taken it over");
                Ok(Turn::Over)
            }
        }
    }

    async fn give_back(&self, lease: &Lease, failure: &Failure, cancel: &CancellationToken) -> Result<(), Failure> {
        match failure {
            Failure::Retry { .. } if cancel.is_cancelled() => self.catalog.interrupt(lease).await?,
            Failure::Retry { .. } => self.catalog.postpone(lease).await?,
            Failure::GiveUp { .. } => self.catalog.release(lease).await?,
        }
        Ok(())
    }

    /// Renews the lease until that is refused.
    async fn until_lost(&self, lease: &Lease, gauge: &Gauge) {
        loop {
            tokio::time::sleep(self.lease_check).await;
            match self.catalog.renew(lease, gauge.get(), self.clock.now()).await {
                Ok(true) => {}
                Ok(false) => return,
                // The lease holds for a while yet; the next round may find the table again.
                Err(error) => tracing::warn!(error = format!("{error:#}"), "could not renew a lease"),
            }
        }
    }

    async fn is_done(&self, step: &Step) -> Result<bool, Failure> {
        let (id, generation) = (step.video_id, step.generation);
        let item = self.catalog.step(id, generation, &step.step, &step.unit).await?;
        Ok(item.is_some_and(|item| item.state == State::Done))
    }

    /// What earlier runs of a step have published, which this one goes on from.
    pub async fn published(&self, lease: &Lease) -> Result<Option<serde_json::Value>, Failure> {
        let (id, generation) = (lease.video_id, lease.generation);
        let item = self.catalog.step(id, generation, &lease.step, &lease.unit).await?;
        Ok(item.and_then(|item| item.result))
    }

    /// Publishes what a step has made so far: so many segments of each of its tracks. Refused once the lease is lost, which
    /// its next renewal notices. Where nobody can be told, the next word says all of it.
    pub async fn step_progressed(
        &self,
        from: Function,
        lease: &Lease,
        result: &serde_json::Value,
        segments: u64,
    ) -> Result<(), Failure> {
        if !self.catalog.progress(lease, result).await? {
            return Ok(());
        }
        let step = Step {
            video_id: lease.video_id,
            generation: lease.generation,
            step: lease.step.clone(),
            unit: lease.unit.clone(),
        };
        let told = self.publish(from, Payload::StepProgressed(Progress { step, segments }));
        if let Err(error) = told.await {
            tracing::warn!(error = format!("{error:#}"), "could not say that a step has progressed");
        }
        Ok(())
    }

    /// Says that a step is done; also when it was done before, since the first word may have been lost.
    pub async fn step_completed(&self, from: Function, step: &Step) -> Result<(), Failure> {
        Ok(self.publish(from, Payload::StepCompleted(step.clone())).await?)
    }

    /// The whole life of a step whose result goes into the ledger as it is.
    pub async fn complete_step<W>(
        &self,
        function: Function,
        step: &Step,
        cancel: &CancellationToken,
        work: impl FnOnce(Lease, Gauge) -> W,
    ) -> Result<(), Failure>
    where
        W: Future<Output = Result<Outcome, Failure>>,
    {
        match self.under_lease(step, cancel, work).await? {
            Turn::Over => return Ok(()),
            Turn::Done => {}
            Turn::Worked(lease, Outcome::Refused(rejection)) => {
                return Ok(self.refuse(function, &lease, &rejection).await?);
            }
            Turn::Worked(lease, Outcome::Made(result)) => {
                // Refused also when the answer to a first try was lost: then the step is done, and somebody has to say so.
                if !self.catalog.finish(&lease, &result).await? && !self.is_done(step).await? {
                    return Ok(());
                }
            }
        }
        self.step_completed(function, step).await
    }
}
