//! The integration suite: the whole platform through HTTP, over the embedded cloud.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod access;
mod api;
mod auth;
mod backup;
mod binding;
mod broker;
mod browser;
mod client;
mod clips;
mod contract;
mod counters;
mod customer;
mod deletion;
mod delivery;
mod doctor;
mod ends;
mod feed;
mod full;
mod harness;
mod hls;
mod logs;
mod manifests;
mod media;
mod multipart;
mod pipeline;
mod playback;
mod processes;
mod recovery;
mod refusals;
mod running;
mod sdk;
mod units;
mod uploads;
mod videos;
mod worker;
