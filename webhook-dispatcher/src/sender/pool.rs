//! Connections that wait for their next request.

use std::{
    collections::{BTreeMap, HashMap, VecDeque},
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
    time::Duration,
};

use tokio::time::{Instant, interval};

use super::line::Line;
use crate::domain::target::Origin;

/// A shop hears from us in bursts; a connection that waited longer than this is likely closed on its side.
const KEEP: Duration = Duration::from_secs(30);

/// What is kept of connections that nobody uses: the youngest of each origin, and of all together. The one that has
/// waited longest makes room for the next, so that their number is bounded however many shops there are.
pub(super) struct Pool<L = Line> {
    per_origin: usize,
    most: usize,
    idle: Mutex<Idle<L>>,
}

struct Idle<L> {
    by_origin: HashMap<Arc<Origin>, VecDeque<Kept<L>>>,
    /// Of whom each one is, in the order in which they came.
    order: BTreeMap<u64, Arc<Origin>>,
    next: u64,
}

struct Kept<L> {
    number: u64,
    since: Instant,
    line: L,
}

/// What the pool needs to know of a connection.
pub(super) trait Keep: Sized + Send + 'static {
    /// Another handle on it, where more than one may use it.
    fn share(&self) -> Option<Self>;
    /// Whether it is of no more use.
    fn is_closed(&self) -> bool;
}

impl<L: Keep> Pool<L> {
    /// Keeps at most so many for each origin, and at most so many in all; none for longer than it is likely open.
    pub(super) fn start(per_origin: usize, most: usize) -> Arc<Self> {
        let idle = Idle { by_origin: HashMap::new(), order: BTreeMap::new(), next: 0 };
        let pool = Arc::new(Self { per_origin, most, idle: Mutex::new(idle) });
        tokio::spawn(keep_tidy(Arc::downgrade(&pool)));
        pool
    }

    /// The connection to this origin that was used last.
    pub(super) fn take(&self, origin: &Arc<Origin>) -> Option<L> {
        let mut idle = self.idle();
        loop {
            let line = idle.pop_youngest(origin)?;
            if line.is_closed() {
                continue;
            }
            if let Some(shared) = line.share() {
                idle.push(origin, line);
                return Some(shared);
            }
            return Some(line);
        }
    }

    /// Keeps a connection for the next request to this origin.
    pub(super) fn put(&self, origin: &Arc<Origin>, line: L) {
        let mut idle = self.idle();
        // One that is shared never left.
        if line.is_closed() || (line.share().is_some() && idle.has(origin)) {
            return;
        }
        if idle.count(origin) >= self.per_origin {
            idle.pop_oldest(origin);
        }
        idle.push(origin, line);
        if idle.order.len() > self.most {
            idle.evict_oldest();
        }
    }

    fn forget_old(&self) {
        let mut idle = self.idle();
        idle.forget(|kept| kept.line.is_closed() || kept.since.elapsed() >= KEEP);
    }

    fn idle(&self) -> MutexGuard<'_, Idle<L>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Ends with the pool.
async fn keep_tidy<L: Keep>(pool: Weak<Pool<L>>) {
    let mut often = interval(KEEP / 6);
    while let Some(pool) = pool.upgrade() {
        pool.forget_old();
        drop(pool);
        often.tick().await;
    }
}

impl<L: Keep> Idle<L> {
    fn push(&mut self, origin: &Arc<Origin>, line: L) {
        let kept = Kept { number: self.next, since: Instant::now(), line };
        self.next += 1;
        self.order.insert(kept.number, Arc::clone(origin));
        self.by_origin.entry(Arc::clone(origin)).or_default().push_back(kept);
    }

    fn pop_youngest(&mut self, origin: &Arc<Origin>) -> Option<L> {
        let kept = self.by_origin.get_mut(origin)?.pop_back()?;
        self.order.remove(&kept.number);
        Some(kept.line)
    }

    fn pop_oldest(&mut self, origin: &Arc<Origin>) {
        let kept = self.by_origin.get_mut(origin).and_then(VecDeque::pop_front);
        kept.and_then(|kept| self.order.remove(&kept.number));
    }

    fn evict_oldest(&mut self) {
        let Some((_, origin)) = self.order.pop_first() else { return };
        let kept = self.by_origin.get_mut(&origin);
        if kept.is_some_and(|kept| drop_first(kept)) {
            self.by_origin.remove(&origin);
        }
    }

