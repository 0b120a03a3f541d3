//! Whether an endpoint is worth trying: a circuit breaker (M. Nygard, "Release It!").
//!
//! Closed, everything is sent. It opens when too many of the attempts of a short while have failed; then nothing is sent
//! until its cool-down is over, and one delivery probes. Its success closes it; its failure opens it again, for twice as
//! long, up to a bound.

use std::{fmt, str::FromStr, time::Duration};

/// When a circuit opens, and for how long.
#[derive(Debug, Clone, PartialEq)]
pub struct CircuitRules {
    /// Attempts that are older than this say nothing any more.
    pub window: Duration,
    /// Fewer attempts than this within the window say nothing yet.
    pub least_attempts: u32,
    /// From this share of failed attempts on it opens; above 0, at most 1.
    pub failing_share: f64,
    /// How long it is open the first time.
    pub cool_down: Duration,
    /// How long it is open at most.
    pub longest_cool_down: Duration,
}

impl Default for CircuitRules {
    fn default() -> Self {
        Self {
            window: Duration::from_mins(1),
            least_attempts: 10,
            failing_share: 0.5,
            cool_down: Duration::from_mins(1),
            longest_cool_down: Duration::from_hours(1),
        }
    }
}

/// How a circuit stands.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum State {
    /// Everything is sent.
    #[default]
    Closed,
    /// Nothing is sent.
    Open,
    /// One delivery probes.
    HalfOpen,
}

/// The states and their names.
pub const STATES: [(State, &str); 3] =
    [(State::Closed, "closed"), (State::Open, "open"), (State::HalfOpen, "half_open")];

impl State {
    /// Its name in the store, in metrics and for operators.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        STATES.iter().find(|(state, _)| *state == self).map_or("closed", |(_, name)| name)
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for State {
    type Err = UnknownState;

    fn from_str(text: &str) -> Result<Self, UnknownState> {
        STATES.iter().find(|(_, name)| *name == text).map(|(state, _)| *state).ok_or(UnknownState)
    }
}

/// The text names no state of a circuit.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("a circuit is closed, open or half_open")]
pub struct UnknownState;

/// One endpoint's circuit.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Circuit {
    /// How it stands.
    pub state: State,
    /// Open: until when nothing is sent. Half open: until when the probe should have told; then another may probe.
    pub until_ms: i64,
    /// How often it has opened since it was closed.
    pub trips: u32,
}

/// What may be sent now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Admission {
    /// Everything.
    All,
    /// One delivery, which probes.
    Probe,
    /// Nothing until then.
    Wait(i64),
}

impl Circuit {
    /// Whether everything is sent.
    #[must_use]
    pub fn is_closed(self) -> bool {
        self.state == State::Closed
    }

    /// What may be sent now.
    #[must_use]
    pub fn admits(self, now_ms: i64) -> Admission {
        match self.state {
            State::Closed => Admission::All,
            _ if self.until_ms > now_ms => Admission::Wait(self.until_ms),
            State::Open | State::HalfOpen => Admission::Probe,
        }
    }

    /// A delivery begins to probe, and should have told by then.
    #[must_use]
    pub fn probed(self, until_ms: i64) -> Self {
        Self { state: State::HalfOpen, until_ms, ..self }
    }

    /// Too many attempts have failed, or the probe has.
    #[must_use]
    pub fn opened(self, now_ms: i64, rules: &CircuitRules) -> Self {
        let doublings = self.trips.min(20);
        let cool_down = rules.cool_down.saturating_mul(1 << doublings).min(rules.longest_cool_down);
        let until_ms = now_ms.saturating_add(i64::try_from(cool_down.as_millis()).unwrap_or(i64::MAX));
        Self { state: State::Open, until_ms, trips: self.trips.saturating_add(1) }
    }

    /// The probe has succeeded, or the endpoint begins afresh.
    #[must_use]
    pub fn closed() -> Self {
        Self::default()
    }
}

/// The attempts of the last while, counted from the first failure on: an endpoint that does not fail has no window.
///
/// Two halves, so that it slides without remembering each attempt: the older half is forgotten as a whole.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Window {
    began_ms: i64,
    now: Counts,
    before: Counts,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Counts {
    failed: u32,
    succeeded: u32,
}

impl Window {
    /// Begins now.
    #[must_use]
    pub fn new(now_ms: i64) -> Self {
        Self { began_ms: now_ms, ..Self::default() }
    }

    /// Counts attempts that ended now.
    #[must_use]
    pub fn with(self, failed: u32, succeeded: u32, now_ms: i64, rules: &CircuitRules) -> Self {
        let mut window = self.slid(now_ms, rules);
        window.now.failed = window.now.failed.saturating_add(failed);
        window.now.succeeded = window.now.succeeded.saturating_add(succeeded);
        window
    }

