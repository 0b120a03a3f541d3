//! What a hosted app is told, and how the telling ended (contracts.md section 4).

use serde::{Deserialize, Serialize};
pub(crate) use wire::open2b::Operation;

/// How it ended: no further attempt will be made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Outcome {
    /// The app answered 200.
    Delivered,
    /// The app answered otherwise, to an Install.
    Refused,
    /// The app did not answer an Install until its time was over.
    Unanswered,
    /// The schedule is over.
    GivenUp,
    /// A later callback has taken its place.
    Superseded,
}

impl Outcome {
    /// All of them.
    pub(crate) const ALL: [Self; 5] =
        [Self::Delivered, Self::Refused, Self::Unanswered, Self::GivenUp, Self::Superseded];

    /// As it travels.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Delivered => "delivered",
            Self::Refused => "refused",
            Self::Unanswered => "unanswered",
            Self::GivenUp => "given_up",
            Self::Superseded => "superseded",
        }
    }

    /// The outcome of that name.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|outcome| outcome.as_str() == text)
    }
}

/// How the last callback that counted ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct LastCallback {
    pub(crate) operation: Operation,
    pub(crate) outcome: Outcome,
    /// The last answer's, if there was one.
    pub(crate) status: Option<u32>,
    pub(crate) attempts: u32,
    pub(crate) settled_at_ms: i64,
}

/// The dispatcher's word that a callback has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Settlement {
    /// Which one it was.
    pub(crate) sequence: i64,
    pub(crate) callback: LastCallback,
    /// At least one attempt ended without an answer: the app may have taken it.
    pub(crate) may_have_arrived: bool,
}

impl Settlement {
    pub(super) fn is_delivered(&self) -> bool {
        self.callback.outcome == Outcome::Delivered
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn outcomes_survive_their_text() {
        for outcome in Outcome::ALL {
            assert_eq!(Outcome::parse(outcome.as_str()), Some(outcome));
        }
        assert_eq!(Outcome::parse("Delivered"), None);
    }
}
