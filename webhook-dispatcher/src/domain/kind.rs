//! The two kinds of what is told, and everything in which their rules differ.

use wire::open2b::Operation;

use super::{
    answer::{Answer, Outcome, Verdict},
    callback,
};

/// To whom something is told, and by whose rules the answer is weighed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// An event, to a shop (contracts.md section 3).
    Webhook,
    /// A callback, to a hosted app (contracts.md section 4).
    Callback(Operation),
}

/// The names of the kinds, in the store and for operators.
pub const KINDS: [&str; 3] = [WEBHOOK, CALLBACK, OPERATOR];
/// What [`Kind::Webhook`] is called.
pub const WEBHOOK: &str = "webhook";
/// What [`Kind::Callback`] is called.
pub const CALLBACK: &str = "callback";
/// What the operator's own endpoint, and a webhook to it, is called.
pub const OPERATOR: &str = "operator";

impl Kind {
    /// By the event: no event of a webhook has an operation's name.
    #[must_use]
    pub fn of_event(event: &str) -> Self {
        event.parse().map_or(Self::Webhook, Self::Callback)
    }

    /// Its name.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Webhook => WEBHOOK,
            Self::Callback(_) => CALLBACK,
        }
    }

    /// The operation of a callback.
    #[must_use]
    pub fn operation(self) -> Option<Operation> {
        match self {
            Self::Webhook => None,
            Self::Callback(operation) => Some(operation),
        }
    }

    /// The answer under its class for this kind: a callback is taken by 200 alone.
    #[must_use]
    pub fn classify(self, answer: Answer) -> Answer {
        match (self, answer.status) {
            (Self::Callback(_), Some(201..=299)) => Answer { outcome: Outcome::NotOk, ..answer },
            _ => answer,
        }
    }

    /// What an answer means for the delivery.
    #[must_use]
    pub fn verdict(self, answer: &Answer) -> Verdict {
        match self {
            Self::Webhook => answer.verdict(),
            Self::Callback(operation) => callback::verdict(operation, answer),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::event::{ENDPOINT_VERIFICATION, EVENTS, OPERATIONS};

    #[test]
    fn an_event_tells_its_kind() {
        for event in EVENTS.into_iter().chain(OPERATIONS).chain([ENDPOINT_VERIFICATION]) {
            assert_eq!(Kind::of_event(event), Kind::Webhook);
        }
        for operation in Operation::ALL {
            assert_eq!(Kind::of_event(operation.as_str()), Kind::Callback(operation));
        }
    }

    #[test]
    fn only_200_is_a_callbacks_success() {
        let class = |kind: Kind, status| kind.classify(Answer::status(status, None)).outcome;
        for status in 200..300 {
            let expected = if status == 200 { Outcome::Success } else { Outcome::NotOk };
            assert_eq!(class(Kind::Callback(Operation::Update), status), expected, "{status}");
            assert_eq!(class(Kind::Webhook, status), Outcome::Success, "{status}");
        }
        assert_eq!(class(Kind::Callback(Operation::Install), 404), Outcome::ClientError);
    }
}
