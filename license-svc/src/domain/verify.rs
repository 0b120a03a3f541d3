//! The answer of `license/verify` as one pure function (contracts.md section 5).

use super::license::{License, Status, Term};

/// What a question is answered with. The order of the variants is the order of the rules: the first that applies.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Code {
    NotFound,
    ProductMismatch,
    Revoked,
    Suspended,
    Expired,
    VersionNotCovered,
    SeatsExhausted,
    Valid,
}

impl Code {
    /// All of them, each at the place that it has as a number.
    pub(crate) const ALL: [Self; 8] = [
        Self::NotFound,
        Self::ProductMismatch,
        Self::Revoked,
        Self::Suspended,
        Self::Expired,
        Self::VersionNotCovered,
        Self::SeatsExhausted,
        Self::Valid,
    ];

    /// As it is told.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::NotFound => "NOT_FOUND",
            Self::ProductMismatch => "PRODUCT_MISMATCH",
            Self::Revoked => "REVOKED",
            Self::Suspended => "SUSPENDED",
            Self::Expired => "EXPIRED",
            Self::VersionNotCovered => "VERSION_NOT_COVERED",
            Self::SeatsExhausted => "SEATS_EXHAUSTED",
            Self::Valid => "VALID",
        }
    }

    /// For a person: what it means and what would help.
    pub(crate) fn detail(self) -> &'static str {
        match self {
            Self::NotFound => "there is no licence with this key; compare it with the one that you received",
            Self::ProductMismatch => "this key is for another app; use the key that was issued for this one",
            Self::Revoked => "this licence has been revoked; buy the app again to go on using it",
            Self::Suspended => "this licence is suspended; the marketplace's operator can tell why",
            Self::Expired => "this licence has expired and its grace is over; renew the subscription",
            Self::VersionNotCovered => {
                "this version was published after the licence's updates ended; run an earlier version, or buy again"
            }
            Self::SeatsExhausted => {
                "all seats of this licence are taken; deactivate it on another instance first, or buy another one"
            }
            Self::Valid => "this licence is valid for this app, version and instance",
        }
    }
}

/// What is known when a question comes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Facts {
    pub(crate) license: License,
    pub(crate) seats_used: i64,
    /// The asking instance is among them.
    pub(crate) holds_seat: bool,
    /// When the version in question was published; none where none was named or its release is not known.
    pub(crate) version_published_at_ms: Option<i64>,
}

/// What is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Question<'a> {
    pub(crate) marketplace_id: &'a str,
    /// The instance asks with its own key.
    pub(crate) may_take_seat: bool,
}

/// The answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Decision {
    pub(crate) code: Code,
    /// A seat is to be taken for the asking instance.
    pub(crate) takes_seat: bool,
    /// Set where the answer is `VALID` only by the grace.
    pub(crate) grace_until_ms: Option<i64>,
}

/// Answers.
pub(crate) fn decide(facts: Option<&Facts>, question: Question<'_>, now_ms: i64) -> Decision {
    let Some(facts) = facts else {
        return Decision { code: Code::NotFound, takes_seat: false, grace_until_ms: None };
    };
    let term = facts.license.term(now_ms);
    let code = code(facts, question, term);
    let is_valid = code == Code::Valid;
    Decision {
        code,
        takes_seat: is_valid && question.may_take_seat && !facts.holds_seat,
        grace_until_ms: match term {
            Term::Grace(until) if is_valid => Some(until),
            _ => None,
        },
    }
}

