//! One read for a crowd: whoever asks the same while a read is under way shares the next one.
//!
//! Nobody is answered by a read that began before they asked, so that sharing shows nobody anything older than a read of
//! their own would. Where that may be a moment older, a crowd's answer is kept for so long, unless this process has
//! written meanwhile: then only what another process did is seen that much later.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::OnceCell;
use toktik_catalog::Writes;

use crate::Cache;

/// A read that hangs holds others up for no longer than this.
const PATIENCE: Duration = Duration::from_secs(1);
/// Answers that are kept for crowds, the latest of them.
const ANSWERS: usize = 1024;

/// Reads of values by their keys.
pub struct Crowd<K, V> {
    lines: Mutex<HashMap<K, Arc<Line<V>>>>,
    patience: Duration,
    kept: Option<Kept<K, V>>,
}

/// What crowds were answered last.
struct Kept<K, V> {
    term: Duration,
    writes: Writes,
    answers: Cache<K, (Began, V)>,
}

/// When a read began, and after how many writes of this process.
#[derive(Clone, Copy)]
struct Began {
    at: Instant,
    writes: u64,
}

struct Line<V> {
    /// Whose turn it is to read.
    turn: tokio::sync::Mutex<()>,
    /// What the next read, which has not begun, answers everybody who joins it.
    next: Mutex<Arc<OnceCell<V>>>,
}

impl<K, V> Default for Crowd<K, V> {
    fn default() -> Self {
        Self {
            lines: Mutex::default(),
            patience: PATIENCE,
            kept: None,
        }
    }
}

impl<K: Eq + Hash, V: Clone> Crowd<K, V> {
    /// Keeps what a crowd is answered for so long.
    pub fn keeping(term: Duration, writes: Writes) -> Self {
        let answers = Cache::new(2 * ANSWERS);
        let kept = Some(Kept { term, writes, answers });
        Self {
            kept,
            ..Self::default()
        }
    }
}

impl<K: Eq + Hash, V: Clone> Kept<K, V> {
    fn begin(&self) -> Began {
        Began {
            at: Instant::now(),
            writes: self.writes.count(),
        }
    }

    fn get(&self, key: &K) -> Option<V> {
        let (began, answer) = self.answers.get(key)?;
        let is_good = began.writes == self.writes.count() && began.at.elapsed() < self.term;
        is_good.then_some(answer)
    }

    fn put(&self, key: K, began: Began, answer: V) {
        self.answers.put(key, (began, answer), 1);
    }
}

impl<V> Default for Line<V> {
    fn default() -> Self {
        Self {
            turn: tokio::sync::Mutex::default(),
            next: Mutex::default(),
        }
    }
}

impl<K: Clone + Eq + Hash, V: Clone> Crowd<K, V> {
    /// The answer of a read that begins now or later, or of one that is kept. If whoever reads for others goes away, the
    /// next of them reads.
    pub async fn ask<F: Future<Output = V>>(&self, key: K, read: impl FnOnce() -> F) -> V {
        if let Some(answer) = self.kept.as_ref().and_then(|kept| kept.get(&key)) {
            return answer;
        }
        let place = Place::in_line(self, key);
        let line = &place.line;
        let shared = Arc::clone(&locked(&line.next));
        let begin = || async {
            let _turn = tokio::time::timeout(self.patience, line.turn.lock()).await;
            line.close(&shared);
            // Of nobody's but the reader's own, nothing is kept.
            let is_crowd = Arc::strong_count(&shared) > 1;
            self.read(place.key.clone(), is_crowd, read).await
        };
        shared.get_or_init(begin).await.clone()
    }

    async fn read<F: Future<Output = V>>(&self, key: K, is_crowd: bool, read: impl FnOnce() -> F) -> V {
        let Some(kept) = self.kept.as_ref().filter(|_| is_crowd) else {
            return read().await;
        };
        let began = kept.begin();
        let answer = read().await;
        kept.put(key, began, answer.clone());
        answer
    }
}

impl<V> Line<V> {
    /// Whoever comes from here on waits for another read: this one may miss what they know.
    fn close(&self, begun: &Arc<OnceCell<V>>) {
        let mut next = locked(&self.next);
        if Arc::ptr_eq(&next, begun) {
            *next = Arc::default();
        }
    }
}

/// Somebody's place in a line, which is there for as long as somebody stands in it.
struct Place<'a, K: Eq + Hash, V> {
    crowd: &'a Crowd<K, V>,
    key: K,
    line: Arc<Line<V>>,
}

impl<'a, K: Clone + Eq + Hash, V> Place<'a, K, V> {
    fn in_line(crowd: &'a Crowd<K, V>, key: K) -> Self {
        let line = Arc::clone(locked(&crowd.lines).entry(key.clone()).or_default());
        Self { crowd, key, line }
    }
}

