use std::{
    hash::Hash,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use metrics::Counter;
use moka::sync::Cache;

use crate::domain::fresh::{Changes, Seen};

/// A bounded cache whose entries each speak of some subjects and die with the change of any of them.
pub(crate) struct FreshCache<K, S, V> {
    entries: Cache<K, Arc<Entry<S, V>>>,
    changes: Mutex<Changes<S>>,
    hits: Counter,
    misses: Counter,
}

struct Entry<S, V> {
    subjects: Box<[S]>,
    seen: Seen,
    value: V,
}

impl<K, S, V> FreshCache<K, S, V>
where
    K: Eq + Hash + Send + Sync + 'static,
    S: Eq + Hash + Send + Sync + 'static,
    V: Clone + Send + Sync + 'static,
{
    pub(crate) fn new(name: &'static str, entries: u64, lives: Duration) -> Self {
        let entries = Cache::builder().max_capacity(entries).time_to_live(lives).build();
        let looked_up =
            |result| metrics::counter!("gateway_cache_lookups_total", "cache" => name, "result" => result);
        Self { entries, changes: Mutex::default(), hits: looked_up("hit"), misses: looked_up("miss") }
    }

    /// What is known and still true.
    pub(crate) fn find(&self, key: &K) -> Option<V> {
        let found = self.find_fresh(key);
        if found.is_some() { &self.hits } else { &self.misses }.increment(1);
        found
    }

    fn find_fresh(&self, key: &K) -> Option<V> {
        let entry = self.entries.get(key)?;
        self.are_fresh(&entry.subjects, entry.seen).then(|| entry.value.clone())
    }

    /// To be taken before the question is asked whose answer will be kept.
    pub(crate) fn seen(&self) -> Seen {
        self.changes().seen()
    }

    /// Keeps the answer, unless one of its subjects changed since the question was asked.
    pub(crate) fn keep(&self, key: K, subjects: impl Into<Box<[S]>>, seen: Seen, value: V) {
        let subjects = subjects.into();
        if self.are_fresh(&subjects, seen) {
            self.entries.insert(key, Arc::new(Entry { subjects, seen, value }));
        }
    }

    /// The subject changed: what is known of it is stale.
    pub(crate) fn changed(&self, subject: S) {
        self.changes().changed(subject);
    }

    /// Changes may have been missed: everything is stale.
    pub(crate) fn all_changed(&self) {
        self.changes().all_changed();
        self.entries.invalidate_all();
    }

    fn are_fresh(&self, subjects: &[S], seen: Seen) -> bool {
        let changes = self.changes();
        subjects.iter().all(|subject| changes.is_fresh(subject, seen))
    }

    fn changes(&self) -> MutexGuard<'_, Changes<S>> {
        self.changes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
