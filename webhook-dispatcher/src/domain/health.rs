//! What the attempts of a while tell of an endpoint, and what follows from it for all its deliveries.

use std::time::Duration;

use super::{
    circuit::{Circuit, CircuitRules, State},
    endpoint::Standing,
    verification::{Intake, Verification},
};

/// Deliveries are made.
pub const ACTIVE: &str = "active";

/// When an endpoint that fails is spared, and when it is given up.
#[derive(Debug, Clone, PartialEq)]
pub struct HealthRules {
    /// When its circuit opens.
    pub circuit: CircuitRules,
    /// After so long of nothing but failure it is disabled.
    pub disable_after: Duration,
}

impl HealthRules {
    fn is_given_up(&self, failing_since_ms: i64, now_ms: i64) -> bool {
        let limit = i64::try_from(self.disable_after.as_millis()).unwrap_or(i64::MAX);
        now_ms.saturating_sub(failing_since_ms) >= limit
    }
}

/// What some attempts, which ended together, tell of their endpoint.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Signs {
    /// Attempts that failed.
    pub failed: u32,
    /// Attempts that succeeded.
    pub succeeded: u32,
    /// How the probe of its circuit ended, if one did.
    pub probe: Option<bool>,
    /// Too many of the last attempts have failed.
    pub trips: bool,
    /// It answered 410.
    pub is_gone: bool,
    /// It took the request that verifies it.
    pub is_verified: bool,
    /// It has too much to do until then; 0: nothing was said of that.
    pub throttled_until_ms: i64,
    /// Since when it was failing, as was known when the attempts began.
    pub failing_since_ms: Option<i64>,
}

impl Signs {
    /// Whether the endpoint may be another one after them. A healthy one is not, and its row need not be locked.
    #[must_use]
    pub fn may_change(&self, rules: &HealthRules, now_ms: i64) -> bool {
        let by_streak = match self.failing_since_ms {
            Some(_) if self.succeeded > 0 => true,
            Some(since_ms) => self.failed > 0 && rules.is_given_up(since_ms, now_ms),
            None => self.failed > 0 && self.succeeded == 0,
        };
        let is_told_apart = self.probe.is_some() || self.trips || self.is_gone || self.is_verified;
        by_streak || is_told_apart || self.throttled_until_ms > 0
    }
}

/// How an endpoint stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Health {
    /// Whether it is disabled, and why.
    pub standing: Standing,
    /// Whether it was asked to show that it is there.
    pub verification: Verification,
    /// It has too much to do until then.
    pub throttled_until_ms: i64,
    /// Since then every attempt has failed.
    pub failing_since_ms: Option<i64>,
    /// Whether it is worth trying.
    pub circuit: Circuit,
}

impl Health {
    /// After these signs. A disabled endpoint needs no circuit: nothing is sent to it, and when it is enabled it begins
    /// afresh.
    #[must_use]
    pub fn after(self, signs: &Signs, rules: &HealthRules, now_ms: i64) -> Self {
        let failing_since_ms = match signs {
            Signs { succeeded: 1.., .. } => None,
            Signs { failed: 1.., .. } => self.failing_since_ms.or(Some(now_ms)),
            _ => self.failing_since_ms,
        };
        let is_given_up = failing_since_ms.is_some_and(|since_ms| rules.is_given_up(since_ms, now_ms));
        let standing = match signs.is_gone {
            true => self.standing.gone(),
            false if is_given_up => self.standing.failing(),
            false => self.standing,
        };
        let circuit = circuit_after(self.circuit, signs, &rules.circuit, now_ms);
        Self {
            circuit: if standing.is_disabled() { Circuit::closed() } else { circuit },
            standing,
            verification: if signs.is_verified {
                Verification::VerifiedAt(now_ms)
            } else {
                self.verification
            },
            throttled_until_ms: self.throttled_until_ms.max(signs.throttled_until_ms),
            failing_since_ms,
        }
    }

    /// What may be sent to it.
    #[must_use]
    pub fn intake(&self) -> Intake {
        match self {
            _ if self.standing.is_disabled() => Intake::Nothing,
            _ if self.verification.is_awaited() => Intake::VerificationAlone,
            _ => Intake::Everything,
        }
    }

    /// No attempt begins before then.
    #[must_use]
    pub fn not_before_ms(&self) -> i64 {
        let circuit_ms = if self.circuit.is_closed() { 0 } else { self.circuit.until_ms };
        self.throttled_until_ms.max(circuit_ms)
    }

    /// Its name, for operators.
    #[must_use]
    pub fn state(&self, now_ms: i64) -> &'static str {
        match self {
            _ if self.standing.is_disabled() => "disabled",
            _ if self.verification.is_awaited() => "unverified",
            _ if self.throttled_until_ms > now_ms || !self.circuit.is_closed() => "throttled",
            _ => ACTIVE,
        }
    }
}

