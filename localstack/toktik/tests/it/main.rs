//! The integration suite: the whole platform through HTTP, over the embedded cloud.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod auth;
mod broker;
mod browser;
mod clips;
mod harness;
mod media;
mod pipeline;
mod processes;
mod recovery;
mod refusals;
