//! How many streams there may be at once: in this process, and of one reader.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use toktik_identity::UserId;

/// A page has one; somebody with more is a program that forgets to close them.
const PER_USER: usize = 12;
/// Behind one address may be a whole school.
const PER_ADDRESS: usize = 100;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Reader {
    User(UserId),
    Stranger(Option<IpAddr>),
}

pub(crate) struct Seats {
    limit: usize,
    taken: Mutex<HashMap<Reader, usize>>,
}

/// The right to one stream, until it is dropped.
pub(crate) struct Seat {
    seats: Arc<Seats>,
    reader: Reader,
}

impl Seats {
    pub(crate) fn new(limit: usize) -> Arc<Self> {
        Arc::new(Self {
            limit,
            taken: Mutex::default(),
        })
    }

    /// None where too many are taken.
    pub(crate) fn take(self: &Arc<Self>, reader: Reader) -> Option<Seat> {
        let mut taken = self.lock();
        let own = taken.get(&reader).copied().unwrap_or_default();
        if own >= reader.most() || taken.values().sum::<usize>() >= self.limit {
            return None;
        }
        taken.insert(reader, own + 1);
        Some(Seat {
            seats: Arc::clone(self),
            reader,
        })
    }

    /// A panic elsewhere leaves the numbers as they were.
    fn lock(&self) -> MutexGuard<'_, HashMap<Reader, usize>> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Reader {
    fn most(self) -> usize {
        match self {
            Self::User(_) => PER_USER,
            Self::Stranger(_) => PER_ADDRESS,
        }
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        if let Entry::Occupied(mut own) = self.seats.lock().entry(self.reader) {
            *own.get_mut() -= 1;
            if *own.get() == 0 {
                own.remove();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reader_has_so_many_and_gets_one_back_for_each_that_ends() {
        let seats = Seats::new(1000);
        let reader = Reader::User(UserId::random());
        let mut taken: Vec<Seat> = (0..PER_USER).map(|_| seats.take(reader).unwrap()).collect();
        assert!(seats.take(reader).is_none());
        assert!(seats.take(Reader::User(UserId::random())).is_some(), "somebody else");
        taken.pop();
        assert!(seats.take(reader).is_some());
        drop(taken);
        assert!(seats.lock().is_empty(), "nothing is remembered of who is gone");
    }

    #[test]
    fn a_process_has_so_many() {
        let seats = Seats::new(2);
        let stranger = |last| Reader::Stranger(Some(IpAddr::from([192, 0, 2, last])));
        let _both = [seats.take(stranger(1)).unwrap(), seats.take(stranger(2)).unwrap()];
        assert!(seats.take(stranger(3)).is_none());
    }
}
