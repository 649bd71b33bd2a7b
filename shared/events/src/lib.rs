//! What functions say to each other: event types and their data, and the two tables of routes.
//!
//! An event carries references, never media bytes. Its id is derived from what it tells, so that a repeat has the
//! same id. Depends on nothing of ours and does no I/O.

pub mod binding;
pub mod id;
pub mod intake;
pub mod message;
pub mod payload;
pub mod routes;
pub mod trace;
mod verdict;

pub use binding::Event;
pub use id::VideoId;
pub use message::Message;
pub use payload::Payload;
pub use routes::Function;
pub use trace::TraceParent;
pub use verdict::{Rejection, RejectionCode};
