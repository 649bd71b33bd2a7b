//! How every clip ends that a phone, a camera or a joker can produce: ready, and then a player gets what was filmed, or
//! refused with the right reason. Each test takes one clip through the whole house.

mod bait;
mod bombs;
mod color;
mod container;
mod damage;
mod forge;
mod hostile;
mod length;
mod metadata;
mod picture;
mod player;
mod settle;
mod sound;
mod timing;

use std::path::Path;

use serde_json::Value;

use crate::clips::make;
use crate::harness::{House, User};

/// A clip that has gone through the house.
pub(crate) struct Ended {
    pub(crate) house: House,
    pub(crate) user: User,
    pub(crate) id: String,
    /// As its owner sees it.
    pub(crate) video: Value,
}

/// Uploads these bytes and lets the house do all it will do. No clip is left undecided.
pub(crate) async fn end(bytes: Vec<u8>) -> Ended {
    let house = House::open().await;
    let user = house.user("ada").await;
    let id = house.publish(&user, bytes).await;
    let video = house.video(&id, Some(&user)).await;
    let status = video["status"].as_str().unwrap();
    assert!(matches!(status, "ready" | "rejected"), "left undecided: {video}");
    assert_eq!(house.messages().await, 0, "a queue is not empty");
    Ended { house, user, id, video }
}

/// The clip that ffmpeg makes of these arguments, in the container that the name says.
pub(crate) async fn end_of(name: &str, arguments: &str) -> Ended {
    let directory = tempfile::tempdir().unwrap();
    end(made(directory.path(), name, arguments)).await
}

pub(crate) fn made(directory: &Path, name: &str, arguments: &str) -> Vec<u8> {
    make(directory, name, &arguments.split_whitespace().collect::<Vec<_>>())
}

impl Ended {
    /// Asserts that the clip can be watched, and nothing went wrong on the way.
    #[track_caller]
    pub(crate) fn ready(self) -> Self {
        assert_eq!(self.video["status"], "ready", "{}", self.video);
        assert_eq!(self.video["warnings"], serde_json::json!([]), "{}", self.video);
        self
    }

    /// Asserts that the clip is refused with this code, and in a sentence.
    #[track_caller]
    pub(crate) fn refused(self, code: &str) -> Self {
        assert_eq!(
            (&self.video["status"], &self.video["error"]["code"]),
            (&"rejected".into(), &code.into()),
            "{}",
            self.video
        );
        let sentence = self.video["error"]["message"].as_str().unwrap();
        assert!(
            sentence.len() > 20 && sentence.ends_with('.'),
            "not a sentence: {sentence}"
        );
        self
    }

    pub(crate) fn playlist(&self) -> &str {
        self.video["urls"]["playlist"].as_str().unwrap()
    }
}
