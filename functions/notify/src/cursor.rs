//! `Last-Event-ID`: what a reader has heard, so that the next stream can go on from there.
//!
//! The place of the latest clip that was known, and the ids of those that had not come to an end, with dots between them.
//! It is anybody's word: an id is believed only as far as its clip is the reader's own.

use toktik_catalog::videos::Video;
use toktik_events::VideoId;

/// So many clips are followed at once; the id of an event has to fit into a header.
pub(crate) const FOLLOWED: usize = 100;

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Cursor {
    /// As the catalog orders a user's clips; empty before there is one.
    pub(crate) latest: String,
    pub(crate) open: Vec<VideoId>,
}

impl Cursor {
    /// None for what no stream has written.
    pub(crate) fn read(text: &str) -> Option<Self> {
        let (latest, ids) = text.split_once('~')?;
        let known = |byte: u8| byte.is_ascii_alphanumeric() || b"-:.Z_".contains(&byte);
        if latest.len() > 64 || !latest.bytes().all(known) {
            return None;
        }
        let ids = ids.split('.').filter(|id| !id.is_empty()).take(FOLLOWED);
        let open: Result<_, _> = ids.map(str::parse).collect();
        Some(Self {
            latest: latest.to_owned(),
            open: open.ok()?,
        })
    }

    /// Whether the reader has never heard of this clip.
    pub(crate) fn is_news(&self, video: &Video) -> bool {
        video.place() > self.latest
    }
}

impl std::fmt::Display for Cursor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let ids: Vec<String> = self.open.iter().map(VideoId::to_string).collect();
        write!(f, "{}~{}", self.latest, ids.join("."))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        let latest = "2026-11-21T06:00:00.000001Z_0123456789abcdef0123456789abcdef".to_owned();
        let open = vec![VideoId::random(), VideoId::random()];
        for cursor in [Cursor::default(), Cursor { latest, open }] {
            assert_eq!(Cursor::read(&cursor.to_string()), Some(cursor));
        }
    }

    #[test]
    fn nonsense_is_no_cursor_and_a_long_one_is_cut() {
        for text in ["", "1", "a b~", "~x", "é~", "~0123456789abcdef0123456789ABCDEF"] {
            assert_eq!(Cursor::read(text), None, "{text}");
        }
        let many = format!("~{}", vec![VideoId::random().to_string(); 1000].join("."));
        assert_eq!(Cursor::read(&many).unwrap().open.len(), FOLLOWED);
    }
}
