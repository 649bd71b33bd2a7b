//! What every HTTP function shares: problems, who is calling, request bodies, pages, and the layers around a router.

mod address;
mod caller;
mod entity;
mod field;
mod forwarded;
mod idempotency;
mod input;
pub mod layers;
mod meters;
mod page;
mod problem;

pub use address::{AddressBook, ClientAddress, ServiceAddress, StoreAddress};
pub use caller::{ACCESS_COOKIE, Caller, Gate, Viewer, cookie, require_same_origin};
pub use entity::Entity;
pub use field::Field;
pub use forwarded::Forwarded;
pub use idempotency::{fingerprint, idempotency_key};
pub use input::{Check, Input, Parameters, PathId, PathName};
pub use page::{Page, PageQuery};
pub use problem::{FieldError, Problem};
