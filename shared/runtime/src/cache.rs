//! A bounded memory of values that never change under their key.
//!
//! What may change has its revision in the key. Values are forgotten roughly in the order in which they were last used,
//! so that what they take together stays below a limit.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Mutex, PoisonError};

/// Values by key, of at most so many bytes.
pub struct Cache<K, V> {
    bytes: usize,
    generations: Mutex<Generations<K, V>>,
}

/// What was used lately, and what was used before that. When the young fill their half the old are forgotten.
struct Generations<K, V> {
    young: HashMap<K, (V, usize)>,
    young_bytes: usize,
    old: HashMap<K, (V, usize)>,
}

impl<K: Eq + Hash, V: Clone> Cache<K, V> {
    pub fn new(bytes: usize) -> Self {
        Self {
            bytes,
            generations: Mutex::new(Generations {
                young: HashMap::new(),
                young_bytes: 0,
                old: HashMap::new(),
            }),
        }
    }

    pub fn get(&self, key: &K) -> Option<V> {
        let mut generations = self.generations.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((value, _)) = generations.young.get(key) {
            return Some(value.clone());
        }
        let (key, (value, bytes)) = generations.old.remove_entry(key)?;
        generations.keep(key, value.clone(), bytes, self.bytes / 2);
        Some(value)
    }

    /// Keeps a value of about so many bytes.
    pub fn put(&self, key: K, value: V, bytes: usize) {
        let mut generations = self.generations.lock().unwrap_or_else(PoisonError::into_inner);
        generations.keep(key, value, bytes, self.bytes / 2);
    }
}

impl<K: Eq + Hash, V> Generations<K, V> {
    fn keep(&mut self, key: K, value: V, bytes: usize, limit: usize) {
        if bytes > limit {
            return;
        }
        if self.young_bytes + bytes > limit {
            self.old = std::mem::take(&mut self.young);
            self.young_bytes = 0;
        }
        let before = self.young.insert(key, (value, bytes));
        self.young_bytes += bytes;
        self.young_bytes -= before.map_or(0, |(_, bytes)| bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_used_stays_and_what_is_not_goes() {
        let cache = Cache::new(100);
        for number in 0..1000 {
            cache.put(number, number, 10);
            assert_eq!(cache.get(&0), Some(0), "after {number}");
        }
        assert_eq!((cache.get(&1), cache.get(&999)), (None, Some(999)));
        let kept = (0..1000).filter(|number| cache.get(number).is_some()).count();
        assert!(kept <= 10, "{kept}");
    }

    #[test]
    fn what_does_not_fit_is_not_kept() {
        let cache = Cache::new(100);
        cache.put("large", 1, 51);
        assert_eq!(cache.get(&"large"), None);
        cache.put("small", 1, 10);
        cache.put("small", 2, 20);
        assert_eq!(cache.get(&"small"), Some(2));
    }
}
