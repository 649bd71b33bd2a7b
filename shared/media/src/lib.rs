//! ffmpeg and ffprobe: what an upload is, what is to be made of it, and how it is made in a sandbox.
//!
//! Planning, arguments and playlists are pure functions of data; one place spawns ffmpeg.

pub mod cmaf;
pub mod cost;
pub mod encode;
mod filters;
pub mod images;
pub mod manifest;
pub mod plan;
pub mod playlist;
pub mod probe;
pub mod process;
pub mod sandbox;
pub mod settings;
pub mod sniff;
pub mod source;
