//! When something cached may still be told: the rules behind every cache of the gateway.
//!
//! Changes are numbered as they arrive. What was asked for before a change of its subject arrived is stale and
//! must not be kept, even if its answer comes after.

use std::{collections::HashMap, hash::Hash};

/// The number of the last change that had arrived when a question was asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub(crate) struct Seen(u64);

/// The changes that have arrived, by subject.
#[derive(Debug)]
pub(crate) struct Changes<S> {
    last: u64,
    everything: u64,
    subjects: HashMap<S, u64>,
}

/// Subjects remembered one by one; past that, all that was asked before is stale.
const SUBJECTS_AT_MOST: usize = 100_000;

impl<S> Default for Changes<S> {
    fn default() -> Self {
        Self { last: 0, everything: 0, subjects: HashMap::new() }
    }
}

impl<S: Eq + Hash> Changes<S> {
    /// Notes a change of one subject.
    pub(crate) fn changed(&mut self, subject: S) {
        if self.subjects.len() >= SUBJECTS_AT_MOST {
            self.all_changed();
        }
        self.last += 1;
        self.subjects.insert(subject, self.last);
    }

    /// Notes that changes may have been missed.
    pub(crate) fn all_changed(&mut self) {
        self.last += 1;
        self.everything = self.last;
        self.subjects.clear();
    }

    /// To be taken before a question is asked.
    pub(crate) fn seen(&self) -> Seen {
        Seen(self.last)
    }

    /// Whether an answer about `subject`, asked at `seen`, is still true.
    pub(crate) fn is_fresh<Q>(&self, subject: &Q, seen: Seen) -> bool
    where
        S: std::borrow::Borrow<Q>,
        Q: Eq + Hash + ?Sized,
    {
        let changed = self.subjects.get(subject).copied().unwrap_or(0).max(self.everything);
        seen.0 >= changed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_asked_before_the_change_is_stale_even_if_it_comes_after() {
        let mut changes = Changes::default();
        let before = changes.seen();
        changes.changed("lic_1");
        let after = changes.seen();
        assert!(!changes.is_fresh("lic_1", before));
        assert!(changes.is_fresh("lic_1", after));
        assert!(changes.is_fresh("lic_2", before), "another licence did not change");
    }

    #[test]
    fn a_gap_makes_everything_stale() {
        let mut changes = Changes::<&str>::default();
        let before = changes.seen();
        changes.all_changed();
        assert!(!changes.is_fresh("lic_1", before));
        assert!(changes.is_fresh("lic_1", changes.seen()));
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let mut changes = Changes::default();
        let before = changes.seen();
        for n in 0..=SUBJECTS_AT_MOST {
            changes.changed(n);
        }
        assert!(changes.subjects.len() <= SUBJECTS_AT_MOST);
        assert!(!changes.is_fresh(&0, before));
    }
}
