//! Who may see a clip, and whose it is.

use toktik_catalog::text::Visibility;
use toktik_catalog::videos::{Status, Video};
use toktik_identity::{Identity, Role};

use crate::http::Problem;

/// Whether the caller is the owner or an administrator.
pub fn commands(video: &Video, caller: &Identity) -> bool {
    video.owner == caller.user || caller.role == Role::Admin
}

/// Whether this viewer may know of the clip. Its owner sees whatever is not deleted; others what is meant for them and
/// has not come to grief.
pub fn sees(video: &Video, viewer: Option<&Identity>) -> bool {
    if video.status == Status::Deleted {
        return false;
    }
    if viewer.is_some_and(|viewer| commands(video, viewer)) {
        return true;
    }
    let shown = matches!(video.status, Status::Processing | Status::Playable | Status::Ready);
    shown && video.visibility != Visibility::Private
}

/// 404 for those who may not see the clip, 403 for those who may and do not command it. What is deleted nobody sees.
pub fn require_command(video: &Video, caller: &Identity) -> Result<(), Problem> {
    if !sees(video, Some(caller)) {
        return Err(Problem::not_found());
    }
    if commands(video, caller) {
        return Ok(());
    }
    Err(Problem::forbidden("This clip is somebody else's."))
}
