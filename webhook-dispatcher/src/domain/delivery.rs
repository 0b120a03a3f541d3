//! The life of a delivery: pending until it is delivered, dead, superseded, or held for a disabled endpoint.

use std::{fmt, str::FromStr, time::Duration};

use super::{
    answer::{Answer, Verdict},
    kind::Kind,
    reason::Reason,
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
    /// A callback whose place a later one to the same app and shop took, or a verification that nobody waits for any more.
    Superseded,
}

const NAMES: [(State, &str); 5] = [
    (State::Pending, "pending"),
    (State::Delivered, "delivered"),
    (State::Dead, "dead"),
    (State::Held, "held"),
    (State::Superseded, "superseded"),
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
#[error("the state of a delivery is one of pending, delivered, dead, held, superseded")]
pub struct UnknownState;

/// Why a delivery that was held too long was given up.
pub const AGED_OUT: &str = "held longer than deliveries are kept";
/// Why a delivery that was held was given up when its endpoint was enabled.
pub const DROPPED: &str = "dropped by the operator, who enabled the endpoint without its backlog";

/// What the holder of the lease does with the delivery after an attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Next {
    /// Done.
    Deliver,
    /// Again, this long from now. `throttle`: the endpoint's other deliveries wait too.
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
    /// No more, wherever the endpoint is now and whether or not it is disabled: the answer has decided.
    Refuse {
        /// For an operator to read.
        reason: String,
    },
    /// A later callback to the same app and shop takes its place.
    Supersede,
    /// The endpoint wants nothing any more: it is disabled, and this is held with its others.
    Disable,
}

impl Next {
    /// What follows from any failure at a URL that the endpoint has left: it says nothing about the new one, which is
    /// tried at once.
    pub const AT_NEW_URL: Self = Self::Retry { wait: Duration::ZERO, throttle: None };

    /// The same where the endpoint has moved since the attempt began.
    #[must_use]
    pub fn at_moved(self) -> Self {
        match self {
            Self::Refuse { .. } => self,
            _ => Self::AT_NEW_URL,
        }
    }

    /// The same where a later callback waits for this one to end: nothing is tried again.
    #[must_use]
    pub fn overtaken(self) -> Self {
        match self {
            Self::Deliver | Self::Refuse { .. } => self,
            _ => Self::Supersede,
        }
    }
}

/// What has been tried.
#[derive(Debug, Clone, Copy)]
pub struct Tried {
    /// Failed attempts, with this one if it failed.
    pub failures: u32,
    /// Until the time is over in which it may be tried; `None`: only the schedule ends it.
    pub left: Option<Duration>,
}

/// What follows from an answer; `chance` is in `0.0..1.0`.
#[must_use]
pub fn after(kind: Kind, answer: &Answer, tried: Tried, schedule: &Schedule, chance: f64) -> Next {
    let Tried { failures, left } = tried;
    let (retry_after, throttles) = match kind.verdict(answer) {
        Verdict::Delivered => return Next::Deliver,
        Verdict::Gone => return Next::Disable,
        Verdict::Refused => return Next::Refuse { reason: refusal(answer) },
        Verdict::Failed(retry_after) => (retry_after, false),
        Verdict::Throttled(retry_after) => (retry_after, true),
    };
    match schedule.wait_after(failures, chance, retry_after) {
        Some(wait) if left.is_none_or(|left| wait < left) => {
            Next::Retry { wait, throttle: throttles.then(|| schedule.throttle(wait, retry_after)) }
        }
        _ => Next::Die { reason: reason(answer, failures) },
    }
}

fn refusal(answer: &Answer) -> String {
    Reason::NotInstalled { status: answer.status.unwrap_or_default() }.to_string()
}

