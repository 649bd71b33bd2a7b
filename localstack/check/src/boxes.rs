//! Boxes of ISO/IEC 14496-12, walked where they lie. The product writes its boxes with a library; a fault of that would
//! not show if it also read them here.

use std::fmt::Write;

/// A box, and where it lies in what was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Atom<'a> {
    pub(crate) kind: [u8; 4],
    pub(crate) start: usize,
    /// Of the body.
    pub(crate) body_start: usize,
    pub(crate) body: &'a [u8],
}

impl Atom<'_> {
    pub(crate) fn end(&self) -> usize {
        self.body_start + self.body.len()
    }
}

/// The boxes that fill `bytes`, and why there are no more if they do not.
pub(crate) fn walk(bytes: &[u8]) -> (Vec<Atom<'_>>, Option<String>) {
    let (mut atoms, mut start) = (Vec::new(), 0);
    while start < bytes.len() {
        let Some(atom) = atom(bytes, start) else {
            let rest = bytes.len() - start;
            return (atoms, Some(format!("the {rest} bytes at {start} are no whole box")));
        };
        start = atom.end();
        atoms.push(atom);
    }
    (atoms, None)
}

fn atom(bytes: &[u8], start: usize) -> Option<Atom<'_>> {
    let mut reader = Reader(bytes.get(start..)?);
    let size = reader.u32()?;
    let kind = reader.array()?;
    let (header, size) = match size {
        0 => (8, bytes.len() - start),
        1 => (16, usize::try_from(reader.u64()?).ok()?),
        size => (8, usize::try_from(size).ok()?),
    };
    let end = start.checked_add(size)?;
    let body_start = start + header;
    let body = bytes.get(body_start..end)?;
    Some(Atom {
        kind,
        start,
        body_start,
        body,
    })
}

/// The body of the first box of this kind.
pub(crate) fn find(bytes: &[u8], kind: [u8; 4]) -> Option<&[u8]> {
    let (atoms, _) = walk(bytes);
    atoms.iter().find(|atom| atom.kind == kind).map(|atom| atom.body)
}

/// The same, where the box has to be there.
pub(crate) fn need(bytes: &[u8], kind: [u8; 4]) -> Result<&[u8], String> {
    find(bytes, kind).ok_or_else(|| format!("there is no {}", name(kind)))
}

pub(crate) fn all(bytes: &[u8], kind: [u8; 4]) -> Vec<Atom<'_>> {
    let (mut atoms, _) = walk(bytes);
    atoms.retain(|atom| atom.kind == kind);
    atoms
}

pub(crate) fn name(kind: [u8; 4]) -> String {
    let mut name = String::new();
    for byte in kind {
        match byte {
            b'!'..=b'~' => name.push(char::from(byte)),
            _ => write!(name, "\\x{byte:02x}").unwrap_or_default(),
        }
    }
    name
}

/// Numbers, big end first. None beyond the end.
pub(crate) struct Reader<'a>(pub(crate) &'a [u8]);

impl<'a> Reader<'a> {
    pub(crate) fn take(&mut self, length: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(taken)
    }

    pub(crate) fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        self.take(N)?.try_into().ok()
    }

    pub(crate) fn u8(&mut self) -> Option<u8> {
        self.array().map(u8::from_be_bytes)
    }

    pub(crate) fn u16(&mut self) -> Option<u16> {
        self.array().map(u16::from_be_bytes)
    }

    pub(crate) fn u32(&mut self) -> Option<u32> {
        self.array().map(u32::from_be_bytes)
    }

    pub(crate) fn i32(&mut self) -> Option<i32> {
        self.array().map(i32::from_be_bytes)
    }

    pub(crate) fn u64(&mut self) -> Option<u64> {
        self.array().map(u64::from_be_bytes)
    }

    pub(crate) fn i64(&mut self) -> Option<i64> {
        self.array().map(i64::from_be_bytes)
    }

    /// Version and flags, with which full boxes begin.
    pub(crate) fn full(&mut self) -> Option<(u8, u32)> {
        let word = self.u32()?;
        Some((word.to_be_bytes()[0], word & 0x00ff_ffff))
    }

    /// 32 bits in version 0, 64 in later ones.
    pub(crate) fn wide(&mut self, version: u8) -> Option<u64> {
        if version == 0 {
            self.u32().map(u64::from)
        } else {
            self.u64()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn boxes_are_walked() {
        let bytes = b"\0\0\0\x0cfreeabcd\0\0\0\x01mdat\0\0\0\0\0\0\0\x11x\0\0\0\0last";
        let (atoms, fault) = walk(bytes);
        assert_eq!(fault, None);
        let seen: Vec<_> = atoms
            .iter()
            .map(|atom| (name(atom.kind), atom.start, atom.body))
            .collect();
        assert_eq!(seen[0], ("free".to_owned(), 0, &b"abcd"[..]));
        assert_eq!(seen[1], ("mdat".to_owned(), 12, &b"x"[..]));
        assert_eq!(seen[2], ("last".to_owned(), 29, &b""[..]));
        assert_eq!(find(bytes, *b"mdat"), Some(&b"x"[..]));
        assert_eq!(need(bytes, *b"moof"), Err("there is no moof".to_owned()));
    }

    #[test]
    fn what_is_no_box_is_told() {
        for bytes in [
            &b"\0\0\0\x09free"[..],
            b"\0\0\0\x04free",
            b"\0\0\0",
            b"\0\0\0\x01free\0\0\0\0\0\0\0\x08",
        ] {
            assert!(walk(bytes).1.is_some(), "{bytes:?}");
        }
        assert_eq!(name(*b"a\0\xffb"), "a\\x00\\xffb");
    }

    proptest! {
        #[test]
        fn any_bytes_are_survived(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
            walk(&bytes);
        }
    }
}
