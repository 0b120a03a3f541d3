use std::{
    collections::HashMap,
    fmt,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
};

use tokio::sync::{Notify, Semaphore, SemaphorePermit};

use super::gate::{Claimed, Gate, Pass};

/// A waiting job behind each one that is worked on keeps the workers busy while the next come in.
const QUEUE_FACTOR: usize = 4;
/// Open attempts for each that is worked on: most of an attempt's time is waiting for the receiver.
const OPEN_FACTOR: usize = 16;
/// So many windows are remembered; beyond that, those of endpoints that nothing is told to now are forgotten.
const REMEMBERED: usize = 16_384;

/// Bounds the pipeline, as a whole and for each endpoint, so that one endpoint can't fill it.
///
/// First attempts and jobs from the store each have as many places, and wait in the same queues, first come, first
/// served: neither can starve the other. First attempts are bounded by the consumer that hands them in.
#[derive(Clone)]
pub struct Slots(Arc<Shared>);

struct Shared {
    capacity: usize,
    per_endpoint: usize,
    claimed: AtomicUsize,
    working: Semaphore,
    open: Semaphore,
    gates: Mutex<HashMap<String, Arc<Gate>>>,
    freed: Notify,
    closed: AtomicBool,
}

/// A place in the pipeline; given up when dropped.
pub struct Slot {
    gate: Arc<Gate>,
    shared: Arc<Shared>,
    /// Of a job from the store; none: a first attempt.
    claimed: Option<Claimed>,
}

impl Slots {
    /// `concurrency` attempts worked on at once, and up to `per_endpoint` open to one endpoint.
    #[must_use]
    pub fn new(concurrency: usize, per_endpoint: usize) -> Self {
        Self(Arc::new(Shared {
            capacity: concurrency * QUEUE_FACTOR,
            per_endpoint,
            claimed: AtomicUsize::new(0),
            working: Semaphore::new(concurrency),
            open: Semaphore::new(concurrency * OPEN_FACTOR),
            gates: Mutex::default(),
            freed: Notify::new(),
            closed: AtomicBool::new(false),
        }))
    }

    /// How many jobs from the store can be in the pipeline, and as many first attempts.
    #[must_use]
    pub fn capacity(&self) -> usize {
        self.0.capacity
    }

    /// How many more can be claimed now.
    #[must_use]
    pub fn free(&self) -> usize {
        self.0.capacity.saturating_sub(self.0.claimed.load(Ordering::Acquire))
    }

    /// The endpoints that have all they can take from the store.
    #[must_use]
    pub fn busy(&self) -> Vec<String> {
        let gates = self.0.gates();
        gates.iter().filter(|(_, gate)| is_full(gate)).map(|(id, _)| id.clone()).collect()
    }

    /// A place for a job from the store, if there is one.
    #[must_use]
    pub fn try_take(&self, endpoint_id: &str) -> Option<Slot> {
        if self.is_closed() || self.free() == 0 {
            return None;
        }
        let gate = self.0.gate(endpoint_id);
        if is_full(&gate) {
            return None;
        }
        gate.claimed.fetch_add(1, Ordering::AcqRel);
        self.0.claimed.fetch_add(1, Ordering::AcqRel);
        Some(Slot { claimed: Some(Claimed(Arc::clone(&gate))), gate, shared: Arc::clone(&self.0) })
    }

    /// A place for a first attempt; none where it would wait for an endpoint that is slow.
    #[must_use]
    pub fn enter(&self, endpoint_id: &str) -> Option<Slot> {
        let gate = self.0.gate(endpoint_id);
        let may = !self.is_closed() && gate.is_worth_waiting();
        may.then(|| Slot { claimed: None, gate, shared: Arc::clone(&self.0) })
    }

    /// Takes no more.
    pub fn close(&self) {
        self.0.closed.store(true, Ordering::Release);
    }

    /// Returns when a place has become free that the claimer may have missed.
    pub async fn freed(&self) {
        self.0.freed.notified().await;
    }

    fn is_closed(&self) -> bool {
        self.0.closed.load(Ordering::Acquire)
    }
}

fn is_full(gate: &Gate) -> bool {
    gate.claimed.load(Ordering::Acquire) >= gate.room_for_claimed()
}

impl Slot {
    /// Whether the endpoint's rate, if it has one, permits its attempt now; otherwise when to come again.
    pub fn permits(&self, rate: Option<u32>, now_ms: i64) -> Result<(), i64> {
        self.gate.permits(rate, self.claimed.is_none(), now_ms)
    }

