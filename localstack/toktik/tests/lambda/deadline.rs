//! Time that runs out in the middle of a step.

use std::time::{Duration, Instant};

use aws_sdk_sqs::types::Message as Delivery;
use toktik_catalog::ledger::{State, StepItem};
use toktik_events::Function;

use crate::clips::long_clip;
use crate::site::Site;

const FUNCTIONS: [Function; 4] = [Function::Auth, Function::Upload, Function::Probe, Function::Transcode];

async fn picture(site: &Site, id: &str) -> StepItem {
    let step = site
        .context
        .catalog
        .step(id.parse().unwrap(), 1, "transcode", "video-0")
        .await;
    step.unwrap().unwrap()
}

/// The messages that ask for its picture; that of the lowest rungs is a unit of its own.
async fn asked_for(site: &Site) -> Vec<Delivery> {
    let mut messages = site.receive(Function::Transcode).await;
    messages.retain(|message| message.body().is_some_and(|body| body.contains(r#""unit":"video-0""#)));
    messages
}

fn scratch(site: &Site) -> usize {
    std::fs::read_dir(site.directory().join("scratch")).unwrap().count()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_does_not_fit_into_the_time_is_given_back_and_finished_by_the_next() {
    let site = Site::open(&FUNCTIONS).await;
    let token = site.token().await;
    let id = site.upload(&token, long_clip(site.directory())).await;
    // The store's message and the client's word: one of them finds the other at work.
    let told = site.receive(Function::Probe).await;
    assert!(site.map(Function::Probe, &told).await < 2);
    let unit = asked_for(&site).await;
    assert_eq!(unit.len(), 1, "{unit:?}");

    site.door(Function::Transcode).set_timeout(Duration::from_secs(3));
    let began = Instant::now();
    assert_eq!(site.map(Function::Transcode, &unit).await, 1, "it comes again");
    assert!(began.elapsed() < Duration::from_secs(3), "{:?}", began.elapsed());
    let step = picture(&site, &id).await;
    assert_eq!(
        (step.state, step.attempts, step.interrupted),
        (State::Pending, 1, 1),
        "{step:?}"
    );
    assert_eq!(scratch(&site), 0);

    site.door(Function::Transcode).set_timeout(Duration::from_mins(15));
    // At once, and not when the mapping's visibility ends.
    let unit = asked_for(&site).await;
    assert_eq!(unit.len(), 1, "{unit:?}");
    assert_eq!(site.map(Function::Transcode, &unit).await, 0);
    let step = picture(&site, &id).await;
    assert_eq!((step.state, step.attempts), (State::Done, 2), "{step:?}");
    site.close().await;
}
