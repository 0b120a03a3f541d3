use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicUsize, Ordering},
};

use tokio::sync::Notify;

/// Waits until the rows of everything that a message began are written: of one delivery, or of a great many.
#[derive(Debug, Default)]
pub struct Receipts(Arc<Open>);

#[derive(Debug, Default)]
struct Open {
    count: AtomicUsize,
    is_lost: AtomicBool,
    ended: Notify,
}

/// Of one delivery. Dropped without being given: its rows are not written.
#[derive(Debug)]
pub struct Receipt {
    open: Arc<Open>,
    is_given: bool,
}

impl Receipts {
    /// One more to wait for.
    #[must_use]
    pub fn expect(&self) -> Receipt {
        self.0.count.fetch_add(1, Ordering::AcqRel);
        Receipt { open: Arc::clone(&self.0), is_given: false }
    }

    /// Waits for all of them. False: the rows of at least one are not written.
    pub async fn are_given(self) -> bool {
        while self.0.count.load(Ordering::Acquire) > 0 {
            self.0.ended.notified().await;
        }
        !self.0.is_lost.load(Ordering::Acquire)
    }
}

impl Receipt {
    /// Its rows are written.
    pub fn give(mut self) {
        self.is_given = true;
    }
}

impl Drop for Receipt {
    fn drop(&mut self) {
        if !self.is_given {
            self.open.is_lost.store(true, Ordering::Release);
        }
        if self.open.count.fetch_sub(1, Ordering::AcqRel) == 1 {
            // Kept for who comes to wait only then.
            self.open.ended.notify_one();
        }
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt as _;

    use super::*;

    #[tokio::test]
    async fn the_last_receipt_ends_the_wait_and_a_lost_one_is_told() {
        let receipts = Receipts::default();
        let (one, two) = (receipts.expect(), receipts.expect());
        one.give();
        let mut waiting = Box::pin(receipts.are_given());
        assert!((&mut waiting).now_or_never().is_none());
        two.give();
        assert!(waiting.await);

        let receipts = Receipts::default();
        let (one, two) = (receipts.expect(), receipts.expect());
        drop(one);
        two.give();
        assert!(!receipts.are_given().await);
    }

    #[tokio::test]
    async fn where_all_came_early_more_can_be_expected() {
        let receipts = Receipts::default();
        receipts.expect().give();
        let late = receipts.expect();
        let mut waiting = Box::pin(receipts.are_given());
        assert!((&mut waiting).now_or_never().is_none());
        late.give();
        assert!(waiting.await);
        assert!(Receipts::default().are_given().await, "there was nothing to wait for");
    }
}