fn code(facts: &Facts, question: Question<'_>, term: Term) -> Code {
    let license = &facts.license;
    if license.marketplace_id != question.marketplace_id {
        return Code::ProductMismatch;
    }
    match license.status {
        Status::Revoked => return Code::Revoked,
        Status::Suspended => return Code::Suspended,
        Status::Active => {}
    }
    if term == Term::Ended {
        return Code::Expired;
    }
    if !license.covers_release_of(facts.version_published_at_ms) {
        return Code::VersionNotCovered;
    }
    if !facts.holds_seat && facts.seats_used >= i64::from(license.seats) {
        return Code::SeatsExhausted;
    }
    Code::Valid
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::license::tests::license;

    const NOW: i64 = 10_000_000_000;
    const DAY: i64 = 24 * 60 * 60 * 1000;

    /// Every way in which a licence and a question can stand to each other.
    #[derive(Debug, Clone, Copy)]
    #[expect(clippy::struct_excessive_bools, reason = "a row of a truth table")]
    struct Case {
        same_app: bool,
        status: Status,
        /// Days since the end of the paid period.
        days_over: Option<i64>,
        too_new: bool,
        holds_seat: bool,
        seat_free: bool,
        may_take_seat: bool,
    }

    fn cases() -> Vec<Case> {
        let flags = [false, true];
        let mut cases = Vec::new();
        for bits in 0..32_u8 {
            let bit = |at: u8| flags[usize::from(bits >> at & 1)];
            for status in [Status::Active, Status::Suspended, Status::Revoked] {
                for days_over in [None, Some(-1), Some(1), Some(8)] {
                    cases.push(Case {
                        same_app: bit(0),
                        status,
                        days_over,
                        too_new: bit(1),
                        holds_seat: bit(2),
                        seat_free: bit(3),
                        may_take_seat: bit(4),
                    });
                }
            }
        }
        cases
    }

    fn answer(case: Case) -> Decision {
        let license = License {
            status: case.status,
            expires_at_ms: case.days_over.map(|days| NOW - days * DAY),
            updates_until_ms: Some(NOW - 1),
            ..license()
        };
        let facts = Facts {
            seats_used: if case.seat_free { 0 } else { license.seats.into() },
            holds_seat: case.holds_seat,
            version_published_at_ms: Some(if case.too_new { NOW } else { NOW - 1 }),
            license,
        };
        let marketplace_id = if case.same_app { "@vendor/app" } else { "@vendor/other" };
        decide(Some(&facts), Question { marketplace_id, may_take_seat: case.may_take_seat }, NOW)
    }

    /// Contracts.md section 5: the codes in their order, each with the condition under which it applies.
    fn expected(case: Case) -> Code {
        let rules = [
            (Code::ProductMismatch, !case.same_app),
            (Code::Revoked, case.status == Status::Revoked),
            (Code::Suspended, case.status == Status::Suspended),
            (Code::Expired, case.days_over == Some(8)),
            (Code::VersionNotCovered, case.too_new),
            (Code::SeatsExhausted, !case.holds_seat && !case.seat_free),
        ];
        assert!(rules.is_sorted_by_key(|(code, _)| *code), "the order of the contract");
        rules.into_iter().find(|(_, applies)| *applies).map_or(Code::Valid, |(code, _)| code)
    }

    #[test]
    fn the_first_rule_that_applies_answers_in_every_case() {
        let cases = cases();
        assert_eq!(cases.len(), 384);
        for case in cases {
            assert_eq!(answer(case).code, expected(case), "{case:?}");
        }
    }

    #[test]
    fn a_seat_is_taken_only_by_a_valid_question_of_an_instance_that_may_and_has_none() {
        for case in cases() {
            let takes = expected(case) == Code::Valid && case.may_take_seat && !case.holds_seat;
            assert_eq!(answer(case).takes_seat, takes, "{case:?}");
        }
    }

    #[test]
    fn the_grace_is_told_only_where_it_is_what_makes_the_answer_valid() {
        for case in cases() {
            let in_grace = expected(case) == Code::Valid && case.days_over == Some(1);
            assert_eq!(answer(case).grace_until_ms, in_grace.then_some(NOW + 6 * DAY), "{case:?}");
        }
    }

    #[test]
    fn an_unknown_key_is_not_found_whoever_asks() {
        for may_take_seat in [false, true] {
            let decision = decide(None, Question { marketplace_id: "@vendor/app", may_take_seat }, NOW);
            assert_eq!(decision, Decision { code: Code::NotFound, takes_seat: false, grace_until_ms: None });
        }
    }
}
