//! Replays: which deliveries are sent again, which are left as they are and why, and how fast.

use std::{fmt, str::FromStr, time::Duration};

use super::kind::Kind;

/// Deliveries a second, where nothing else is asked for.
pub const USUAL_RATE: u32 = 50;
/// Deliveries a second at most.
pub const HIGHEST_RATE: u32 = 1_000;
/// One commit sends again at most so many.
const MOST_AT_ONCE: u32 = 500;
/// One commit looks at no fewer: what is left as it is takes no part in the rate.
const LOOKED_AT: u32 = 100;

/// Which deliveries of the time are meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Which {
    /// Those that are dead.
    Failed,
    /// Those that were delivered too: receivers know them by their ids.
    All,
}

const WHICH: [(Which, &str); 2] = [(Which::Failed, "failed"), (Which::All, "all")];

impl Which {
    /// Its name in the store and for operators.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        WHICH.iter().find(|(which, _)| *which == self).map_or("failed", |(_, name)| name)
    }
}

impl FromStr for Which {
    type Err = UnknownWhich;

    fn from_str(text: &str) -> Result<Self, UnknownWhich> {
        WHICH.iter().find(|(_, name)| *name == text).map(|(which, _)| *which).ok_or(UnknownWhich)
    }
}

/// The text does not say which deliveries.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("which must be failed (the dead ones) or all")]
pub struct UnknownWhich;

/// Where a replay stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Progress {
    /// Not everything was looked at.
    Running,
    /// Everything was.
    Done,
    /// An operator ended it.
    Cancelled,
}

const PROGRESS: [(Progress, &str); 3] =
    [(Progress::Running, "running"), (Progress::Done, "done"), (Progress::Cancelled, "cancelled")];

impl Progress {
    /// Its name in the store and for operators.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        PROGRESS.iter().find(|(progress, _)| *progress == self).map_or("done", |(_, name)| name)
    }
}

impl fmt::Display for Progress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Progress {
    type Err = UnknownProgress;

    fn from_str(text: &str) -> Result<Self, UnknownProgress> {
        PROGRESS.iter().find(|(_, name)| *name == text).map(|(progress, _)| *progress).ok_or(UnknownProgress)
    }
}

/// The text names no state of a replay.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("the state of a replay is one of running, done, cancelled")]
pub struct UnknownProgress;

/// Why a delivery is left as it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Skip {
    /// Its endpoint is disabled: what is open is held for it, what has settled stays so.
    Disabled,
    /// A callback that has settled: what it came to was told and acted upon.
    Settled,
    /// An attempt of it is under way.
    InFlight,
    /// What it says is no longer kept.
    BodyGone,
}

impl Skip {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Disabled, Self::Settled, Self::InFlight, Self::BodyGone];

    /// Its name for operators.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Disabled => "endpoint_disabled",
            Self::Settled => "callback_settled",
            Self::InFlight => "in_flight",
            Self::BodyGone => "body_gone",
        }
    }
}

/// How far a delivery is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Course {
    /// For its next attempt.
    Waits,
    /// Somebody holds its lease.
    InFlight,
    /// No attempt will follow.
    Settled,
}

/// A delivery as a replay finds it.
#[derive(Debug, Clone, Copy)]
pub struct Found {
    /// By whose rules it is made.
    pub kind: Kind,
    /// How far it is.
    pub course: Course,
    /// Whether its endpoint takes deliveries.
    pub endpoint_takes: bool,
    /// Whether what it says is still kept.
    pub has_body: bool,
}

impl Found {
    /// Whether it is sent again.
    pub fn may_be_sent_again(&self) -> Result<(), Skip> {
        if self.course == Course::Settled && self.kind != Kind::Webhook {
            return Err(Skip::Settled);
        }
        if !self.endpoint_takes {
            return Err(Skip::Disabled);
        }
        if self.course == Course::InFlight {
            return Err(Skip::InFlight);
        }
        if self.has_body { Ok(()) } else { Err(Skip::BodyGone) }
    }
}

/// How fast a replay goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate(u32);

impl Default for Rate {
    fn default() -> Self {
        Self(USUAL_RATE)
    }
}

