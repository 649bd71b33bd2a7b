//! Functions as workers of their queues.

use aws_sdk_sqs::types::QueueAttributeName;
use toktik_events::Function;

use crate::stage::{Host, Stage, outcome_in_one_process};

#[tokio::test(flavor = "multi_thread")]
async fn from_queues_the_same_clip_becomes_the_same_objects() {
    let stage = Stage::open(Host::Queue).await;
    let outcome = stage.outcome().await;
    let dead = stage
        .queues()
        .get_queue_url()
        .queue_name(format!("toktik-{}", Function::DeadLetter));
    let dead = dead.send().await.unwrap().queue_url.unwrap();
    let asked = stage
        .queues()
        .get_queue_attributes()
        .queue_url(dead)
        .attribute_names(QueueAttributeName::All);
    let counts = asked.send().await.unwrap().attributes.unwrap();
    assert_eq!(counts[&QueueAttributeName::ApproximateNumberOfMessages], "0");
    assert_eq!(outcome, outcome_in_one_process().await);
    stage.close().await;
}
