//! Sound that cannot be decoded must not cost a clip its picture, but ffprobe gives up as soon as it cannot open one
//! stream's decoder (xHE-AAC, a damaged header), and it opens all.
//!
//! So the description of the stream is hidden in the copy that is examined: its box in the film's index (`stsd`, ISO/IEC
//! 14496-12 8.5.2) becomes free space. The stream's number stays, and so do those of the others.

use std::fs::OpenOptions;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::Path;

use super::boxes::{child, index};

const FREE: &[u8; 4] = b"free";

/// The number of the stream that made ffprobe give up.
pub(super) fn stream_at_fault(messages: &str) -> Option<usize> {
    let (_, rest) = messages.split_once("Could not open codec for input stream ")?;
    rest.split_whitespace().next()?.parse().ok()
}

/// Hides what a track is. False if there is no such track, or it is hidden already.
pub(super) fn hide(file: &Path, stream: usize) -> io::Result<bool> {
    let mut file = OpenOptions::new().read(true).write(true).open(file)?;
    let Some(index) = index(&mut file)? else {
        return Ok(false);
    };
    let mut bytes = vec![0; usize::try_from(index.end - index.start).map_err(io::Error::other)?];
    file.seek(SeekFrom::Start(index.start))?;
    file.read_exact(&mut bytes)?;
    let Some(place) = description_of(&bytes, stream) else {
        return Ok(false);
    };
    file.seek(SeekFrom::Start(index.start + place as u64))?;
    file.write_all(FREE)?;
    Ok(true)
}

/// Where the name of the box stands that describes the track with this number.
fn description_of(index: &[u8], stream: usize) -> Option<usize> {
    let mut place = child(index, 0..index.len(), *b"trak", stream)?;
    for kind in [*b"mdia", *b"minf", *b"stbl", *b"stsd"] {
        place = child(index, place, kind, 0)?;
    }
    Some(place.start - 4)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn part(kind: [u8; 4], body: &[u8]) -> Vec<u8> {
        let length = u32::try_from(body.len() + 8).expect("small");
        [&length.to_be_bytes(), &kind[..], body].concat()
    }

    fn track(format: [u8; 4]) -> Vec<u8> {
        let table = [&[0, 0, 0, 0, 0, 0, 0, 1][..], &part(format, b"....")].concat();
        let stsd = [part(*b"stts", b""), part(*b"stsd", &table)].concat();
        part(*b"trak", &part(*b"mdia", &part(*b"minf", &part(*b"stbl", &stsd))))
    }

    fn film() -> Vec<u8> {
        let moov = [part(*b"mvhd", b""), track(*b"avc1"), track(*b"mp4a")].concat();
        [
            part(*b"ftyp", b"isom...."),
            part(*b"mdat", b"mp4a...."),
            part(*b"moov", &moov),
        ]
        .concat()
    }

    fn hidden(film: &[u8], stream: usize) -> (bool, Vec<u8>) {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let file = dir.path().join("film");
        std::fs::write(&file, film).expect("it is ours");
        let done = hide(&file, stream).expect("it can be read");
        (done, std::fs::read(&file).expect("it is still there"))
    }

    #[test]
    fn the_tracks_own_letters_are_changed_and_nothing_else() {
        let (done, changed) = hidden(&film(), 1);
        assert!(done);
        let different: Vec<usize> = (0..changed.len())
            .filter(|place| film()[*place] != changed[*place])
            .collect();
        let stsd = film().windows(4).rposition(|name| name == b"stsd").expect("it has one");
        assert!(different.iter().all(|place| (stsd..stsd + 4).contains(place)));
        assert_eq!(&changed[stsd..stsd + 4], FREE);
        assert_eq!(hidden(&changed, 1), (false, changed), "once is enough");
    }

    #[test]
    fn a_track_that_is_not_there_changes_nothing() {
        assert_eq!(hidden(&film(), 2), (false, film()));
        assert_eq!(hidden(b"", 0), (false, Vec::new()));
    }

    #[test]
    fn the_message_names_the_stream() {
        assert_eq!(
            stream_at_fault("x\nCould not open codec for input stream 12\n"),
            Some(12)
        );
        assert_eq!(stream_at_fault("Could not open codec for input stream"), None);
    }

    proptest::proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes: Vec<u8>, stream in 0..3_usize) {
            hidden(&[b"\0\0\0\x18moov\0\0\0\x10trak", &bytes[..]].concat(), stream);
        }
    }
}
