use std::{
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use tokio::{
    sync::Semaphore,
    time::{Instant, timeout},
};

use crate::domain::{answer::Outcome, rate::Bucket};

/// Attempts at once to an endpoint that we know nothing of.
const FIRST_WINDOW: usize = 4;
/// So long a first attempt waits for its endpoint's window. Then it is kept in the store, so that what is told to others
/// does not queue behind it.
const PATIENCE: Duration = Duration::from_secs(1);
/// So long an endpoint that let somebody's patience run out counts as slow: what finds its window full is stored at once.
const SLOW_FOR: Duration = Duration::from_secs(5);

/// What we know of an endpoint, and so whom it shares places with: who answers never waits behind who may not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Trust {
    /// It has not been called for long.
    Stranger,
    /// It answered the last time, and soon.
    Proven,
    /// It was silent the last time, or lets somebody wait now.
    Suspect,
}

/// One endpoint's window: how many attempts to it may be open at once. It grows with each success and halves with each
/// failure, so that a quick receiver gets all it can take and one that hangs holds next to nothing.
pub(super) struct Gate {
    open: Semaphore,
    window: Mutex<Window>,
    /// Jobs that came from the store and are in the pipeline.
    pub(super) claimed: AtomicUsize,
    /// Attempts that have waited for their answer for long.
    hanging: AtomicUsize,
    bucket: Mutex<Option<Bucket>>,
}

struct Window {
    size: usize,
    most: usize,
    /// Open attempts beyond the size, after it has shrunk: as many ends open the gate for nobody.
    surplus: usize,
    slow_until: Option<Instant>,
    trust: Trust,
}

impl Gate {
    pub(super) fn new(most: usize) -> Self {
        let size = FIRST_WINDOW.min(most);
        let window = Window { size, most, surplus: 0, slow_until: None, trust: Trust::Stranger };
        Self {
            open: Semaphore::new(size),
            window: Mutex::new(window),
            claimed: AtomicUsize::new(0),
            hanging: AtomicUsize::new(0),
            bucket: Mutex::default(),
        }
    }

    /// Whether the rate, if there is one, permits an attempt now; otherwise when to come again.
    pub(super) fn permits(&self, rate: Option<u32>, is_first: bool, now_ms: i64) -> Result<(), i64> {
        let mut bucket = self.bucket.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(rate) = rate else {
            *bucket = None;
            return Ok(());
        };
        let mut filled = bucket.map_or_else(|| Bucket::new(rate, now_ms), |bucket| bucket.at_rate(rate));
        let permitted = filled.take(is_first, now_ms);
        *bucket = Some(filled);
        permitted
    }

    /// How many jobs from the store are worth having here: a waiting one behind each open one keeps it busy while the
    /// next are claimed. An endpoint that hangs gets no more than one that we know nothing of.
    pub(super) fn room_for_claimed(&self) -> usize {
        let room = 2 * self.window().size;
        if self.hangs() { room.min(FIRST_WINDOW) } else { room }
    }

    /// Whether a first attempt may queue here.
    pub(super) fn is_worth_waiting(&self) -> bool {
        if self.hangs() {
            return false;
        }
        let now = Instant::now();
        self.open.available_permits() > 0 || self.window().slow_until.is_none_or(|until| until < now)
    }

    /// Whom it shares places with now.
    pub(super) fn trust(&self) -> Trust {
        if self.hanging.load(Ordering::Acquire) > 0 { Trust::Suspect } else { self.window().trust }
    }

    /// Waits until the window has room.
    pub(super) async fn pass(self: &Arc<Self>) -> Option<Pass> {
        self.open.acquire().await.ok()?.forget();
        Some(Pass { gate: Arc::clone(self), hangs: false })
    }

    /// The same for a first attempt, whose patience ends.
    pub(super) async fn pass_soon(self: &Arc<Self>) -> Option<Pass> {
        if let Ok(passed) = timeout(PATIENCE, self.pass()).await {
            return passed;
        }
        self.window().slow_until = Some(Instant::now() + SLOW_FOR);
        None
    }

    /// However wide its window was: who hangs now must not hold what others need.
    fn hangs(&self) -> bool {
        self.hanging.load(Ordering::Acquire) >= FIRST_WINDOW
    }

    fn grow(&self) {
        let mut window = self.window();
        if window.size == window.most {
            return;
        }
        window.size += 1;
        self.admit(&mut window);
    }

    fn shrink(&self) {
        let mut window = self.window();
        let size = (window.size / 2).max(1);
        let less = window.size - size;
        window.size = size;
        window.surplus += less - self.open.forget_permits(less);
    }

    /// One more may pass, if the window is not overdrawn.
    fn admit(&self, window: &mut Window) {
        if window.surplus > 0 {
            window.surplus -= 1;
        } else {
            self.open.add_permits(1);
        }
    }

