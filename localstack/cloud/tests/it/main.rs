//! The embedded cloud as its clients see it: the official AWS SDKs, and raw HTTP where signatures or headers matter.

#![allow(clippy::unwrap_used)]

mod browser;
mod durability;
mod dynamodb;
mod listing;
mod multipart;
mod notifications;
mod objects;
mod presigned;
mod queues;
mod secured;
mod support;
