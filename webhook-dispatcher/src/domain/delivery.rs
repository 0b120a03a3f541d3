//! The life of a delivery: pending until it is delivered, dead, or held for a disabled endpoint.

use std::{fmt, str::FromStr, time::Duration};

use super::{
    answer::{Answer, Verdict},
    schedule::Schedule,
};

/// Where a delivery stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum State {
    /// An attempt is due, now or later.
    Pending,
    /// The shop has taken it.
    Delivered,
    /// Given up; an operator may replay it.
    Dead,
    /// Its endpoint is disabled; goes on when that is enabled.
    Held,
}

const NAMES: [(State, &str); 4] = [
    (State::Pending, "pending"),
    (State::Delivered, "delivered"),
    (State::Dead, "dead"),
    (State::Held, "held"),
];

impl State {
    /// Its name in the store and for operators.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        NAMES.iter().find(|(state, _)| *state == self).map_or("dead", |(_, name)| name)
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
        NAMES.iter().find(|(_, name)| *name == text).map(|(state, _)| *state).ok_or(UnknownState)
    }
}

/// The text names no state.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("the state of a delivery is one of pending, delivered, dead, held")]
pub struct UnknownState;

/// Why a delivery that was held too long was given up.
pub const AGED_OUT: &str = "held longer than deliveries are kept";

/// What the holder of the lease does with the delivery after an attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Next {
    /// Done.
    Deliver,
    /// Again, this long from now. `throttle`: the endpoint's other deliveries wait at least that long too.
    Retry {
        /// Until the next attempt.
        wait: Duration,
        /// How long the endpoint is left alone.
        throttle: Option<Duration>,
    },
    /// No more.
    Die {
        /// For an operator to read.
        reason: String,
    },
    /// The endpoint wants nothing any more: it is disabled, and this is held with its others.
    Disable,
}

impl Next {
    /// What follows from any failure at a URL that the endpoint has left: it says nothing about the new one, which is
    /// tried at once.
    pub const AT_NEW_URL: Self = Self::Retry { wait: Duration::ZERO, throttle: None };
}

/// What follows from an answer. `failures` counts this attempt if it failed; `chance` is in `0.0..1.0`.
#[must_use]
pub fn after(answer: &Answer, failures: u32, schedule: &Schedule, chance: f64) -> Next {
    let (retry_after, throttle) = match answer.verdict() {
        Verdict::Delivered => return Next::Deliver,
        Verdict::Gone => return Next::Disable,
        Verdict::Failed(retry_after) => (retry_after, None),
        Verdict::Throttled(retry_after) => (retry_after, schedule.throttle(retry_after)),
    };
    match schedule.wait_after(failures, chance, retry_after) {
        Some(wait) => Next::Retry { wait, throttle },
        None => Next::Die { reason: reason(answer, failures) },
    }
}

fn reason(answer: &Answer, failures: u32) -> String {
    match answer.status {
        Some(status) => format!("{failures} attempts failed; the last answer was {status}"),
        None => format!("{failures} attempts failed; the last one: {}", answer.outcome),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use proptest::prelude::*;

    use super::{super::answer::Outcome, *};

    fn after_status(status: u16, failures: u32) -> Next {
        after(&Answer::status(status, None), failures, &Schedule::default(), 0.5)
    }

    #[test]
    fn five_failures_are_retried_and_the_sixth_is_death_with_its_reason() {
        for failures in 1..=5 {
            assert!(matches!(after_status(500, failures), Next::Retry { throttle: None, .. }));
        }
        let reason = "6 attempts failed; the last answer was 500".to_owned();
        assert_eq!(after_status(500, 6), Next::Die { reason });
        let silence = after(&Answer::none(Outcome::Timeout), 6, &Schedule::default(), 0.5);
        assert_eq!(silence, Next::Die { reason: "6 attempts failed; the last one: timeout".to_owned() });
    }

    #[test]
    fn an_endpoint_that_is_gone_is_disabled_at_once() {
        assert_eq!(after_status(410, 1), Next::Disable);
    }

    #[test]
    fn a_busy_endpoint_is_left_alone_as_long_as_it_asked() {
        let asked = Some(Duration::from_mins(10));
        let next = after(&Answer::status(429, asked), 1, &Schedule::default(), 0.5);
        assert_eq!(next, Next::Retry { wait: Duration::from_mins(10), throttle: asked });
    }

    proptest! {
        #[test]
        fn success_delivers_whatever_came_before(status in 200_u16..300, failures in any::<u32>()) {
            prop_assert_eq!(after_status(status, failures), Next::Deliver);
        }
    }

    #[test]
    fn a_state_survives_its_name() {
        for (state, name) in NAMES {
            assert_eq!(name.parse(), Ok(state));
        }
        assert_eq!("sleeping".parse::<State>(), Err(UnknownState));
    }
}
