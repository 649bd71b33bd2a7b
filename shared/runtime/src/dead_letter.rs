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
        if let Some(asked) = message.and_then(|message| step::asked(function, message)) {
            let trouble = Trouble {
                code: code.to_owned(),
                message: why.to_owned(),
                step: Some(asked.step.clone()),
            };
            self.catalog
                .give_up(asked.video_id, asked.generation, &asked.step, &asked.unit, &trouble)
                .await?;
        }
        let reason = Reason {
            function: function.to_string(),
            code: code.to_owned(),
            message: why.to_owned(),
        };
        self.publisher.dead_letter(body, &serde_json::to_value(reason)?).await
    }
}