impl<K: Eq + Hash, V> Drop for Place<'_, K, V> {
    fn drop(&mut self) {
        let mut lines = locked(&self.crowd.lines);
        // The map's own and ours.
        if Arc::strong_count(&self.line) == 2 {
            lines.remove(&self.key);
        }
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use futures::future::join_all;
    use tokio::sync::Semaphore;

    use super::*;

    /// A store whose reads end when they are let, and say how many began before them.
    #[derive(Default)]
    struct Store {
        reads: AtomicU32,
        gate: Option<Semaphore>,
    }

    impl Store {
        fn gated() -> Self {
            Self {
                reads: AtomicU32::default(),
                gate: Some(Semaphore::new(0)),
            }
        }

        async fn read(&self) -> u32 {
            let number = self.reads.fetch_add(1, Ordering::SeqCst);
            if let Some(gate) = &self.gate {
                gate.acquire().await.unwrap().forget();
            }
            number
        }

        fn begun(&self) -> u32 {
            self.reads.load(Ordering::SeqCst)
        }
    }

    #[tokio::test]
    async fn whoever_comes_during_a_read_shares_the_next_one() {
        let (crowd, store) = (Crowd::default(), Store::gated());
        let first = crowd.ask("a", || store.read());
        tokio::pin!(first);
        assert!(futures::poll!(&mut first).is_pending());
        let rest = join_all((0..50).map(|_| crowd.ask("a", || store.read())));
        tokio::pin!(rest);
        assert!(futures::poll!(&mut rest).is_pending());
        assert_eq!(store.begun(), 1, "one at a time");
        store.gate.as_ref().unwrap().add_permits(2);
        assert_eq!(first.await, 0);
        assert_eq!(rest.await, [1; 50]);
        assert_eq!(store.begun(), 2);
        assert!(locked(&crowd.lines).is_empty());
    }

    #[tokio::test]
    async fn different_things_are_read_side_by_side() {
        let (crowd, store) = (Crowd::default(), Store::gated());
        let both = join_all(["a", "b"].map(|key| crowd.ask(key, || store.read())));
        tokio::pin!(both);
        assert!(futures::poll!(&mut both).is_pending());
        assert_eq!(store.begun(), 2);
    }

    #[tokio::test]
    async fn somebody_else_reads_when_the_reader_goes_away() {
        let (crowd, store) = (Crowd::default(), Store::gated());
        let mut reader = Box::pin(crowd.ask("a", || store.read()));
        assert!(futures::poll!(&mut reader).is_pending());
        let mut waiting = Box::pin(crowd.ask("a", || store.read()));
        let mut joined = Box::pin(crowd.ask("a", || store.read()));
        assert!(futures::poll!(&mut waiting).is_pending() && futures::poll!(&mut joined).is_pending());
        drop(reader);
        assert!(futures::poll!(&mut waiting).is_pending());
        assert_eq!(store.begun(), 2);
        drop(waiting);
        store.gate.as_ref().unwrap().add_permits(1);
        assert_eq!(joined.await, 2);
        assert!(locked(&crowd.lines).is_empty());
    }

    #[tokio::test]
    async fn a_read_that_hangs_does_not_hold_up_the_next() {
        let (crowd, store) = (Crowd::default(), Store::default());
        let crowd = Crowd {
            patience: Duration::ZERO,
            ..crowd
        };
        let mut hanging = Box::pin(crowd.ask("a", std::future::pending));
        assert!(futures::poll!(&mut hanging).is_pending());
        assert_eq!(crowd.ask("a", || store.read()).await, 0);
    }

    /// A crowd with what it was answered: one by a read that nobody shared, two by the next, during which this was done.
    async fn answered(term: Duration, during: impl FnOnce(&Writes)) -> (Crowd<&'static str, u32>, Store, Writes) {
        let writes = Writes::default();
        let (crowd, store) = (Crowd::keeping(term, writes.clone()), Store::gated());
        let gate = store.gate.as_ref().unwrap();
        let mut first = Box::pin(crowd.ask("a", || store.read()));
        assert!(futures::poll!(&mut first).is_pending());
        let mut two = Box::pin(join_all((0..2).map(|_| crowd.ask("a", || store.read()))));
        assert!(futures::poll!(&mut two).is_pending());
        gate.add_permits(1);
        assert_eq!(first.await, 0);
        assert!(futures::poll!(&mut two).is_pending());
        assert_eq!(store.begun(), 2);
        during(&writes);
        gate.add_permits(100);
        assert_eq!(two.await, [1; 2]);
        (crowd, store, writes)
    }

    const LONG: Duration = Duration::from_hours(1);

    #[tokio::test]
    async fn what_a_crowd_is_answered_is_kept_for_a_while() {
        let (crowd, store, _) = answered(LONG, |_| ()).await;
        assert_eq!(crowd.ask("a", || store.read()).await, 1);
        assert_eq!(crowd.ask("b", || store.read()).await, 2);
        let (crowd, store, _) = answered(Duration::ZERO, |_| ()).await;
        assert_eq!(crowd.ask("a", || store.read()).await, 2);
    }

    #[tokio::test]
    async fn nothing_is_kept_across_a_write_of_this_process() {
        let (crowd, store, writes) = answered(LONG, |_| ()).await;
        drop(writes.one());
        assert_eq!(crowd.ask("a", || store.read()).await, 2);
        let (crowd, store, _) = answered(LONG, |writes| drop(writes.one())).await;
        assert_eq!(crowd.ask("a", || store.read()).await, 2);
    }

    #[tokio::test]
    async fn what_one_alone_is_answered_is_not_kept() {
        let (crowd, store) = (Crowd::keeping(LONG, Writes::default()), Store::default());
        for read in 0..3 {
            assert_eq!(crowd.ask("a", || store.read()).await, read);
        }
    }
}
