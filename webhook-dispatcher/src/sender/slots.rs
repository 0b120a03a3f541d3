use std::{
    collections::HashMap,
    fmt,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
};

use tokio::sync::{Notify, Semaphore, SemaphorePermit};

use super::gate::{Claimed, Gate, Pass, Trust};
use crate::domain::answer::Outcome;

/// A waiting job behind each one that is worked on keeps the workers busy while the next come in.
const QUEUE_FACTOR: usize = 4;
/// Open attempts for each that is worked on, 16 in all: most of an attempt's time is waiting for the receiver, and of
/// those who hang all of it.
const OPEN_PROVEN: usize = 4;
const OPEN_STRANGERS: usize = 4;
const OPEN_SUSPECTS: usize = 8;
/// So many windows are remembered; beyond that, those of endpoints that nothing is told to now are forgotten.
const REMEMBERED: usize = 16_384;

/// Bounds the pipeline, as a whole and for each endpoint, so that one endpoint can't fill it.
///
/// First attempts and jobs from the store each have as many places, and wait in the same queues, first come, first
/// served: neither can starve the other. First attempts are bounded by the consumer that hands them in.
///
/// Endpoints that answer, strangers and those that hang have places of their own. However many hang, they hold no place
/// that one of the others waits for; an attempt that turns out to hang moves to their places.
#[derive(Clone)]
pub struct Slots(Arc<Shared>);

struct Shared {
    capacity: usize,
    per_endpoint: usize,
    claimed: AtomicUsize,
    /// Those of them whose endpoint hung when they were claimed.
    suspected: AtomicUsize,
    proven: Places,
    strangers: Places,
    suspects: Places,
    gates: Mutex<HashMap<String, Arc<Gate>>>,
    freed: Notify,
    closed: AtomicBool,
}

/// Attempts that may be worked on at once, and that may be open.
struct Places {
    working: Semaphore,
    open: Semaphore,
}

impl Places {
    fn new(concurrency: usize, open: usize) -> Self {
        Self { working: Semaphore::new(concurrency), open: Semaphore::new(concurrency * open) }
    }

    /// In turn, first come, first served.
    async fn acquire(&self) -> Option<(SemaphorePermit<'_>, SemaphorePermit<'_>)> {
        let open = self.open.acquire().await.ok()?;
        Some((open, self.working.acquire().await.ok()?))
    }

    /// At once, or not at all.
    fn try_acquire(&self) -> Option<(SemaphorePermit<'_>, SemaphorePermit<'_>)> {
        Some((self.open.try_acquire().ok()?, self.working.try_acquire().ok()?))
    }
}

/// A place in the pipeline; given up when dropped.
pub struct Slot {
    gate: Arc<Gate>,
    shared: Arc<Shared>,
    /// Of a job from the store; none: a first attempt.
    claimed: Option<Claimed>,
    is_suspected: bool,
}

