//! The rules of callbacks (contracts.md section 4): what an answer means, how one ends, and in which order those of one
//! app and shop are made.

use wire::open2b::Operation;

use super::{
    answer::{Answer, Outcome, Verdict},
    delivery::State,
};

/// Why an Install that was held, or waited, until its time was over was given up.
pub const TIME_OVER: &str = "its time was over before the app had answered";

/// What an answer means: only 200 is success. An Install is decided by whatever answer comes; Update and Remove are
/// tried again. What an app answers changes nothing about its endpoint, for its other shops still need it.
#[must_use]
pub fn verdict(operation: Operation, answer: &Answer) -> Verdict {
    match (operation, answer.status) {
        (_, Some(200)) => Verdict::Delivered,
        (Operation::Install, Some(_)) => Verdict::Refused,
        _ => Verdict::Failed(answer.retry_after),
    }
}

/// How a callback ended: no further attempt of it is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// The app answered 200.
    Delivered,
    /// An Install that the app answered otherwise.
    Refused,
    /// An Install that had no answer until its time was over.
    Unanswered,
    /// Its schedule is over, or it was held too long.
    GivenUp,
    /// A later callback to the same app and shop took its place.
    Superseded,
}

impl Ending {
    /// All of them.
    pub const ALL: [Self; 5] =
        [Self::Delivered, Self::Refused, Self::Unanswered, Self::GivenUp, Self::Superseded];

    /// Of a callback that is not tried any more.
    #[must_use]
    pub fn given_up(operation: Operation) -> Self {
        match operation {
            Operation::Install => Self::Unanswered,
            Operation::Update | Operation::Remove => Self::GivenUp,
        }
    }

    /// As it is announced.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Delivered => "delivered",
            Self::Refused => "refused",
            Self::Unanswered => "unanswered",
            Self::GivenUp => "given_up",
            Self::Superseded => "superseded",
        }
    }

    /// Where the delivery stands then.
    #[must_use]
    pub fn state(self) -> State {
        match self {
            Self::Delivered => State::Delivered,
            Self::Superseded => State::Superseded,
            Self::Refused | Self::Unanswered | Self::GivenUp => State::Dead,
        }
    }
}

/// What is known of a callback's attempts when it ends.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Trail {
    /// The last answer's status.
    pub status: Option<u16>,
    /// The app may have taken it without our knowing.
    pub may_have_arrived: bool,
}

impl Trail {
    /// Over the attempts in their order. A success counts as silence where the callback did not end by it: its replica
    /// told of it too late.
    pub fn of(attempts: impl IntoIterator<Item = (Outcome, Option<u16>)>, ending: Ending) -> Self {
        attempts.into_iter().fold(Self::default(), |trail, (outcome, status)| {
            let missed = outcome == Outcome::Success && ending != Ending::Delivered;
            Self {
                status: status.or(trail.status),
                may_have_arrived: trail.may_have_arrived || missed || outcome.is_silence(),
            }
        })
    }
}

/// A callback's place among those of its app and shop.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// Names the app and the shop's instance.
    pub serial: String,
    /// Grows with each callback.
    pub sequence: i64,
}

impl Place {
    /// The name of the serial of this app and instance; neither id holds a space.
    #[must_use]
    pub fn serial(marketplace_id: &str, instance_id: &str) -> String {
        format!("{marketplace_id} {instance_id}")
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const WAIT: Option<Duration> = Some(Duration::from_secs(7));

    #[test]
    fn every_answer_has_its_meaning_for_every_operation() {
        for status in 100..1000 {
            let answer = Answer::status(status, WAIT);
            for operation in Operation::ALL {
                let expected = match (status, operation) {
                    (200, _) => Verdict::Delivered,
                    (_, Operation::Install) => Verdict::Refused,
                    _ => Verdict::Failed(WAIT),
                };
                assert_eq!(verdict(operation, &answer), expected, "{operation} {status}");
            }
        }
    }

    #[test]
    fn silence_is_tried_again_whatever_the_operation() {
        for operation in Operation::ALL {
            for outcome in [Outcome::Timeout, Outcome::Refused, Outcome::Reset, Outcome::Dns, Outcome::Tls] {
                assert_eq!(verdict(operation, &Answer::none(outcome)), Verdict::Failed(None));
            }
        }
    }

    #[test]
    fn what_was_sent_without_an_answer_may_have_arrived() {
        let answered = (Outcome::ServerError, Some(500));
        let cases = [
            (vec![], Ending::Superseded, None, false),
            (vec![answered], Ending::Refused, Some(500), false),
            (vec![(Outcome::Lost, None), answered], Ending::Refused, Some(500), true),
            (vec![answered, (Outcome::Refused, None)], Ending::GivenUp, Some(500), true),
            (vec![(Outcome::Timeout, None)], Ending::Unanswered, None, true),
            (
                vec![(Outcome::Unsigned, None), (Outcome::ForbiddenAddress, None)],
                Ending::Unanswered,
                None,
                false,
            ),
            (vec![(Outcome::Success, Some(200))], Ending::Delivered, Some(200), false),
            (vec![(Outcome::Success, Some(200)), answered], Ending::Refused, Some(500), true),
        ];
        for (attempts, ending, status, may_have_arrived) in cases {
            let told = format!("{attempts:?}");
            assert_eq!(Trail::of(attempts, ending), Trail { status, may_have_arrived }, "{told}");
        }
    }

    #[test]
    fn an_ending_has_its_name_and_its_state() {
        let all = [
            (Ending::Delivered, "delivered", State::Delivered),
            (Ending::Refused, "refused", State::Dead),
            (Ending::given_up(Operation::Install), "unanswered", State::Dead),
            (Ending::given_up(Operation::Update), "given_up", State::Dead),
            (Ending::given_up(Operation::Remove), "given_up", State::Dead),
            (Ending::Superseded, "superseded", State::Superseded),
        ];
        for (ending, name, state) in all {
            assert_eq!((ending.as_str(), ending.state()), (name, state));
        }
    }
}
