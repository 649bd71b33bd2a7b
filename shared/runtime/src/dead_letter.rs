//! What a host does with an event that cannot succeed: the verdict goes into the ledger, the event to dead-letter.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use toktik_catalog::videos::Trouble;
use toktik_events::{Function, Message};

use crate::context::Context;
use crate::step;

/// What dead-letter receives.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Envelope {
    pub event: Value,
    pub error: Reason,
}

/// Why an event was given up.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reason {
    pub function: String,
    pub code: String,
    pub message: String,
}

impl Context {
    /// Records the verdict and sends the event to dead-letter. Only then may it be acknowledged.
    pub async fn give_up(
        &self,
        function: Function,
        body: &str,
        message: Option<&Message>,
        code: &str,
        why: &str,
    ) -> anyhow::Result<()> {
        if let Some(message) = message {
            self.record_verdict(function, message, code, why).await?;
        }
        let reason = Reason {
            function: function.to_string(),
            code: code.to_owned(),
            message: why.to_owned(),
        };
        self.publisher.dead_letter(body, &serde_json::to_value(reason)?).await
    }

    /// Writes into the ledger that the step which the event asks for is given up.
    pub async fn record_verdict(
        &self,
        function: Function,
        message: &Message,
        code: &str,
        why: &str,
    ) -> anyhow::Result<()> {
        let Some(asked) = step::asked(function, message) else {
            return Ok(());
        };
        let trouble = Trouble {
            code: code.to_owned(),
            message: why.to_owned(),
            step: Some(asked.step.clone()),
        };
        self.catalog
            .give_up(
                asked.video_id,
                asked.generation,
                &asked.step,
                &asked.unit,
                &trouble,
                self.clock.now(),
            )
            .await?;
        Ok(())
    }
}
