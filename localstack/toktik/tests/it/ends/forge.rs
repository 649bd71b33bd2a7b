//! Clips as no honest program writes them: bytes of a clip changed, boxes of an MP4 replaced, junk that is the same each
//! time.

use std::ops::Range;

/// A linear congruential generator.
pub(super) struct Chance(u32);

impl Chance {
    pub(super) fn new(seed: u32) -> Self {
        Self(seed.wrapping_mul(747_796_405).wrapping_add(2_891_336_453))
    }

    pub(super) fn byte(&mut self) -> u8 {
        self.next().to_be_bytes()[0]
    }

    fn next(&mut self) -> u32 {
        self.0 = self.0.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        self.0
    }

    fn within(&mut self, range: &Range<usize>) -> usize {
        range.start + usize::try_from(self.next() >> 8).unwrap() % range.len()
    }
}

/// Turns over so many bits.
pub(super) fn flip(bytes: &mut [u8], range: &Range<usize>, bits: u32, seed: u32) {
    let mut chance = Chance::new(seed);
    for _ in 0..bits {
        let at = chance.within(range);
        bytes[at] ^= 1 << (chance.byte() % 8);
    }
}

pub(super) fn overwrite_with_noise(bytes: &mut [u8], range: Range<usize>) {
    let mut chance = Chance::new(1);
    bytes[range].fill_with(|| chance.byte());
}

/// Every place where these bytes stand.
pub(super) fn places(bytes: &[u8], what: &[u8]) -> Vec<usize> {
    let windows = bytes.windows(what.len()).enumerate();
    windows
        .filter(|(_, window)| *window == what)
        .map(|(at, _)| at)
        .collect()
}

pub(super) fn place(bytes: &[u8], what: &[u8]) -> usize {
    let missing = || panic!("there is no {}", String::from_utf8_lossy(what));
    places(bytes, what).first().copied().unwrap_or_else(missing)
}

/// Puts others in the place of these bytes, wherever they stand. The length stays.
pub(super) fn replace(bytes: &mut [u8], old: &[u8], new: &[u8]) {
    assert_eq!(old.len(), new.len());
    let places = places(bytes, old);
    assert!(!places.is_empty(), "there is no {}", String::from_utf8_lossy(old));
    for at in places {
        put(bytes, at, new);
    }
}

pub(super) fn put(bytes: &mut [u8], at: usize, new: &[u8]) {
    bytes[at..at + new.len()].copy_from_slice(new);
}

/// The same share of a file.
pub(super) fn percent(range: &Range<usize>, percent: usize) -> usize {
    range.start + range.len() * percent / 100
}

/// A box of ISO base media files.
pub(super) fn part(kind: &[u8], body: &[u8]) -> Vec<u8> {
    let size = u32::try_from(body.len() + 8).unwrap();
    [&size.to_be_bytes()[..], kind, body].concat()
}

/// Where the body of the first box of this kind lies, the box being at the outermost level.
pub(super) fn body(film: &[u8], kind: &[u8]) -> Range<usize> {
    let mut at = 0;
    loop {
        let size = u32::from_be_bytes(film[at..at + 4].try_into().unwrap());
        let end = at + usize::try_from(size).unwrap();
        if &film[at + 4..at + 8] == kind {
            return at + 8..end;
        }
        at = end;
    }
}

/// The film with the body of the box at this path replaced; boxes around it grow or shrink. What lies before them stays
/// where it is, so that places in the media data remain right when the index is at the end.
pub(super) fn with_body(film: &[u8], path: &[&[u8; 4]], new: &[u8]) -> Vec<u8> {
    let [kind, rest @ ..] = path else {
        return new.to_vec();
    };
    let range = body(film, *kind);
    let inner = with_body(&film[range.clone()], rest, new);
    [&film[..range.start - 8], &part(*kind, &inner), &film[range.end..]].concat()
}

/// Where the tables of the first track are.
const TABLES: [&[u8; 4]; 5] = [b"moov", b"trak", b"mdia", b"minf", b"stbl"];

pub(super) fn with_table(film: &[u8], kind: [u8; 4], entries: &[u32]) -> Vec<u8> {
    let words = entries.iter().flat_map(|word| word.to_be_bytes());
    let table: Vec<u8> = [0; 4].into_iter().chain(words).collect();
    with_body(film, &[&TABLES[..], &[&kind]].concat(), &table)
}
