//! What an attempt came to, and what that means for the delivery.

use std::{fmt, str::FromStr, time::Duration};

/// The class of an attempt's end. Of a stranger's answer only this, its status and its size are kept
/// (contracts.md section 2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// 2xx.
    Success,
    /// 2xx where only 200 is success: an answer to a callback.
    NotOk,
    /// 4xx.
    ClientError,
    /// 5xx, and whatever is no status of HTTP.
    ServerError,
    /// 3xx, which is never followed.
    Redirect,
    /// No answer in time.
    Timeout,
    /// The connection was refused, or there was no way to the address.
    Refused,
    /// The address may not be called.
    ForbiddenAddress,
    /// The head of the answer was larger than is read.
    TooLarge,
    /// TLS could not be agreed on.
    Tls,
    /// The name did not resolve.
    Dns,
    /// The connection broke before the answer was there.
    Reset,
    /// It could not be signed: the endpoint has no live secret.
    Unsigned,
    /// The replica that made the attempt never told what came of it.
    Lost,
}

const NAMES: [(Outcome, &str); 14] = [
    (Outcome::Success, "success"),
    (Outcome::NotOk, "not_ok"),
    (Outcome::ClientError, "client_error"),
    (Outcome::ServerError, "server_error"),
    (Outcome::Redirect, "redirect"),
    (Outcome::Timeout, "timeout"),
    (Outcome::Refused, "refused"),
    (Outcome::ForbiddenAddress, "forbidden_address"),
    (Outcome::TooLarge, "too_large"),
    (Outcome::Tls, "tls"),
    (Outcome::Dns, "dns"),
    (Outcome::Reset, "reset"),
    (Outcome::Unsigned, "unsigned"),
    (Outcome::Lost, "lost"),
];

impl Outcome {
    /// All of them, each at the place that it has as a number.
    pub const ALL: [Self; NAMES.len()] = {
        let mut all = [Self::Success; NAMES.len()];
        let mut at = 0;
        while at < NAMES.len() {
            all[at] = NAMES[at].0;
            at += 1;
        }
        all
    };

    /// The class of a status.
    #[must_use]
    pub fn of_status(status: u16) -> Self {
        match status {
            200..=299 => Self::Success,
            300..=399 => Self::Redirect,
            400..=499 => Self::ClientError,
            _ => Self::ServerError,
        }
    }

    /// Whether the request was sent, or may have been, and no answer came.
    #[must_use]
    pub fn is_silence(self) -> bool {
        use Outcome::{Dns, Lost, Refused, Reset, Timeout, Tls, TooLarge};
        matches!(self, Timeout | Refused | TooLarge | Tls | Dns | Reset | Lost)
    }

    /// Every class but success.
    pub fn failures() -> impl Iterator<Item = Self> {
        NAMES.into_iter().map(|(outcome, _)| outcome).filter(|outcome| *outcome != Self::Success)
    }

    /// Its name in the store, in metrics and for operators.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        NAMES.iter().find(|(outcome, _)| *outcome == self).map_or("reset", |(_, name)| name)
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Outcome {
    type Err = UnknownOutcome;

    fn from_str(text: &str) -> Result<Self, UnknownOutcome> {
        NAMES.iter().find(|(_, name)| *name == text).map(|(outcome, _)| *outcome).ok_or(UnknownOutcome)
    }
}

/// The text names no outcome.
#[derive(Debug, thiserror::Error)]
#[error("this is no outcome of an attempt")]
pub struct UnknownOutcome;

/// How an attempt ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// Its class.
    pub outcome: Outcome,
    /// The status, where there was an answer.
    pub status: Option<u16>,
    /// Bytes of the body that were read.
    pub size: Option<u64>,
    /// How long the receiver asked us to wait.
    pub retry_after: Option<Duration>,
}

impl Answer {
    /// An attempt that got no answer.
    #[must_use]
    pub fn none(outcome: Outcome) -> Self {
        Self { outcome, status: None, size: None, retry_after: None }
    }

    /// An answer with this status. Its body changes nothing about what it means.
    #[must_use]
    pub fn status(status: u16, retry_after: Option<Duration>) -> Self {
        Self { outcome: Outcome::of_status(status), status: Some(status), size: Some(0), retry_after }
    }

    /// What it means for the delivery (contracts.md section 3).
    #[must_use]
    pub fn verdict(&self) -> Verdict {
        match self.status {
            _ if self.outcome == Outcome::Success => Verdict::Delivered,
            Some(410) => Verdict::Gone,
            Some(429 | 502 | 503 | 504) => Verdict::Throttled(self.retry_after),
            _ => Verdict::Failed(self.retry_after),
        }
    }
}

/// What an answer means for the delivery.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Told; done.
    Delivered,
    /// Try again by the schedule, and not before the receiver asked for it.
    Failed(Option<Duration>),
    /// The same, and the endpoint has too much to do: its other deliveries wait as long.
    Throttled(Option<Duration>),
    /// The receiver wants nothing any more.
    Gone,
    /// It was answered, and that decides it: no more.
    Refused,
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn every_status_has_one_meaning(status in 100_u16..1000, seconds in proptest::option::of(0_u64..100_000)) {
            let wait = seconds.map(Duration::from_secs);
            let verdict = Answer::status(status, wait).verdict();
            let expected = match status {
                200..=299 => Verdict::Delivered,
                410 => Verdict::Gone,
                429 | 502..=504 => Verdict::Throttled(wait),
                _ => Verdict::Failed(wait),
            };
            prop_assert_eq!(verdict, expected);
        }
    }

    #[test]
    fn a_redirect_is_a_failure() {
        let answer = Answer::status(302, None);
        assert_eq!((answer.outcome, answer.verdict()), (Outcome::Redirect, Verdict::Failed(None)));
    }

    #[test]
    fn silence_is_a_failure_whatever_its_cause() {
        for (outcome, name) in NAMES.into_iter().filter(|(outcome, _)| *outcome != Outcome::Success) {
            assert_eq!(Answer::none(outcome).verdict(), Verdict::Failed(None), "{name}");
            assert_eq!(name.parse::<Outcome>().unwrap(), outcome);
        }
        assert!("maybe".parse::<Outcome>().is_err());
        assert!(Outcome::ALL.iter().enumerate().all(|(place, outcome)| *outcome as usize == place));
    }
}
