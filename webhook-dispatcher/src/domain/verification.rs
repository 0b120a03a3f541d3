//! Whether an endpoint has shown that it is there and knows its secret: one signed request, which it has to take before
//! it is told anything else.

use super::event::ENDPOINT_VERIFICATION;

/// Whether an endpoint was asked to show that it is there, and did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Verification {
    /// Nobody waits for it.
    #[default]
    NotAwaited,
    /// Since then it is told nothing else.
    AwaitedSince(i64),
    /// It took the request at that time.
    VerifiedAt(i64),
}

impl Verification {
    /// As it was stored.
    #[must_use]
    pub fn stored(unverified_since_ms: Option<i64>, verified_at_ms: Option<i64>) -> Self {
        match (unverified_since_ms, verified_at_ms) {
            (Some(since_ms), _) => Self::AwaitedSince(since_ms),
            (None, Some(at_ms)) => Self::VerifiedAt(at_ms),
            (None, None) => Self::NotAwaited,
        }
    }

    /// Whether it is waited for.
    #[must_use]
    pub fn is_awaited(self) -> bool {
        self.awaited_since_ms().is_some()
    }

    /// Since when it is waited for.
    #[must_use]
    pub fn awaited_since_ms(self) -> Option<i64> {
        if let Self::AwaitedSince(since_ms) = self { Some(since_ms) } else { None }
    }

    /// When the endpoint took the request last, at the URL that it has.
    #[must_use]
    pub fn verified_at_ms(self) -> Option<i64> {
        if let Self::VerifiedAt(at_ms) = self { Some(at_ms) } else { None }
    }

    /// The same where nobody waits any longer; what it has shown stays true.
    #[must_use]
    pub fn waived(self) -> Self {
        if self.is_awaited() { Self::NotAwaited } else { self }
    }
}

/// What may be sent to an endpoint; the rest is held for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Intake {
    /// All of it.
    Everything,
    /// The request that verifies it, and nothing else.
    VerificationAlone,
    /// It is disabled.
    Nothing,
}

impl Intake {
    /// Whether this event may be sent.
    #[must_use]
    pub fn takes(self, event: &str) -> bool {
        match self {
            Self::Everything => true,
            Self::VerificationAlone => event == ENDPOINT_VERIFICATION,
            Self::Nothing => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::event::LICENSE_ISSUED;

    #[test]
    fn it_is_stored_as_two_times_of_which_one_is_there_at_most() {
        for verification in
            [Verification::NotAwaited, Verification::AwaitedSince(7), Verification::VerifiedAt(9)]
        {
            let (since_ms, at_ms) = (verification.awaited_since_ms(), verification.verified_at_ms());
            assert_eq!(Verification::stored(since_ms, at_ms), verification);
            assert!(since_ms.is_none() || at_ms.is_none());
        }
    }

    #[test]
    fn what_was_shown_stays_true_when_nobody_waits_for_it() {
        assert_eq!(Verification::AwaitedSince(7).waived(), Verification::NotAwaited);
        assert_eq!(Verification::VerifiedAt(9).waived(), Verification::VerifiedAt(9));
    }

    #[test]
    fn an_unverified_endpoint_takes_its_verification_and_a_disabled_one_not_even_that() {
        let takes = |intake: Intake| [LICENSE_ISSUED, ENDPOINT_VERIFICATION].map(|event| intake.takes(event));
        assert_eq!(takes(Intake::Everything), [true, true]);
        assert_eq!(takes(Intake::VerificationAlone), [false, true]);
        assert_eq!(takes(Intake::Nothing), [false, false]);
    }
}
