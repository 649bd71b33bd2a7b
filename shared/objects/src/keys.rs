//! Where what lies. Keys contain generation, unit and attempt, so that no run ever overwrites another's bytes.

use toktik_events::VideoId;
use uuid::Uuid;

const UPLOADS: &str = "uploads/";
const VIDEOS: &str = "videos/";

/// The prefix whose new objects start probing.
pub const INCOMING: &str = UPLOADS;

/// A fresh place for one upload: a URL to it can be used once, since nothing else ever lies there.
pub fn upload(video: VideoId) -> String {
    format!("{UPLOADS}{video}/{}", Uuid::new_v4().simple())
}

/// Everything that was ever uploaded for a clip.
pub fn uploads_of(video: VideoId) -> String {
    format!("{UPLOADS}{video}/")
}

/// The clip that an upload belongs to; none for a key that is not ours.
pub fn video_of_upload(key: &str) -> Option<VideoId> {
    key.strip_prefix(UPLOADS)?.split_once('/')?.0.parse().ok()
}

/// Everything that was made of a clip.
pub fn media_of(video: VideoId) -> String {
    format!("{VIDEOS}{video}/")
}

/// What a generation made; ends in `/`.
pub fn generation(video: VideoId, generation: u32) -> String {
    format!("{VIDEOS}{video}/{generation}/")
}

/// What one run of a step makes; ends in `/`.
pub fn attempt(video: VideoId, generation: u32, step: &str, unit: &str, attempt: u32) -> String {
    let unit = if unit.is_empty() {
        String::new()
    } else {
        format!("{unit}/")
    };
    format!("{VIDEOS}{video}/{generation}/{step}/{unit}{attempt}/")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_upload_names_its_clip_and_nothing_else_does() {
        let id = VideoId::random();
        assert_eq!(video_of_upload(&upload(id)), Some(id));
        for key in [
            "uploads/",
            "uploads/x/y",
            &format!("videos/{id}/1"),
            &format!("uploads/{id}"),
        ] {
            assert_eq!(video_of_upload(key), None, "{key}");
        }
    }

    #[test]
    fn no_two_runs_share_a_key() {
        let id = VideoId::random();
        assert_ne!(upload(id), upload(id));
        assert_eq!(
            attempt(id, 1, "transcode", "video-0", 2),
            format!("videos/{id}/1/transcode/video-0/2/")
        );
        assert!(attempt(id, 1, "thumbnail", "", 1).starts_with(&generation(id, 1)));
    }
}
