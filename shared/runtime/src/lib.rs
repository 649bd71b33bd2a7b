//! Runs a function, whichever host it finds itself on: configuration, telemetry, shutdown, and the way events come in
//! and go out.
//!
//! A function is a library with a handler. Here it becomes an HTTP server that takes CloudEvents (Knative, OpenFaaS,
//! plain Kubernetes), an AWS Lambda or a queue worker; the all-in-one program composes several into one process with the
//! same parts. The handler cannot tell which.

pub mod access;
mod cache;
pub mod clock;
pub mod context;
mod crowd;
pub mod dead_letter;
mod delivery;
pub mod function;
pub mod http;
pub mod inbox;
mod lambda;
mod program;
pub mod publish;
mod refusal;
pub mod server;
pub mod settings;
pub mod step;
pub mod telemetry;
pub mod trace;
pub mod worker;
pub mod workshop;

pub use cache::Cache;
pub use clock::Clock;
pub use context::Context;
pub use crowd::Crowd;
pub use function::{Failure, Handler, Serverless, Service, Urgency};
pub use program::{allow_connections, concurrency, main, run_function, stop_signal};
pub use publish::Publisher;