    fn window(&self) -> MutexGuard<'_, Window> {
        self.window.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A place in an endpoint's window; free again when dropped.
pub(super) struct Pass {
    gate: Arc<Gate>,
    hangs: bool,
}

impl Pass {
    /// Its attempt has waited for long.
    pub(super) fn hangs(&mut self) {
        self.hangs = true;
        self.gate.hanging.fetch_add(1, Ordering::AcqRel);
    }

    /// Tells the window how the attempt ended.
    pub(super) fn ended(&self, outcome: Outcome) {
        if outcome == Outcome::Success {
            self.gate.grow();
        } else {
            self.gate.shrink();
        }
        self.gate.window().trust = match outcome.is_silence() {
            true => Trust::Suspect,
            // One late answer is no reason to wait for the next.
            false if self.hangs => Trust::Stranger,
            false => Trust::Proven,
        };
    }
}

impl Drop for Pass {
    fn drop(&mut self) {
        if self.hangs {
            self.gate.hanging.fetch_sub(1, Ordering::AcqRel);
        }
        self.gate.admit(&mut self.gate.window());
    }
}

/// Counts a job from the store; less one when dropped.
pub(super) struct Claimed(pub(super) Arc<Gate>);

impl Drop for Claimed {
    fn drop(&mut self) {
        self.0.claimed.fetch_sub(1, Ordering::AcqRel);
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use futures::FutureExt as _;

    use super::*;

    fn passes(gate: &Arc<Gate>) -> Vec<Pass> {
        let mut passes = Vec::new();
        while let Some(pass) = gate.pass().now_or_never() {
            passes.push(pass.unwrap());
        }
        passes
    }

    #[tokio::test]
    async fn a_window_grows_with_each_success_up_to_its_bound() {
        let gate = Arc::new(Gate::new(6));
        for most in [4, 5, 6, 6] {
            let open = passes(&gate);
            assert_eq!(open.len(), most);
            open[0].ended(Outcome::Success);
        }
    }

    #[tokio::test]
    async fn a_window_halves_with_each_failure_and_one_may_always_pass() {
        let gate = Arc::new(Gate::new(64));
        for most in [4, 2, 1, 1] {
            let open = passes(&gate);
            assert_eq!(open.len(), most);
            open[0].ended(Outcome::ServerError);
        }
    }

    #[tokio::test]
    async fn a_window_that_shrank_lets_nobody_pass_until_enough_have_ended() {
        let gate = Arc::new(Gate::new(64));
        let mut open = passes(&gate);
        open[0].ended(Outcome::ServerError);
        for _ in 0..2 {
            open.pop();
            assert!(gate.pass().now_or_never().is_none());
        }
        open.pop();
        assert!(gate.pass().now_or_never().is_some());
    }

    #[test]
    fn an_endpoint_that_hangs_gets_no_more_however_wide_its_window_was() {
        let gate = Arc::new(Gate::new(64));
        for _ in 0..16 {
            passes(&gate)[0].ended(Outcome::Success);
        }
        assert_eq!(gate.room_for_claimed(), 40);
        let mut open = passes(&gate);
        open.truncate(10);
        open[..4].iter_mut().for_each(Pass::hangs);
        assert!(!gate.is_worth_waiting());
        assert_eq!(gate.room_for_claimed(), 4);
        drop(open);
        assert!(gate.is_worth_waiting());
    }

    #[test]
    fn trust_is_won_by_an_answer_and_lost_by_silence() {
        let gate = Arc::new(Gate::new(64));
        assert_eq!(gate.trust(), Trust::Stranger);
        let mut open = passes(&gate);
        for (outcome, trust) in [
            (Outcome::Success, Trust::Proven),
            (Outcome::Timeout, Trust::Suspect),
            (Outcome::ServerError, Trust::Proven),
            (Outcome::Reset, Trust::Suspect),
        ] {
            open[0].ended(outcome);
            assert_eq!(gate.trust(), trust, "{outcome}");
        }
        open[1].ended(Outcome::Success);
        open[0].hangs();
        assert_eq!(gate.trust(), Trust::Suspect, "somebody waits");
        open[0].ended(Outcome::Success);
        open.clear();
        assert_eq!(gate.trust(), Trust::Stranger, "it took long");
    }

    #[tokio::test(start_paused = true)]
    async fn a_first_attempt_does_not_wait_long_and_the_next_does_not_wait_at_all() {
        let gate = Arc::new(Gate::new(64));
        let open = passes(&gate);
        assert!(gate.is_worth_waiting());
        assert!(gate.pass_soon().await.is_none());
        assert!(!gate.is_worth_waiting());
        drop(open);
        assert!(gate.is_worth_waiting() && gate.pass_soon().await.is_some());
    }
}