    /// Whether the circuit is to open.
    #[must_use]
    pub fn trips(self, rules: &CircuitRules) -> bool {
        let failed = self.now.failed.saturating_add(self.before.failed);
        let all = failed.saturating_add(self.now.succeeded).saturating_add(self.before.succeeded);
        all >= rules.least_attempts && f64::from(failed) >= f64::from(all) * rules.failing_share
    }

    /// Whether nothing in it says anything any more.
    #[must_use]
    pub fn is_over(self, now_ms: i64, rules: &CircuitRules) -> bool {
        let slid = self.slid(now_ms, rules);
        (slid.now, slid.before) == (Counts::default(), Counts::default())
    }

    fn slid(self, now_ms: i64, rules: &CircuitRules) -> Self {
        let half = i64::try_from(rules.window.as_millis() / 2).unwrap_or(i64::MAX).max(1);
        match now_ms.saturating_sub(self.began_ms).div_euclid(half) {
            // A clock that was set back by less than a half changes nothing.
            -1 | 0 => self,
            1 => Self { began_ms: self.began_ms + half, now: Counts::default(), before: self.now },
            _ => Self::new(now_ms),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use proptest::prelude::*;

    use super::*;

    const MINUTE: i64 = 60_000;

    #[test]
    fn it_opens_for_twice_as_long_each_time_up_to_its_bound() {
        let rules = CircuitRules::default();
        let mut circuit = Circuit::default();
        for minutes in [1, 2, 4, 8, 16, 32, 60, 60] {
            circuit = circuit.probed(7).opened(0, &rules);
            assert_eq!((circuit.state, circuit.until_ms), (State::Open, minutes * MINUTE));
        }
        let (again, closed) = (Circuit::closed().opened(0, &rules), Circuit::closed());
        assert_eq!((again.until_ms, closed.admits(0)), (MINUTE, Admission::All));
    }

    #[test]
    fn nothing_is_sent_while_it_is_open_and_then_one_probes() {
        let open = Circuit::default().opened(0, &CircuitRules::default());
        assert_eq!(open.admits(MINUTE - 1), Admission::Wait(MINUTE));
        assert_eq!(open.admits(MINUTE), Admission::Probe);
        let half_open = open.probed(2 * MINUTE);
        assert_eq!(half_open.admits(MINUTE), Admission::Wait(2 * MINUTE));
        assert_eq!(half_open.admits(2 * MINUTE), Admission::Probe, "whoever probed has died");
    }

    #[test]
    fn a_few_failures_say_nothing_and_a_failing_half_opens_it() {
        let rules = CircuitRules::default();
        let window = |failed, succeeded| Window::new(0).with(failed, succeeded, 1, &rules);
        for (failed, succeeded, trips) in
            [(9, 0, false), (10, 0, true), (5, 5, true), (5, 6, false), (400, 600, false), (600, 400, true)]
        {
            assert_eq!(window(failed, succeeded).trips(&rules), trips, "{failed} of {succeeded} more");
        }
    }

    #[test]
    fn what_was_long_ago_says_nothing() {
        let rules = CircuitRules::default();
        let window = Window::new(0).with(9, 0, 0, &rules);
        assert!(window.with(1, 0, 59_999, &rules).trips(&rules));
        assert!(!window.with(1, 0, MINUTE, &rules).trips(&rules));
        assert!(!window.is_over(59_999, &rules) && window.is_over(MINUTE, &rules));
        assert!(window.with(1, 0, -20_000, &rules).trips(&rules), "the clock was set back a little");
        assert!(!window.with(1, 0, -90_000, &rules).trips(&rules), "and by more than is known of");
    }

    #[test]
    fn a_state_survives_its_name() {
        for (state, name) in STATES {
            assert_eq!((name.parse(), state.to_string().as_str()), (Ok(state), name));
        }
        assert_eq!("ajar".parse::<State>(), Err(UnknownState));
    }

    proptest! {
        #[test]
        fn no_cool_down_is_longer_than_its_bound_or_shorter_than_the_first(trips in any::<u32>()) {
            let rules = CircuitRules::default();
            let until_ms = Circuit { trips, ..Circuit::default() }.opened(0, &rules).until_ms;
            prop_assert!((MINUTE..=60 * MINUTE).contains(&until_ms));
        }

        #[test]
        fn an_endpoint_that_does_not_fail_is_never_cut_off(ends in proptest::collection::vec(0_i64..200_000, 0..50)) {
            let rules = CircuitRules::default();
            let window = ends.into_iter().fold(Window::new(0), |window, at| window.with(0, 3, at, &rules));
            prop_assert!(!window.trips(&rules));
        }
    }
}
