//! One suite, several clouds: pipeline, uploads, notifications, redrive, deletion and provisioning, against whatever the
//! environment names.
//!
//! With `TOKTIK_TEST_TARGET` (localstack, ministack, aws) the target is where `AWS_ENDPOINT_URL`, `AWS_REGION` and credentials
//! lead, as for any program with an AWS SDK; without it each test has a `toktik cloud` of its own. `cargo xtask test` runs it
//! against several, and starts the emulators. Every test makes bucket, queues and table under a prefix of its own, and removes
//! them, also when it fails.
//!
//! Nothing is mocked, and nothing skipped: where a target is known to do something otherwise than AWS (`quirks`), the test asserts
//! that it still does, and what becomes of it.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod account;
#[allow(dead_code, reason = "another suite needs more of it")]
#[path = "../it/client.rs"]
mod client;
#[allow(dead_code, reason = "another suite needs more of them")]
#[path = "../it/clips.rs"]
mod clips;
mod conditions;
#[allow(dead_code, reason = "another suite needs more of it")]
#[path = "../it/customer.rs"]
mod customer;
#[path = "../hosts/names.rs"]
mod names;
mod notifications;
mod pipeline;
mod provisioning;
mod quirks;
mod record;
mod redrive;
#[allow(dead_code, reason = "another suite needs more of it")]
#[path = "../it/running.rs"]
mod running;
#[path = "../it/sdk.rs"]
mod sdk;
mod site;
mod snapshot;
mod strangers;
mod sweep;
mod uploads;
mod wrong;