    /// An origin without connections stays until the next of these, so that a busy one costs no allocation.
    fn forget(&mut self, is_over: impl Fn(&Kept<L>) -> bool) {
        let order = &mut self.order;
        self.by_origin.retain(|_, kept| {
            kept.retain(|one| {
                let stays = !is_over(one);
                if !stays {
                    order.remove(&one.number);
                }
                stays
            });
            !kept.is_empty()
        });
    }

    fn count(&self, origin: &Arc<Origin>) -> usize {
        self.by_origin.get(origin).map_or(0, VecDeque::len)
    }

    fn has(&self, origin: &Arc<Origin>) -> bool {
        self.by_origin.get(origin).is_some_and(|kept| kept.iter().any(|one| !one.line.is_closed()))
    }
}

/// Whether none is left.
fn drop_first<L>(kept: &mut VecDeque<Kept<L>>) -> bool {
    kept.pop_front();
    kept.is_empty()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::sync::atomic::{AtomicBool, Ordering};

    use tokio::time::advance;

    use super::*;
    use crate::domain::target::BaseUrl;

    /// Closed when its own flag says so.
    #[derive(Clone, Default)]
    struct Fake {
        name: usize,
        is_shared: bool,
        closed: Arc<AtomicBool>,
    }

    impl Keep for Fake {
        fn share(&self) -> Option<Self> {
            self.is_shared.then(|| self.clone())
        }

        fn is_closed(&self) -> bool {
            self.closed.load(Ordering::Relaxed)
        }
    }

    fn fake(name: usize) -> Fake {
        Fake { name, ..Fake::default() }
    }

    fn origin(shop: usize) -> Arc<Origin> {
        BaseUrl::parse(&format!("https://shop-{shop}.example")).unwrap().of_event("e").unwrap().origin
    }

    fn names(pool: &Pool<Fake>, origin: &Arc<Origin>) -> Vec<usize> {
        std::iter::from_fn(|| pool.take(origin)).map(|line| line.name).collect()
    }

    #[tokio::test]
    async fn the_youngest_is_used_first_and_no_origin_keeps_more_than_its_share() {
        let (pool, shop) = (Pool::start(2, 10), origin(1));
        for name in 1..=3 {
            pool.put(&shop, fake(name));
        }
        assert!(pool.take(&origin(2)).is_none(), "of another origin");
        assert_eq!(names(&pool, &shop), [3, 2]);
    }

    #[tokio::test]
    async fn however_many_shops_there_are_the_sockets_are_bounded() {
        let pool = Pool::start(4, 100);
        for shop in 0..10_000 {
            pool.put(&origin(shop), fake(shop));
        }
        {
            let idle = pool.idle();
            assert_eq!((idle.order.len(), idle.by_origin.len()), (100, 100));
        }
        assert_eq!(names(&pool, &origin(9_899)), [0_usize; 0], "it had waited longest");
        assert_eq!(names(&pool, &origin(9_900)), [9_900]);
    }

    #[tokio::test]
    async fn one_that_the_other_side_has_closed_is_not_used() {
        let (pool, shop) = (Pool::start(4, 10), origin(1));
        let lines = [fake(1), fake(2)];
        for line in &lines {
            pool.put(&shop, line.clone());
        }
        lines[1].closed.store(true, Ordering::Relaxed);
        assert_eq!(names(&pool, &shop), [1]);
        pool.put(&shop, lines[1].clone());
        assert_eq!(names(&pool, &shop), [0_usize; 0]);
    }

    #[tokio::test]
    async fn one_that_is_shared_stays_for_others_and_is_kept_once() {
        let (pool, shop) = (Pool::start(4, 10), origin(1));
        let shared = Fake { is_shared: true, ..fake(1) };
        pool.put(&shop, shared.clone());
        let taken = [pool.take(&shop).unwrap(), pool.take(&shop).unwrap()];
        for line in taken {
            pool.put(&shop, line);
        }
        assert_eq!(pool.idle().order.len(), 1);
        shared.closed.store(true, Ordering::Relaxed);
        pool.put(&shop, Fake { is_shared: true, ..fake(2) });
        assert_eq!(pool.take(&shop).unwrap().name, 2);
    }

    #[tokio::test(start_paused = true)]
    async fn what_has_waited_for_long_is_closed_without_being_asked_for() {
        let (pool, shop) = (Pool::start(4, 10), origin(1));
        pool.put(&shop, fake(1));
        advance(KEEP / 2).await;
        pool.put(&shop, fake(2));
        advance(KEEP / 2).await;
        tokio::time::sleep(KEEP / 6).await;
        assert_eq!(pool.idle().order.len(), 1);
        assert_eq!(names(&pool, &shop), [2]);
        tokio::time::sleep(KEEP / 6).await;
        assert!(pool.idle().by_origin.is_empty());
    }
}
