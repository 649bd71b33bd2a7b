//! Time that runs out in the middle of a step.

use std::time::{Duration, Instant};

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
    let unit = site.receive(Function::Transcode).await;
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
    let unit = site.receive(Function::Transcode).await;
    assert_eq!(unit.len(), 1, "{unit:?}");
    assert_eq!(site.map(Function::Transcode, &unit).await, 0);
    let step = picture(&site, &id).await;
    assert_eq!((step.state, step.attempts), (State::Done, 2), "{step:?}");
    site.close().await;
}
