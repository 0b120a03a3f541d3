use std::{
    collections::HashMap,
    fmt,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

use tokio::sync::{Notify, Semaphore, SemaphorePermit};

/// A waiting attempt behind each one that an endpoint can have at once keeps it busy while the next are claimed.
const QUEUE_FACTOR: usize = 4;

/// Bounds the pipeline, as a whole and for each endpoint, so that one endpoint can't fill it.
#[derive(Clone)]
pub struct Slots(Arc<Shared>);

struct Shared {
    total: usize,
    per_endpoint: usize,
    at_once: usize,
    running: Semaphore,
    load: Mutex<Load>,
    freed: Notify,
    closed: AtomicBool,
}

#[derive(Default)]
struct Load {
    taken: usize,
    endpoints: HashMap<String, Endpoint>,
}

struct Endpoint {
    taken: usize,
    gate: Arc<Semaphore>,
}

/// A place in the pipeline; given up when dropped.
pub struct Slot {
    endpoint_id: String,
    gate: Arc<Semaphore>,
    shared: Arc<Shared>,
}

impl Slots {
    /// `concurrency` attempts at once, `per_endpoint` of them to one endpoint.
    #[must_use]
    pub fn new(concurrency: usize, per_endpoint: usize) -> Self {
        Self(Arc::new(Shared {
            total: concurrency * QUEUE_FACTOR,
            per_endpoint: per_endpoint * QUEUE_FACTOR,
            at_once: per_endpoint,
            running: Semaphore::new(concurrency),
            load: Mutex::default(),
            freed: Notify::new(),
            closed: AtomicBool::new(false),
        }))
    }

    /// How many jobs can be in the pipeline.
    #[must_use]
    pub fn capacity(&self) -> usize {
        self.0.total
    }

    /// How many more can be taken now.
    #[must_use]
    pub fn free(&self) -> usize {
        self.0.total - self.0.load().taken
    }

    /// The endpoints that have all they can take.
    #[must_use]
    pub fn busy(&self) -> Vec<String> {
        let load = self.0.load();
        let busy = load.endpoints.iter().filter(|(_, endpoint)| endpoint.taken >= self.0.per_endpoint);
        busy.map(|(id, _)| id.clone()).collect()
    }

    /// A place for an attempt to this endpoint, if there is one.
    #[must_use]
    pub fn try_take(&self, endpoint_id: &str) -> Option<Slot> {
        if self.0.closed.load(Ordering::Acquire) {
            return None;
        }
        let gate = self.0.load().take(endpoint_id, &self.0)?;
        Some(Slot { endpoint_id: endpoint_id.to_owned(), gate, shared: Arc::clone(&self.0) })
    }

    /// Takes no more.
    pub fn close(&self) {
        self.0.closed.store(true, Ordering::Release);
    }

    /// Returns when a place has become free that the claimer may have missed.
    pub async fn freed(&self) {
        self.0.freed.notified().await;
    }
}

impl Slot {
    /// Waits for this job's turn; the guard is its turn. The endpoint's own turn comes first, so that who waits for a
    /// busy endpoint keeps nobody else waiting.
    pub async fn turn(&self) -> Option<Turn<'_>> {
        let own = self.gate.acquire().await.ok()?;
        let shared = self.shared.running.acquire().await.ok()?;
        Some(Turn { _own: own, _shared: shared })
    }
}

/// A job's turn to make its attempt.
pub struct Turn<'a> {
    _own: SemaphorePermit<'a>,
    _shared: SemaphorePermit<'a>,
}

impl Drop for Slot {
    fn drop(&mut self) {
        if self.shared.load().give(&self.endpoint_id, &self.shared) {
            self.shared.freed.notify_one();
        }
    }
}

impl fmt::Debug for Slot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Slot").field("endpoint_id", &self.endpoint_id).finish_non_exhaustive()
    }
}

impl Shared {
    fn load(&self) -> MutexGuard<'_, Load> {
        self.load.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Load {
    fn take(&mut self, endpoint_id: &str, bounds: &Shared) -> Option<Arc<Semaphore>> {
        if self.taken >= bounds.total {
            return None;
        }
        let fresh = || Endpoint { taken: 0, gate: Arc::new(Semaphore::new(bounds.at_once)) };
        let endpoint = self.endpoints.entry(endpoint_id.to_owned()).or_insert_with(fresh);
        if endpoint.taken >= bounds.per_endpoint {
            return None;
        }
        endpoint.taken += 1;
        self.taken += 1;
        Some(Arc::clone(&endpoint.gate))
    }

    /// Whether somebody may have been refused for want of this place.
    fn give(&mut self, endpoint_id: &str, bounds: &Shared) -> bool {
        let was_full = self.taken >= bounds.total;
        self.taken -= 1;
        let Some(endpoint) = self.endpoints.get_mut(endpoint_id) else { return was_full };
        let was_busy = endpoint.taken >= bounds.per_endpoint;
        endpoint.taken -= 1;
        if endpoint.taken == 0 {
            self.endpoints.remove(endpoint_id);
        }
        was_full || was_busy
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn one_endpoint_cannot_fill_the_pipeline() {
        let slots = Slots::new(2, 1);
        let taken: Vec<_> = std::iter::from_fn(|| slots.try_take("ep_1")).collect();
        assert_eq!(taken.len(), QUEUE_FACTOR);
        assert_eq!(slots.busy(), ["ep_1"]);
        assert_eq!(slots.free(), QUEUE_FACTOR);
        assert!(slots.try_take("ep_2").is_some());
        drop(taken);
        assert_eq!((slots.free(), slots.busy().len()), (slots.capacity(), 0));
    }

    #[tokio::test]
    async fn turns_are_bounded_and_come_as_others_end() {
        let slots = Slots::new(8, 1);
        let (first, second) = (slots.try_take("ep_1").unwrap(), slots.try_take("ep_1").unwrap());
        let turn = first.turn().await.unwrap();
        let mut waiting = std::pin::pin!(second.turn());
        assert!(futures::poll!(&mut waiting).is_pending());
        drop(turn);
        assert!(waiting.await.is_some());
    }

    #[test]
    fn a_closed_pipeline_takes_nothing() {
        let slots = Slots::new(1, 1);
        slots.close();
        assert!(slots.try_take("ep_1").is_none());
    }
}