    /// Waits for this job's turn; the guard is its turn. The endpoint's own turn comes first, so that who waits for a
    /// busy endpoint keeps nobody else waiting. Nothing: the endpoint is too slow to wait for.
    pub async fn turn(&self) -> Option<Turn<'_>> {
        let pass = match self.claimed {
            Some(_) => self.gate.pass().await?,
            None => self.gate.pass_soon().await?,
        };
        let open = self.shared.open.acquire().await.ok()?;
        let working = self.shared.working.acquire().await.ok()?;
        Some(Turn { pass, _open: open, working: Some(working) })
    }
}

/// A job's turn to make its attempt.
pub struct Turn<'a> {
    pass: Pass,
    _open: SemaphorePermit<'a>,
    working: Option<SemaphorePermit<'a>>,
}

impl Turn<'_> {
    /// From here on it only waits, and lets another work.
    pub fn rest(&mut self) {
        self.working = None;
    }

    /// It has waited for long.
    pub fn hangs(&mut self) {
        self.pass.hangs();
    }

    /// Tells the endpoint's window how the attempt ended.
    pub fn ended(&self, is_success: bool) {
        self.pass.ended(is_success);
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        if self.claimed.is_none() {
            return;
        }
        let was_missed =
            is_full(&self.gate) || self.shared.claimed.load(Ordering::Acquire) >= self.shared.capacity;
        self.claimed = None;
        self.shared.claimed.fetch_sub(1, Ordering::AcqRel);
        if was_missed {
            self.shared.freed.notify_one();
        }
    }
}

impl fmt::Debug for Slot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Slot").field("is_claimed", &self.claimed.is_some()).finish_non_exhaustive()
    }
}

impl Shared {
    fn gates(&self) -> MutexGuard<'_, HashMap<String, Arc<Gate>>> {
        self.gates.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn gate(&self, endpoint_id: &str) -> Arc<Gate> {
        let mut gates = self.gates();
        if let Some(gate) = gates.get(endpoint_id) {
            return Arc::clone(gate);
        }
        if gates.len() >= REMEMBERED {
            gates.retain(|_, gate| Arc::strong_count(gate) > 1);
        }
        let gate = Arc::new(Gate::new(self.per_endpoint));
        gates.insert(endpoint_id.to_owned(), Arc::clone(&gate));
        gate
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use futures::FutureExt as _;

    use super::*;

    #[test]
    fn an_endpoint_takes_no_more_from_the_store_than_its_window_is_worth() {
        let slots = Slots::new(100, 64);
        let taken: Vec<_> = (0..8).map(|_| slots.try_take("a").unwrap()).collect();
        assert!(slots.try_take("a").is_none());
        assert_eq!(slots.busy(), ["a"]);
        assert!(slots.try_take("b").is_some());
        drop(taken);
        assert!(slots.busy().is_empty());
    }

    #[tokio::test]
    async fn a_place_that_may_have_been_missed_is_told() {
        let slots = Slots::new(1, 8);
        let mut taken: Vec<_> = (0..4).map(|_| slots.try_take("a").unwrap()).collect();
        assert_eq!(slots.free(), 0);
        assert!(slots.try_take("b").is_none());
        taken.pop();
        slots.freed().now_or_never().unwrap();
        taken.pop();
        assert!(slots.freed().now_or_never().is_none(), "nobody was refused");
    }

    #[tokio::test]
    async fn first_attempts_and_what_waits_in_the_store_keep_each_other_from_no_turn() {
        let slots = Slots::new(2, 64);
        let first: Vec<_> = (0..4).map(|_| slots.enter("a").unwrap()).collect();
        let working = [first[0].turn().await.unwrap(), first[1].turn().await.unwrap()];
        let again = slots.try_take("b").expect("a place of its own");
        let mut later = Box::pin(again.turn());
        assert!((&mut later).now_or_never().is_none());
        let mut next = Box::pin(first[2].turn());
        assert!((&mut next).now_or_never().is_none());
        let [one, two] = working;
        drop(one);
        assert!((&mut next).now_or_never().is_none(), "it came later");
        let got = later.now_or_never().flatten().unwrap();
        drop(two);
        assert!(next.now_or_never().flatten().is_some());
        drop(got);
    }

    #[tokio::test]
    async fn who_only_waits_for_its_receiver_keeps_nobody_from_working() {
        let slots = Slots::new(1, 64);
        let (hanging, healthy) = (slots.enter("a").unwrap(), slots.enter("b").unwrap());
        let mut turn = hanging.turn().await.unwrap();
        let mut waiting = Box::pin(healthy.turn());
        assert!((&mut waiting).now_or_never().is_none());
        turn.rest();
        assert!(waiting.now_or_never().flatten().is_some());
    }

    #[test]
    fn a_closed_pipeline_takes_nothing() {
        let slots = Slots::new(4, 4);
        slots.close();
        assert!(slots.try_take("a").is_none() && slots.enter("a").is_none());
    }
}
