//! What needs a real ffmpeg, a real kernel, or both. Clips are made by ffmpeg when they are needed.

mod clips;
mod probe;
mod process;
mod sandbox;
