//! What `fuzz/` reaches of the readers, and nobody else.

use crate::init::Init;
use crate::playlist::{Media, Multivariant};
use crate::segment::Content;

/// Reads a playlist as either kind.
pub fn playlist(bytes: &[u8]) {
    Multivariant::parse(bytes);
    let media = Media::parse(bytes);
    let _ = (media.duration(), media.is_event());
}

/// Reads an init segment, and what follows it as a media segment of its first track.
pub fn boxes(init: &[u8], segment: &[u8]) {
    let Ok(init) = Init::parse(init) else { return };
    if let Some(track) = init.main() {
        let content = Content::parse(segment, track);
        let _ = (content.ticks(), content.layout(), content.samples().count());
    }
}
