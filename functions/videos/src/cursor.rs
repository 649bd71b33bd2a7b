//! Where a list goes on. Cursors come back as anybody writes them, and one that is taken becomes part of a key.

use toktik_events::VideoId;

/// Characters of `2026-11-20T22:19:46.764954Z`.
const MOMENT: usize = 27;

/// A place in a list that is sorted by time: a moment and an id.
pub(crate) fn position(cursor: &str) -> Option<String> {
    let (moment, id) = cursor.split_once('_')?;
    let valid =
        moment.len() == MOMENT && chrono::DateTime::parse_from_rfc3339(moment).is_ok() && id.parse::<VideoId>().is_ok();
    valid.then(|| cursor.to_owned())
}

/// A place in the ranking.
pub(crate) fn rank(cursor: &str) -> Option<usize> {
    cursor.parse::<u16>().ok().map(usize::from)
}
