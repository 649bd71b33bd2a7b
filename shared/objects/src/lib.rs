//! S3: the key layout, reading and writing objects, multipart uploads, and signed URLs.
//!
//! One bucket. What people upload lies under `uploads/`, what is made of it under `videos/`; nothing is listed or
//! readable without a signature.

mod credentials;
pub mod keys;
mod multipart;
mod sign;
mod store;

pub use credentials::{CredentialsEnd, Watched};
pub use multipart::{OpenUpload, Part};
pub use sign::{Answer, Hold, SignedRequest, Signer};
pub use store::{Error, Head, Objects};