impl Slots {
    /// `concurrency` attempts worked on at once, and up to `per_endpoint` open to one endpoint.
    #[must_use]
    pub fn new(concurrency: usize, per_endpoint: usize) -> Self {
        Self(Arc::new(Shared {
            capacity: concurrency * QUEUE_FACTOR,
            per_endpoint,
            claimed: AtomicUsize::new(0),
            suspected: AtomicUsize::new(0),
            proven: Places::new(concurrency, OPEN_PROVEN),
            strangers: Places::new(concurrency, OPEN_STRANGERS),
            suspects: Places::new(concurrency, OPEN_SUSPECTS),
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
        gates.iter().filter(|(_, gate)| self.0.is_full(gate)).map(|(id, _)| id.clone()).collect()
    }

    /// A place for a job from the store, if there is one.
    #[must_use]
    pub fn try_take(&self, endpoint_id: &str) -> Option<Slot> {
        if self.is_closed() || self.free() == 0 {
            return None;
        }
        let gate = self.0.gate(endpoint_id);
        if self.0.is_full(&gate) {
            return None;
        }
        gate.claimed.fetch_add(1, Ordering::AcqRel);
        self.0.claimed.fetch_add(1, Ordering::AcqRel);
        let is_suspected = gate.trust() == Trust::Suspect;
        self.0.suspected.fetch_add(usize::from(is_suspected), Ordering::AcqRel);
        Some(Slot {
            claimed: Some(Claimed(Arc::clone(&gate))),
            gate,
            shared: Arc::clone(&self.0),
            is_suspected,
        })
    }

    /// A place for a first attempt; none where it would wait for an endpoint that is slow.
    #[must_use]
    pub fn enter(&self, endpoint_id: &str) -> Option<Slot> {
        let gate = self.0.gate(endpoint_id);
        let may = !self.is_closed() && gate.is_worth_waiting();
        may.then(|| Slot { claimed: None, gate, shared: Arc::clone(&self.0), is_suspected: false })
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
        let (open, working) = match (self.gate.trust(), &self.claimed) {
            (Trust::Proven, _) => self.shared.proven.acquire().await?,
            (Trust::Stranger, _) => self.shared.strangers.acquire().await?,
            (Trust::Suspect, Some(_)) => self.shared.suspects.acquire().await?,
            // Its message would wait on the bus meanwhile, in the place of somebody else's.
            (Trust::Suspect, None) => self.shared.suspects.try_acquire()?,
        };
        Some(Turn { pass, suspects: &self.shared.suspects, open, working: Some(working) })
    }
}

/// A job's turn to make its attempt.
pub struct Turn<'a> {
    pass: Pass,
    suspects: &'a Places,
    open: SemaphorePermit<'a>,
    working: Option<SemaphorePermit<'a>>,
}

impl Turn<'_> {
    /// From here on it only waits, and lets another work.
    pub fn rest(&mut self) {
        self.working = None;
    }

    /// It has waited for long: from now on among its like, if there is room.
    pub fn hangs(&mut self) {
        self.pass.hangs();
        if let Ok(open) = self.suspects.open.try_acquire() {
            self.open = open;
        }
    }

    /// Tells the endpoint's window how the attempt ended.
    pub fn ended(&self, outcome: Outcome) {
        self.pass.ended(outcome);
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        if self.claimed.is_none() {
            return;
        }
        let was_missed = self.shared.is_full(&self.gate)
            || self.shared.claimed.load(Ordering::Acquire) >= self.shared.capacity;
        self.claimed = None;
        self.shared.claimed.fetch_sub(1, Ordering::AcqRel);
        self.shared.suspected.fetch_sub(usize::from(self.is_suspected), Ordering::AcqRel);
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
    /// Whether the endpoint has all it can take from the store. Those that hang take half of what there is at most.
    fn is_full(&self, gate: &Gate) -> bool {
        let hanging = || self.suspected.load(Ordering::Acquire) >= self.capacity / 2;
        gate.claimed.load(Ordering::Acquire) >= gate.room_for_claimed()
            || (gate.trust() == Trust::Suspect && hanging())
    }

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
    use tokio::task::unconstrained;

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

    /// What it has come to without waiting, however much this test has done before.
    fn at_once<T>(future: impl Future<Output = T>) -> Option<T> {
        unconstrained(future).now_or_never()
    }

    /// Many more of them than there are places, each silent once before.
    fn hanging(slots: &Slots) -> Vec<Slot> {
        let slots: Vec<_> = (0..1_000).map(|n| slots.try_take(&format!("hanging-{n}"))).collect();
        slots.into_iter().flatten().collect()
    }

    fn prove(slots: &Slots, endpoint_id: &str, outcome: Outcome) {
        let slot = slots.enter(endpoint_id).unwrap();
        at_once(slot.turn()).flatten().unwrap().ended(outcome);
    }

    #[tokio::test]
    async fn however_many_hang_nobody_who_answers_waits_for_them() {
        let slots = Slots::new(8, 64);
        for n in 0..1_000 {
            prove(&slots, &format!("hanging-{n}"), Outcome::Timeout);
        }
        prove(&slots, "healthy", Outcome::Success);
        let claimed = hanging(&slots);
        assert_eq!(claimed.len(), slots.capacity() / 2, "the store's other half is for others");
        assert!(slots.busy().len() >= 1_000 && !slots.busy().contains(&"healthy".to_owned()));
        let fresh: Vec<_> = (0..1_000).filter_map(|n| slots.enter(&format!("hanging-{n}"))).collect();
        let mut open = Vec::new();
        for slot in claimed.iter().chain(&fresh) {
            let turn = at_once(slot.turn()).flatten();
            open.extend(turn.map(|mut turn| {
                turn.rest();
                turn.hangs();
                turn
            }));
        }
        assert_eq!(open.len(), 8 * OPEN_SUSPECTS, "and no more");
        let late = fresh.last().unwrap().turn();
        assert!(at_once(late).expect("it does not wait").is_none(), "the store keeps it");
        for endpoint in ["healthy", "stranger"] {
            let (first, again) = (slots.enter(endpoint).unwrap(), slots.try_take(endpoint).unwrap());
            for slot in [first, again] {
                assert!(at_once(slot.turn()).flatten().is_some(), "{endpoint} waits");
            }
        }
    }

    #[tokio::test]
    async fn an_attempt_that_turns_out_to_hang_gives_its_place_back() {
        let slots = Slots::new(1, 64);
        let silent: Vec<_> = (0..OPEN_STRANGERS).map(|n| slots.enter(&n.to_string()).unwrap()).collect();
        let mut open = Vec::new();
        for slot in &silent {
            let mut turn = slot.turn().now_or_never().flatten().unwrap();
            turn.rest();
            open.push(turn);
        }
        let next = slots.enter("next").unwrap();
        let mut waiting = Box::pin(next.turn());
        assert!((&mut waiting).now_or_never().is_none());
        open[0].hangs();
        assert!(waiting.now_or_never().flatten().is_some());
    }

    #[test]
    fn a_closed_pipeline_takes_nothing() {
        let slots = Slots::new(4, 4);
        slots.close();
        assert!(slots.try_take("a").is_none() && slots.enter("a").is_none());
    }
}