fn reason(answer: &Answer, failures: u32) -> String {
    let reason = match answer.status {
        Some(status) => Reason::Answered { failures, status },
        None => Reason::Silent { failures, outcome: answer.outcome },
    };
    reason.to_string()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use proptest::prelude::*;

    use wire::open2b::Operation;

    use super::{super::answer::Outcome, *};

    fn after_answer(answer: &Answer, failures: u32) -> Next {
        after(Kind::Webhook, answer, Tried { failures, left: None }, &Schedule::default(), 0.5)
    }

    fn after_status(status: u16, failures: u32) -> Next {
        after_answer(&Answer::status(status, None), failures)
    }

    fn after_install(answer: &Answer, failures: u32, left: Duration) -> Next {
        let tried = Tried { failures, left: Some(left) };
        after(Kind::Callback(Operation::Install), answer, tried, &Schedule::install(), 0.5)
    }

    #[test]
    fn five_failures_are_retried_and_the_sixth_is_death_with_its_reason() {
        for failures in 1..=5 {
            assert!(matches!(after_status(500, failures), Next::Retry { throttle: None, .. }));
        }
        let reason = "6 attempts failed; the last answer was 500".to_owned();
        assert_eq!(after_status(500, 6), Next::Die { reason });
        let silence = after_answer(&Answer::none(Outcome::Timeout), 6);
        assert_eq!(silence, Next::Die { reason: "6 attempts failed; the last one: timeout".to_owned() });
    }

    #[test]
    fn an_endpoint_that_is_gone_is_disabled_at_once() {
        assert_eq!(after_status(410, 1), Next::Disable);
    }

    #[test]
    fn any_answer_but_200_decides_an_install_at_once() {
        let long = Duration::from_mins(15);
        assert_eq!(after_install(&Answer::status(200, None), 1, long), Next::Deliver);
        for status in [201, 204, 301, 400, 404, 410, 429, 500, 503] {
            let reason = format!("the app answered {status}; only 200 installs");
            let next = after_install(&Answer::status(status, Some(Duration::from_secs(1))), 1, long);
            assert_eq!(next, Next::Refuse { reason });
        }
    }

    #[test]
    fn an_install_without_an_answer_is_tried_until_its_time_is_over() {
        let silence = Answer::none(Outcome::Refused);
        let wait = |failures| after_install(&silence, failures, Duration::from_mins(15));
        for (failures, seconds) in [(1, 5), (2, 10), (3, 20), (4, 40), (5, 60), (6, 60), (99, 60)] {
            let wait_for = Next::Retry { wait: Duration::from_secs(seconds), throttle: None };
            assert_eq!(wait(failures), wait_for, "{failures}");
        }
        for left in [0, 59, 60] {
            assert!(
                matches!(after_install(&silence, 9, Duration::from_secs(left)), Next::Die { .. }),
                "{left}"
            );
        }
        assert!(matches!(after_install(&silence, 9, Duration::from_secs(61)), Next::Retry { .. }));
    }

    #[test]
    fn updates_and_removals_are_tried_by_the_schedule_and_throttle_nobody() {
        for operation in [Operation::Update, Operation::Remove] {
            let after = |status, failures, asked| {
                let tried = Tried { failures, left: None };
                let answer = Answer::status(status, asked);
                after(Kind::Callback(operation), &answer, tried, &Schedule::default(), 0.5)
            };
            for status in [204, 301, 404, 410, 429, 503] {
                let minute = Next::Retry { wait: Duration::from_mins(1), throttle: None };
                assert_eq!(after(status, 1, None), minute, "{operation} {status}");
                assert!(matches!(after(status, 6, None), Next::Die { .. }), "{operation} {status}");
            }
            let asked = Some(Duration::from_secs(100));
            let long = Next::Retry { wait: Duration::from_secs(100), throttle: None };
            assert_eq!(after(503, 1, asked), long);
            assert_eq!(after(200, 6, None), Next::Deliver);
        }
    }

    #[test]
    fn a_move_or_a_later_callback_leaves_what_was_answered_as_it_is() {
        let reason = String::new;
        let all = [Next::Deliver, Next::AT_NEW_URL, Next::Die { reason: reason() }, Next::Disable];
        for next in all {
            assert_eq!(next.clone().at_moved(), Next::AT_NEW_URL);
            let overtaken = if next == Next::Deliver { Next::Deliver } else { Next::Supersede };
            assert_eq!(next.overtaken(), overtaken);
        }
        let refused = Next::Refuse { reason: reason() };
        assert_eq!((refused.clone().at_moved(), refused.clone().overtaken()), (refused.clone(), refused));
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
