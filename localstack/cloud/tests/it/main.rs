//! The embedded cloud as its clients see it: the official AWS SDKs, and raw HTTP where signatures or headers matter.

#![allow(clippy::unwrap_used)]

mod backup;
mod browser;
mod crash;
mod durability;
mod dynamodb;
mod full;
mod keys;
mod listing;
mod multipart;
mod notifications;
mod objects;
mod presigned;
mod queues;
mod script;
mod secured;
mod support;
mod table;
