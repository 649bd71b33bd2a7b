//! ISO base media files (MP4, MOV, 3GP, HEIF): a look at the boxes within reach (ISO/IEC 14496-12).
//!
//! Boxes are walked and not searched for, since four letters occur by chance in a film.

use super::{Container, Kind};

/// Boxes with which a film begins.
const FIRST: &[&[u8; 4]] = &[
    b"ftyp", b"styp", b"moov", b"moof", b"mdat", b"free", b"skip", b"wide", b"pnot", b"sidx", b"uuid", b"pdin",
];
/// Brands of files that hold pictures (HEIF, AVIF, Canon raw).
const PICTURE_BRANDS: &[&[u8; 4]] = &[
    b"heic", b"heix", b"heim", b"heis", b"mif1", b"mif2", b"avif", b"miaf", b"jp2 ", b"jpx ", b"jxl ", b"crx ",
];
/// Boxes that hold boxes.
const PARENTS: &[&[u8; 4]] = &[
    b"moov", b"trak", b"mdia", b"minf", b"dinf", b"stbl", b"moof", b"traf", b"mvex",
];
/// Sample entries of protected tracks (ISO/IEC 14496-12 8.12, `FairPlay`).
const PROTECTED_ENTRIES: &[&[u8; 4]] = &[b"encv", b"enca", b"encs", b"enct", b"drmi", b"drms", b"drmt"];
/// A hostile file nests boxes deeper than any film.
const DEEPEST: usize = 8;

struct Part<'a> {
    kind: [u8; 4],
    body: &'a [u8],
}

/// None if it is no such file.
pub(super) fn kind(head: &[u8]) -> Option<Kind> {
    let first = Parts(head).next()?;
    if !FIRST.contains(&&first.kind) {
        return None;
    }
    if first.kind == *b"ftyp" && PICTURE_BRANDS.iter().any(|brand| first.body.starts_with(*brand)) {
        return Some(Kind::Picture);
    }
    Some(objection(head, 0).unwrap_or(Kind::Video(Container::Mp4)))
}

/// The first reason against this film.
fn objection(bytes: &[u8], depth: usize) -> Option<Kind> {
    Parts(bytes).find_map(|part| match &part.kind {
        b"rmra" => Some(Kind::References),
        b"dref" => Parts(entries(part.body))
            .any(|entry| is_elsewhere(&entry))
            .then_some(Kind::References),
        b"stsd" => Parts(entries(part.body))
            .any(|entry| is_protected(&entry))
            .then_some(Kind::Encrypted),
        parent if PARENTS.contains(&parent) && depth < DEEPEST => objection(part.body, depth + 1),
        _ => None,
    })
}

/// A table's boxes, after its version, flags and count.
fn entries(table: &[u8]) -> &[u8] {
    table.get(8..).unwrap_or_default()
}

/// A data reference that is not marked as "in this file" and names a place.
fn is_elsewhere(entry: &Part<'_>) -> bool {
    let [_, _, _, flags, place @ ..] = entry.body else {
        return false;
    };
    flags & 1 == 0 && place.iter().any(|byte| *byte != 0)
}

fn is_protected(entry: &Part<'_>) -> bool {
    PROTECTED_ENTRIES.contains(&&entry.kind)
}

/// The boxes of a stretch of bytes; the last may be cut short.
struct Parts<'a>(&'a [u8]);

impl<'a> Iterator for Parts<'a> {
    type Item = Part<'a>;

    fn next(&mut self) -> Option<Part<'a>> {
        let bytes = self.0;
        let (size, rest) = bytes.split_first_chunk::<4>()?;
        let (kind, rest) = rest.split_first_chunk::<4>()?;
        let (header, size) = match u32::from_be_bytes(*size) {
            0 => (8, u64::MAX),
            1 => (16, u64::from_be_bytes(*rest.first_chunk::<8>()?)),
            size => (8, u64::from(size)),
        };
        let end = usize::try_from(size).unwrap_or(usize::MAX).min(bytes.len());
        let body = bytes.get(header..end)?;
        self.0 = &bytes[end..];
        Some(Part { kind: *kind, body })
    }
}
