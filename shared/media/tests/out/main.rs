//! The arguments, run: plain ffmpeg makes clips and renditions, the renditions are split and listed, and ffmpeg
//! plays what came out. Sandbox and probe have tests of their own, so sources are described here by hand.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails there")]

mod clip;
mod copied;
mod damage;
mod files;
mod images;
mod join;
mod picture;
mod sound;
mod stage;
mod timing;
mod units;
