//! One function, several hosts: the whole product with a process for each function, started by HTTP behind a broker and
//! from queues. The same clip has to become the same objects as in the program that holds everything.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod broker;
#[allow(dead_code, reason = "the other suite needs more of it")]
#[path = "../it/client.rs"]
mod client;
#[allow(dead_code, reason = "the other suite needs more of them")]
#[path = "../it/clips.rs"]
mod clips;
#[allow(dead_code, reason = "the other suite needs more of it")]
#[path = "../it/customer.rs"]
mod customer;
mod gateway;
mod http;
#[allow(dead_code, reason = "the other suite needs more of it")]
#[path = "../it/listener.rs"]
mod listener;
mod names;
mod outcome;
mod queue;
#[allow(dead_code, reason = "the other suite needs more of it")]
#[path = "../it/running.rs"]
mod running;
mod stage;
