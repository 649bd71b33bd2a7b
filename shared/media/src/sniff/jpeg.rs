//! JPEG pictures one after the other: a film (`.mjpeg`), or a photo with more in its file.
//!
//! Phones put a gain map, a preview for a larger screen or a short film behind their photos. So a film is told from a
//! photo by three pictures that follow each other without a gap.

use super::{Container, Kind};

const FILM: usize = 3;

/// None if it is no JPEG.
pub(super) fn kind(head: &[u8]) -> Option<Kind> {
    if !begins(head) {
        return None;
    }
    let film = pictures(head).take(FILM).count() == FILM;
    Some(if film {
        Kind::Video(Container::Mjpeg)
    } else {
        Kind::Picture
    })
}

fn begins(bytes: &[u8]) -> bool {
    bytes.starts_with(b"\xff\xd8\xff")
}

/// Each picture that begins where the one before ended; the last may be cut short.
fn pictures(head: &[u8]) -> impl Iterator<Item = &[u8]> {
    let first = begins(head).then_some(head);
    std::iter::successors(first, |picture| after(picture).filter(|rest| begins(rest)))
}

/// What follows a picture. None if it does not end, or is none.
fn after(picture: &[u8]) -> Option<&[u8]> {
    const END: u8 = 0xd9;
    let mut rest = picture.get(2..)?;
    loop {
        let (marker, behind) = next_marker(rest)?;
        if marker == END {
            return Some(behind);
        }
        rest = behind.get(length(marker, behind)?..)?;
    }
}

/// The next marker and what is behind it. Between markers lies the picture itself, in which 0xff is followed by zero or
/// by the number of a restart.
fn next_marker(bytes: &[u8]) -> Option<(u8, &[u8])> {
    let place = bytes
        .windows(2)
        .position(|pair| pair[0] == 0xff && !matches!(pair[1], 0 | 0xd0..=0xd7 | 0xff))?;
    Some((bytes[place + 1], &bytes[place + 2..]))
}

/// Bytes of a marker's segment, its own length included.
fn length(marker: u8, behind: &[u8]) -> Option<usize> {
    const ALONE: u8 = 0x01;
    if marker == ALONE {
        return Some(0);
    }
    behind
        .first_chunk::<2>()
        .map(|length| usize::from(u16::from_be_bytes(*length)))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// With a thumbnail inside a segment, and stuffing and a restart inside the picture.
    const PICTURE: &[u8] =
        b"\xff\xd8\xff\xe1\0\x0cEx\xff\xd8\xff\xdb\xff\xd9\0\0\xff\xda\0\x04ab\x11\xff\0\x22\xff\xd0\x33\xff\xd9";

    #[test]
    fn three_in_a_row_are_a_film() {
        assert_eq!(kind(&PICTURE.repeat(3)), Some(Kind::Video(Container::Mjpeg)));
        assert_eq!(kind(&PICTURE.repeat(2)), Some(Kind::Picture));
        assert_eq!(kind(PICTURE), Some(Kind::Picture));
    }

    #[test]
    fn a_third_that_is_cut_short_counts() {
        let cut = [&PICTURE.repeat(2), &PICTURE[..4]].concat();
        assert_eq!(kind(&cut), Some(Kind::Video(Container::Mjpeg)));
    }

    #[test]
    fn a_film_behind_a_photo_makes_it_no_film() {
        let photo = [PICTURE, b"\0\0\0\x18ftypmp42", PICTURE, PICTURE, PICTURE].concat();
        assert_eq!(kind(&photo), Some(Kind::Picture));
    }

    #[test]
    fn other_bytes_are_none() {
        assert_eq!(kind(b"\xff\xd8"), None);
        assert_eq!(kind(b""), None);
    }

    proptest::proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes: Vec<u8>) {
            let _ = kind(&[b"\xff\xd8\xff", &bytes[..]].concat());
        }
    }
}
