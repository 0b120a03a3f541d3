//! One event to one endpoint, and when it is tried again.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::event::matches;

/// A place that events are sent to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Endpoint {
    /// `we_…`; `we_1`, `we_2`, … for those named at the start, so that a new address keeps what is undelivered.
    pub id: String,
    /// Where to.
    pub url: String,
    /// `whsec_…`
    pub secret: String,
    /// Types or groups (`charge.*`); `*` is everything.
    pub enabled_events: Vec<String>,
}

impl Endpoint {
    /// Whether this type of event goes there.
    #[must_use]
    pub fn takes(&self, kind: &str) -> bool {
        self.enabled_events.iter().any(|pattern| matches(pattern, kind))
    }
}

/// How a delivery stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// To be tried, for the first time or again.
    Pending,
    /// Answered with 2xx.
    Succeeded,
    /// Given up.
    Failed,
}

/// What an endpoint answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// It answered with this HTTP status.
    Status(u16),
    /// It did not answer in time.
    TimedOut,
    /// It could not be reached.
    Unreachable,
}

impl Answer {
    /// 2xx, and nothing else, is success.
    #[must_use]
    pub fn is_success(self) -> bool {
        matches!(self, Self::Status(200..=299))
    }

    /// In a word.
    #[must_use]
    pub fn describe(self) -> String {
        match self {
            Self::Status(status) => format!("HTTP {status}"),
            Self::TimedOut => "timed out".into(),
            Self::Unreachable => "unreachable".into(),
        }
    }
}

/// One event to one endpoint.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Delivery {
    /// `dlv_…`
    pub id: String,
    /// `evt_…`
    pub event: String,
    /// The event's type.
    pub kind: String,
    /// `we_…`
    pub endpoint: String,
    /// How it stands.
    pub status: Status,
    /// Attempts made.
    pub attempts: u32,
    /// The last answer, in a word.
    pub last_answer: Option<String>,
    /// Milliseconds since the epoch.
    pub created_ms: i64,
    /// When it is tried next.
    pub next_attempt_ms: Option<i64>,
}

impl Delivery {
    /// A delivery to be made at once.
    #[must_use]
    pub fn new(id: String, event: String, kind: String, endpoint: String, now_ms: i64) -> Self {
        Self {
            id,
            event,
            kind,
            endpoint,
            status: Status::Pending,
            attempts: 0,
            last_answer: None,
            created_ms: now_ms,
            next_attempt_ms: Some(now_ms),
        }
    }

    /// The delivery after one more attempt. Without a schedule that attempt was the only one.
    #[must_use]
    pub fn attempted(mut self, answer: Answer, schedule: Option<&RetrySchedule>, now_ms: i64) -> Self {
        self.attempts += 1;
        self.last_answer = Some(answer.describe());
        let age = now_ms - self.created_ms;
        self.next_attempt_ms = match schedule {
            Some(schedule) if !answer.is_success() => {
                schedule.delay_ms(self.attempts, age).map(|delay| now_ms + delay)
            }
            _ => None,
        };
        self.status = match self.next_attempt_ms {
            Some(_) => Status::Pending,
            None if answer.is_success() => Status::Succeeded,
            None => Status::Failed,
        };
        self
    }

    /// The delivery with nowhere left to go.
    #[must_use]
    pub fn abandoned(mut self) -> Self {
        self.status = Status::Failed;
        self.next_attempt_ms = None;
        self.last_answer = Some("the endpoint was removed".into());
        self
    }
}

/// When a failed delivery is tried again. Stripe's own schedule takes hours, which no test waits for: the first retries
/// are fast, and as at Stripe the last comes after three days.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RetrySchedule {
    delays: Vec<Duration>,
    give_up_after: Duration,
}

impl RetrySchedule {
    /// These delays after the first, second, … failure; the last one is repeated until the event is three days old.
    #[must_use]
    pub fn new(delays: Vec<Duration>) -> Self {
        Self { delays, give_up_after: Duration::from_hours(72) }
    }

    fn delay_ms(&self, attempts: u32, age_ms: i64) -> Option<i64> {
        let step = usize::try_from(attempts.saturating_sub(1)).unwrap_or(usize::MAX);
        let delay = self.delays.get(step).or(self.delays.last())?;
        let delay_ms = i64::try_from(delay.as_millis()).ok()?;
        (i128::from(age_ms) + i128::from(delay_ms) <= i128::try_from(self.give_up_after.as_millis()).ok()?)
            .then_some(delay_ms)
    }
}

impl Default for RetrySchedule {
    fn default() -> Self {
        Self::new([1, 2, 5, 10, 30, 60].map(Duration::from_secs).to_vec())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn delivery() -> Delivery {
        Delivery::new("dlv_1".into(), "evt_1".into(), "a".into(), "we_1".into(), 0)
    }

    #[test]
    fn failures_are_tried_again_on_the_schedule() {
        let schedule = RetrySchedule::default();
        let mut delivery = delivery();
        let mut waits = Vec::new();
        let mut now = 0;
        for _ in 0..8 {
            delivery = delivery.attempted(Answer::Status(500), Some(&schedule), now);
            let next = delivery.next_attempt_ms.unwrap_or(0);
            waits.push((next - now) / 1000);
            now = next;
        }
        assert_eq!(waits, [1, 2, 5, 10, 30, 60, 60, 60]);
        assert_eq!(delivery.status, Status::Pending);
    }

    #[test]
    fn it_is_given_up_after_three_days() {
        let late = 3 * 24 * 3600 * 1000;
        let delivery = delivery().attempted(Answer::TimedOut, Some(&RetrySchedule::default()), late);
        assert_eq!((delivery.status, delivery.next_attempt_ms), (Status::Failed, None));
    }

    #[test]
    fn only_2xx_is_success() {
        for (answer, success) in [
            (Answer::Status(204), true),
            (Answer::Status(302), false),
            (Answer::Status(410), false),
            (Answer::Unreachable, false),
        ] {
            assert_eq!(answer.is_success(), success, "{answer:?}");
        }
        let done = delivery().attempted(Answer::Status(200), Some(&RetrySchedule::default()), 1);
        assert_eq!((done.status, done.attempts), (Status::Succeeded, 1));
    }

    #[test]
    fn an_endpoint_takes_what_it_enabled() {
        let endpoint = Endpoint {
            id: "we_1".into(),
            url: String::new(),
            secret: String::new(),
            enabled_events: vec!["checkout.session.*".into(), "charge.refunded".into()],
        };
        assert!(endpoint.takes("checkout.session.completed") && endpoint.takes("charge.refunded"));
        assert!(!endpoint.takes("charge.succeeded"));
    }
}
