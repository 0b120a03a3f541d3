//! Who was told of what, and when: a few atomic words for each number, so that noting costs next to nothing.

use std::{
    hash::{DefaultHasher, Hash as _, Hasher as _},
    ops::Range,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    time::Duration,
};

use anyhow::{Context as _, ensure};
use http::HeaderValue;
use tokio::{
    sync::Notify,
    time::{Instant, timeout},
};

use super::shop::Receipt;

/// Of so many numbers one is kept whole, and checked at the end. Odd, so that in turn each shop has its share.
const SAMPLE: usize = 49;

/// The receipts of some numbers.
pub(crate) struct Ledger {
    numbers: Range<usize>,
    wanted: usize,
    began: Instant,
    entries: Box<[Entry]>,
    told: AtomicUsize,
    repeated: AtomicUsize,
    renamed: AtomicUsize,
    strange: AtomicUsize,
    sample: Mutex<Vec<Receipt>>,
    complete: Notify,
}

/// Zero: not told yet.
#[derive(Default)]
struct Entry {
    id_hash: AtomicU64,
    nanos: AtomicU64,
}

/// What came more often than once, or not from this round.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Extra {
    /// Again with the same `webhook-id`: the receiver can tell.
    pub(crate) repeated: usize,
    /// Again with another `webhook-id`: the receiver can't tell.
    pub(crate) renamed: usize,
    /// Of a number that is not of this round.
    pub(crate) strange: usize,
}

impl Ledger {
    /// Waits for the numbers, of which so many are to come.
    pub(crate) fn new(numbers: Range<usize>, wanted: usize) -> Self {
        Self {
            entries: numbers.clone().map(|_| Entry::default()).collect(),
            numbers,
            wanted,
            began: Instant::now(),
            told: AtomicUsize::new(0),
            repeated: AtomicUsize::new(0),
            renamed: AtomicUsize::new(0),
            strange: AtomicUsize::new(0),
            sample: Mutex::default(),
            complete: Notify::new(),
        }
    }

    /// Notes that the webhook of this number and id has come; whether its receipt belongs to the sample.
    pub(crate) fn note(&self, number: Option<usize>, id: Option<&HeaderValue>) -> bool {
        let Some((number, entry)) = number.and_then(|number| Some((number, self.entry(number)?))) else {
            self.strange.fetch_add(1, Ordering::Relaxed);
            return false;
        };
        let hash = hash(id);
        match entry.id_hash.compare_exchange(0, hash, Ordering::AcqRel, Ordering::Acquire) {
            Ok(_) => self.note_first(entry),
            Err(first) if first == hash => drop(self.repeated.fetch_add(1, Ordering::Relaxed)),
            Err(_) => drop(self.renamed.fetch_add(1, Ordering::Relaxed)),
        }
        number.is_multiple_of(SAMPLE)
    }

    fn note_first(&self, entry: &Entry) {
        let nanos = u64::try_from(self.began.elapsed().as_nanos()).unwrap_or(u64::MAX);
        entry.nanos.store(nanos.max(1), Ordering::Release);
        if self.told.fetch_add(1, Ordering::AcqRel) + 1 == self.wanted {
            self.complete.notify_one();
        }
    }

    /// Keeps a receipt for the check at the end.
    pub(crate) fn keep(&self, receipt: Receipt) {
        self.sample.lock().unwrap_or_else(PoisonError::into_inner).push(receipt);
    }

    /// The receipts that were kept.
    pub(crate) fn take_sample(&self) -> Vec<Receipt> {
        std::mem::take(&mut *self.sample.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn entry(&self, number: usize) -> Option<&Entry> {
        self.entries.get(number.checked_sub(self.numbers.start)?)
    }

    /// When a number was first told.
    pub(crate) fn at(&self, number: usize) -> Option<Instant> {
        let nanos = self.entry(number)?.nanos.load(Ordering::Acquire);
        (nanos > 0).then(|| self.began + Duration::from_nanos(nanos))
    }

    pub(crate) fn told(&self) -> usize {
        self.told.load(Ordering::Acquire)
    }

    /// Waits until all that are wanted have come; fails with how many have not.
    pub(crate) async fn wait(&self, limit: Duration) -> anyhow::Result<()> {
        if self.told() < self.wanted {
            let missing = || format!("{} of {} were not told", self.wanted - self.told(), self.wanted);
            timeout(limit, self.complete.notified()).await.with_context(missing)?;
        }
        Ok(())
    }

    /// What came beyond that. A receiver must be able to tell a repeated delivery from a new one.
    pub(crate) fn extra(&self) -> anyhow::Result<Extra> {
        let count = |counter: &AtomicUsize| counter.load(Ordering::Relaxed);
        let extra = Extra {
            repeated: count(&self.repeated),
            renamed: count(&self.renamed),
            strange: count(&self.strange),
        };
        ensure!(extra.renamed == 0, "{} licences were told again under another webhook-id", extra.renamed);
        Ok(extra)
    }
}

/// Never zero.
fn hash(id: Option<&HeaderValue>) -> u64 {
    let mut hasher = DefaultHasher::new();
    id.map(HeaderValue::as_bytes).hash(&mut hasher);
    hasher.finish() | 1
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn id(text: &'static str) -> HeaderValue {
        HeaderValue::from_static(text)
    }

    #[tokio::test]
    async fn each_number_is_told_once_and_a_repetition_is_counted() {
        let ledger = Ledger::new(98..100, 2);
        assert!(ledger.note(Some(98), Some(&id("a"))), "every 49th is kept");
        assert!(ledger.wait(Duration::from_millis(5)).await.unwrap_err().to_string().contains("1 of 2"));
        let first = ledger.at(98).unwrap();
        ledger.note(Some(98), Some(&id("a")));
        assert!(!ledger.note(Some(99), Some(&id("b"))));
        ledger.wait(Duration::from_millis(5)).await.unwrap();
        assert_eq!((ledger.told(), ledger.at(98)), (2, Some(first)));
        assert_eq!(ledger.extra().unwrap(), Extra { repeated: 1, ..Extra::default() });
    }

    #[test]
    fn another_id_for_the_same_number_is_an_error() {
        let ledger = Ledger::new(0..1, 1);
        ledger.note(Some(0), Some(&id("a")));
        ledger.note(Some(0), Some(&id("b")));
        assert!(ledger.extra().unwrap_err().to_string().contains("another webhook-id"));
    }

    #[test]
    fn what_is_of_no_number_or_of_another_round_is_strange() {
        let ledger = Ledger::new(10..11, 1);
        for number in [None, Some(9), Some(11)] {
            assert!(!ledger.note(number, None));
        }
        assert_eq!(ledger.extra().unwrap(), Extra { strange: 3, ..Extra::default() });
        assert_eq!((ledger.told(), ledger.at(9), ledger.at(10)), (0, None, None));
    }
}
