//! What every HTTP function shares: problems, who is calling, request bodies, pages, and the layers around a router.

mod caller;
mod input;
pub mod layers;
mod page;
mod problem;

pub use caller::{Caller, Gate, Viewer, require_same_origin};
pub use input::{Check, Input, Parameters, PathId};
pub use page::{Page, PageQuery};
pub use problem::{FieldError, Problem};