impl Rate {
    /// So many deliveries a second; the usual without a wish.
    pub fn new(wished: Option<u32>) -> Result<Self, WrongRate> {
        match wished.unwrap_or(USUAL_RATE) {
            rate @ 1..=HIGHEST_RATE => Ok(Self(rate)),
            _ => Err(WrongRate),
        }
    }

    /// A second.
    #[must_use]
    pub fn per_second(self) -> u32 {
        self.0
    }

    /// One commit sends again at most so many.
    #[must_use]
    pub fn at_once(self) -> u32 {
        self.0.min(MOST_AT_ONCE)
    }

    /// One commit looks at so many.
    #[must_use]
    pub fn looked_at(self) -> u32 {
        self.at_once().max(LOOKED_AT)
    }

    /// Until the next commit, after one that sent so many again.
    #[must_use]
    pub fn pause_after(self, replayed: u32) -> Duration {
        Duration::from_secs(1) * replayed / self.0
    }

    /// While so many deliveries are due, nothing is added to them: whoever was there first comes first.
    #[must_use]
    pub fn most_due(self) -> u32 {
        10 * self.0.max(10)
    }
}

/// No replay goes at this rate.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("rate_per_second must be from 1 to {HIGHEST_RATE}")]
pub struct WrongRate;

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use proptest::prelude::*;
    use wire::open2b::Operation;

    use super::*;

    const DEAD: Found =
        Found { kind: Kind::Webhook, course: Course::Settled, endpoint_takes: true, has_body: true };

    #[test]
    fn each_delivery_is_sent_again_or_left_for_its_reason() {
        let update = Kind::Callback(Operation::Update);
        let cases = [
            (DEAD, Ok(())),
            (Found { course: Course::Waits, ..DEAD }, Ok(())),
            (Found { kind: update, course: Course::Waits, ..DEAD }, Ok(())),
            (Found { kind: update, ..DEAD }, Err(Skip::Settled)),
            (Found { kind: update, endpoint_takes: false, ..DEAD }, Err(Skip::Settled)),
            (Found { endpoint_takes: false, ..DEAD }, Err(Skip::Disabled)),
            (Found { course: Course::Waits, endpoint_takes: false, ..DEAD }, Err(Skip::Disabled)),
            (Found { course: Course::InFlight, ..DEAD }, Err(Skip::InFlight)),
            (Found { has_body: false, ..DEAD }, Err(Skip::BodyGone)),
        ];
        for (found, expected) in cases {
            assert_eq!(found.may_be_sent_again(), expected, "{found:?}");
        }
    }

    #[test]
    fn names_survive_their_text() {
        for (which, name) in WHICH {
            assert_eq!((name.parse(), which.as_str()), (Ok(which), name));
        }
        for (progress, name) in PROGRESS {
            assert_eq!((name.parse(), progress.as_str()), (Ok(progress), name));
        }
        assert_eq!("some".parse::<Which>(), Err(UnknownWhich));
        assert_eq!("asleep".parse::<Progress>(), Err(UnknownProgress));
    }

    #[test]
    fn a_rate_has_its_bounds() {
        assert_eq!(Rate::new(None).unwrap().per_second(), USUAL_RATE);
        for wrong in [0, HIGHEST_RATE + 1] {
            assert_eq!(Rate::new(Some(wrong)), Err(WrongRate));
        }
    }

    proptest! {
        /// Whatever the commits find, no second has more than the rate and one commit.
        #[test]
        fn the_rate_is_kept(
            rate in 1..=HIGHEST_RATE,
            commits in proptest::collection::vec(0_u32..=MOST_AT_ONCE, 1..50),
        ) {
            let rate = Rate::new(Some(rate)).unwrap();
            let (mut passed, mut sent) = (Duration::ZERO, 0);
            for found in commits {
                let replayed = found.min(rate.at_once());
                sent += replayed;
                let allowed = passed.as_secs_f64() * f64::from(rate.per_second()) + f64::from(rate.at_once());
                prop_assert!(f64::from(sent) <= allowed + 0.01);
                passed += rate.pause_after(replayed);
            }
        }
    }
}