/// Only the probe speaks while the circuit is not closed: the other attempts began before it opened.
fn circuit_after(circuit: Circuit, signs: &Signs, rules: &CircuitRules, now_ms: i64) -> Circuit {
    match (circuit.state, signs.probe) {
        (State::Closed, _) if signs.trips => circuit.opened(now_ms, rules),
        (State::Open | State::HalfOpen, Some(true)) => Circuit::closed(),
        (State::HalfOpen, Some(false)) => circuit.opened(now_ms, rules),
        _ => circuit,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const DAY: i64 = 24 * 3_600_000;

    fn rules() -> HealthRules {
        HealthRules { circuit: CircuitRules::default(), disable_after: Duration::from_hours(5 * 24) }
    }

    fn healthy() -> Health {
        Health {
            standing: Standing::default(),
            verification: Verification::default(),
            throttled_until_ms: 0,
            failing_since_ms: None,
            circuit: Circuit::closed(),
        }
    }

    fn failed() -> Signs {
        Signs { failed: 1, ..Signs::default() }
    }

    fn succeeded() -> Signs {
        Signs { succeeded: 1, ..Signs::default() }
    }

    #[test]
    fn five_days_of_nothing_but_failure_disable_an_endpoint() {
        let failing = healthy().after(&failed(), &rules(), 0);
        assert_eq!((failing.failing_since_ms, failing.standing.is_disabled()), (Some(0), false));
        let almost = failing.clone().after(&failed(), &rules(), 5 * DAY - 1);
        assert_eq!((almost.failing_since_ms, almost.standing.is_disabled()), (Some(0), false));
        let disabled = failing.clone().after(&failed(), &rules(), 5 * DAY);
        assert_eq!(disabled.standing.told_reason().as_deref(), Some("failing"));
        let one_success = failing.after(&succeeded(), &rules(), DAY).after(&failed(), &rules(), 5 * DAY);
        assert_eq!(
            (one_success.failing_since_ms, one_success.standing.is_disabled()),
            (Some(5 * DAY), false)
        );
    }

    #[test]
    fn one_success_among_failures_is_not_nothing_but_failure() {
        let both = Signs { failed: 9, succeeded: 1, ..Signs::default() };
        assert_eq!(healthy().after(&both, &rules(), 7).failing_since_ms, None);
    }

    #[test]
    fn only_the_probe_speaks_while_the_circuit_is_not_closed() {
        let tripped = Signs { trips: true, ..failed() };
        let open = healthy().after(&tripped, &rules(), 0);
        assert_eq!(
            (open.circuit.state, open.state(0), open.not_before_ms()),
            (State::Open, "throttled", 60_000)
        );
        for late in [tripped, succeeded()] {
            assert_eq!(open.clone().after(&late, &rules(), 1).circuit, open.circuit);
        }
        let half_open = Health { circuit: open.circuit.probed(90_000), ..open };
        for late in [tripped, succeeded()] {
            assert_eq!(half_open.clone().after(&late, &rules(), 70_000).circuit, half_open.circuit);
        }
        let again = half_open.clone().after(&Signs { probe: Some(false), ..failed() }, &rules(), 60_000);
        assert_eq!((again.circuit.state, again.circuit.until_ms), (State::Open, 180_000));
        let closed = half_open.after(&Signs { probe: Some(true), ..succeeded() }, &rules(), 60_000);
        assert_eq!((closed.circuit, closed.state(60_000)), (Circuit::closed(), "active"));
    }

    #[test]
    fn a_disabled_endpoint_has_no_circuit() {
        let gone = Signs { is_gone: true, trips: true, ..failed() };
        let disabled = healthy().after(&gone, &rules(), 0);
        assert_eq!((disabled.state(0), disabled.circuit), ("disabled", Circuit::closed()));
        assert_eq!(disabled.standing.told_reason().as_deref(), Some("gone"));
    }

    #[test]
    fn an_endpoint_is_unverified_until_it_takes_the_request_that_verifies_it() {
        let unverified = Health { verification: Verification::AwaitedSince(3), ..healthy() };
        assert_eq!((unverified.state(3), unverified.intake()), ("unverified", Intake::VerificationAlone));
        for other in [failed(), succeeded(), Signs { throttled_until_ms: 9, ..failed() }] {
            let after = unverified.clone().after(&other, &rules(), 5);
            assert_eq!((after.state(5), after.intake()), ("unverified", Intake::VerificationAlone));
        }
        let signs = Signs { is_verified: true, ..succeeded() };
        assert!(signs.may_change(&rules(), 5));
        let verified = unverified.clone().after(&signs, &rules(), 5);
        assert_eq!((verified.state(5), verified.verification.verified_at_ms()), (ACTIVE, Some(5)));
        let gone = unverified.after(&Signs { is_gone: true, ..failed() }, &rules(), 5);
        assert_eq!((gone.state(5), gone.intake()), ("disabled", Intake::Nothing));
        assert!(gone.verification.is_awaited(), "once it is enabled");
    }

    prop_compose! {
        fn any_signs()(
            failed in 0_u32..3,
            succeeded in 0_u32..3,
            probe in any::<Option<bool>>(),
            trips in any::<bool>(),
            is_gone in any::<bool>(),
            is_verified in any::<bool>(),
            throttled_until_ms in 0_i64..3,
            failing_since_ms in proptest::option::of(-6 * DAY..0),
        ) -> Signs {
            Signs { failed, succeeded, probe, trips, is_gone, is_verified, throttled_until_ms, failing_since_ms }
        }
    }

    proptest! {
        #[test]
        fn what_may_not_change_does_not(signs in any_signs()) {
            let before = Health { failing_since_ms: signs.failing_since_ms, ..healthy() };
            let after = before.clone().after(&signs, &rules(), 0);
            if (signs.failed > 0 || signs.succeeded > 0) && !signs.may_change(&rules(), 0) {
                prop_assert_eq!(after, before);
            }
        }

        #[test]
        fn a_success_costs_a_healthy_endpoint_nothing(succeeded in 1_u32..9, failed in 0_u32..9) {
            let signs = Signs { failed, succeeded, ..Signs::default() };
            prop_assert!(!signs.may_change(&rules(), 0));
        }
    }
}
