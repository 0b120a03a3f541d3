//! A licence: the right of a buyer to run an app (contracts.md sections 1 and 5).

use time::{Date, Month, OffsetDateTime};

use super::{Illegal, Invalid, order::Order};

/// Seats of a one-time purchase (contracts.md section 5).
const DEFAULT_SEATS: i32 = 1;
/// The grace after a paid period (contracts.md section 5).
const GRACE_MS: i64 = 7 * 24 * 60 * 60 * 1000;
const MAX_REASON: usize = 500;

/// Whether the right stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Status {
    /// It stands.
    Active,
    /// It rests until it is reinstated or revoked.
    Suspended,
    /// It has ended for good.
    Revoked,
}

impl Status {
    /// All of them, and what they are called.
    pub(crate) const ALL: [(Self, &'static str); 3] =
        [(Self::Active, "active"), (Self::Suspended, "suspended"), (Self::Revoked, "revoked")];

    /// As it is stored and told.
    pub(crate) fn as_str(self) -> &'static str {
        Self::ALL.into_iter().find(|(status, _)| *status == self).map_or("", |(_, text)| text)
    }

    /// The status of that name.
    pub(crate) fn parse(text: &str) -> Result<Self, Invalid> {
        let found = Self::ALL.into_iter().find(|(_, known)| *known == text).map(|(status, _)| status);
        found.ok_or(Invalid("status must be active, suspended or revoked"))
    }
}

/// Why an operator changed a licence. Told to the shop, so it is one line of words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Reason(String);

impl Reason {
    /// Checked.
    pub(crate) fn new(text: &str) -> Result<Self, Invalid> {
        let text = text.trim();
        if text.is_empty() || text.chars().count() > MAX_REASON || text.chars().any(char::is_control) {
            return Err(Invalid("reason must be 1 to 500 characters on one line"));
        }
        Ok(Self(text.to_owned()))
    }
}

/// What an operator does to a licence.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Act {
    /// Let it rest.
    Suspend,
    /// Let it stand again.
    Reinstate,
    /// End it for good.
    Revoke,
}

impl Act {
    /// What has happened then, as it is told.
    pub(crate) fn done(self) -> &'static str {
        match self {
            Self::Suspend => "suspended",
            Self::Reinstate => "reinstated",
            Self::Revoke => "revoked",
        }
    }
}

/// Where a licence is in its paid time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Term {
    /// Paid, or without an end.
    Running,
    /// Past the paid period, still valid until this time.
    Grace(i64),
    /// Over.
    Ended,
}

/// A licence.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct License {
    pub(crate) id: String,
    pub(crate) order_id: String,
    /// The newest revision of the order that has been taken.
    pub(crate) order_revision: i64,
    /// The buyer.
    pub(crate) instance_id: String,
    pub(crate) marketplace_id: String,
    /// The version that was bought.
    pub(crate) version: String,
    pub(crate) status: Status,
    pub(crate) reason: Option<String>,
    pub(crate) seats: i32,
    pub(crate) issued_at_ms: i64,
    /// Absent: perpetual.
    pub(crate) expires_at_ms: Option<i64>,
    /// Releases published later are not covered. Absent: all are.
    pub(crate) updates_until_ms: Option<i64>,
}

impl License {
    /// The licence of a one-time purchase: perpetual, with one year of updates (contracts.md section 5).
    pub(crate) fn one_time(id: String, order: &Order, now_ms: i64) -> Self {
        Self {
            id,
            order_id: order.id.clone(),
            order_revision: order.revision,
            instance_id: order.instance_id.clone(),
            marketplace_id: order.marketplace_id.clone(),
            version: order.version.clone(),
            status: Status::Active,
            reason: None,
            seats: DEFAULT_SEATS,
            issued_at_ms: now_ms,
            expires_at_ms: None,
            updates_until_ms: Some(one_year_after(now_ms)),
        }
    }

    /// The licence after an operator's act.
    pub(crate) fn apply(self, act: Act, reason: Reason) -> Result<Self, Illegal> {
        match act {
            Act::Suspend => self.suspend(reason),
            Act::Reinstate => self.reinstate(reason),
            Act::Revoke => self.revoke(reason),
        }
    }

    fn suspend(self, reason: Reason) -> Result<Self, Illegal> {
        match self.status {
            Status::Active => Ok(self.with(Status::Suspended, reason)),
            Status::Suspended => Err(Illegal("this licence is suspended already; reinstate or revoke it")),
            Status::Revoked => {
                Err(Illegal("this licence is revoked, which is final; there is nothing to suspend"))
            }
        }
    }

    fn reinstate(self, reason: Reason) -> Result<Self, Illegal> {
        match self.status {
            Status::Suspended => Ok(self.with(Status::Active, reason)),
            Status::Active => Err(Illegal("this licence is active; only a suspended one can be reinstated")),
            Status::Revoked => {
                Err(Illegal("this licence is revoked, which is final; the shop needs a new one for the app"))
            }
        }
    }

    fn revoke(self, reason: Reason) -> Result<Self, Illegal> {
        match self.status {
            Status::Active | Status::Suspended => Ok(self.with(Status::Revoked, reason)),
            Status::Revoked => Err(Illegal("this licence is revoked already, which is final")),
        }
    }

    fn with(self, status: Status, reason: Reason) -> Self {
        Self { status, reason: Some(reason.0), ..self }
    }

    /// Where it is in its paid time.
    pub(crate) fn term(&self, now_ms: i64) -> Term {
        match self.expires_at_ms {
            Some(end) if now_ms >= end + GRACE_MS => Term::Ended,
            Some(end) if now_ms >= end => Term::Grace(end + GRACE_MS),
            _ => Term::Running,
        }
    }

    /// Whether its buyer still has it, so that buying it again would be a mistake. A suspended one is: its dispute
    /// may end well.
    pub(crate) fn is_live(&self, now_ms: i64) -> bool {
        self.status != Status::Revoked && self.term(now_ms) != Term::Ended
    }

    /// Whether a release published at that time belongs to the licence. A release whose time is not known does: the
    /// catalogue's news may be late, and a buyer must not pay for that.
    pub(crate) fn covers_release_of(&self, published_at_ms: Option<i64>) -> bool {
        match (published_at_ms, self.updates_until_ms) {
            (Some(published), Some(until)) => published <= until,
            _ => true,
        }
    }
}

/// The same day and time a year later; of a 29 February the 1 March, in favour of the buyer.
fn one_year_after(now_ms: i64) -> i64 {
    let Ok(now) = OffsetDateTime::from_unix_timestamp(now_ms.div_euclid(1000)) else { return i64::MAX };
    let later = now.replace_year(now.year() + 1).or_else(|error| {
        let march = Date::from_calendar_date(now.year() + 1, Month::March, 1);
        march.map(|date| now.replace_date(date)).map_err(|_| error)
    });
    later.map_or(i64::MAX, |later| later.unix_timestamp() * 1000 + now_ms.rem_euclid(1000))
}

#[cfg(test)]
pub(crate) mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    pub(crate) fn license() -> License {
        License::one_time("lic_1".into(), &crate::domain::order::tests::paid(), 1_000)
    }

    fn reason() -> Reason {
        Reason::new("chargeback").unwrap()
    }

    fn of(status: Status) -> License {
        License { status, ..license() }
    }

    #[test]
    fn a_one_time_purchase_is_perpetual_with_one_seat_and_a_year_of_updates() {
        let license = license();
        assert_eq!((license.status, license.seats, license.expires_at_ms), (Status::Active, 1, None));
        assert_eq!(license.updates_until_ms, Some(1_000 + 365 * 24 * 60 * 60 * 1000));
    }

    #[test]
    fn a_leap_day_gives_its_buyer_a_day() {
        let at = |year, month, day| {
            let date = Date::from_calendar_date(year, month, day).unwrap();
            date.midnight().assume_utc().unix_timestamp() * 1000 + 7
        };
        assert_eq!(one_year_after(at(2024, Month::February, 29)), at(2025, Month::March, 1));
        assert_eq!(one_year_after(at(2023, Month::March, 1)), at(2024, Month::March, 1));
        assert_eq!(one_year_after(i64::MAX), i64::MAX);
    }

    #[test]
    fn every_act_on_every_status_has_its_answer() {
        use Act::{Reinstate, Revoke, Suspend};
        use Status::{Active, Revoked, Suspended};
        let table = [
            (Active, Suspend, Some(Suspended)),
            (Active, Reinstate, None),
            (Active, Revoke, Some(Revoked)),
            (Suspended, Suspend, None),
            (Suspended, Reinstate, Some(Active)),
            (Suspended, Revoke, Some(Revoked)),
            (Revoked, Suspend, None),
            (Revoked, Reinstate, None),
            (Revoked, Revoke, None),
        ];
        for (from, act, to) in table {
            let after = of(from).apply(act, reason());
            assert_eq!(after.as_ref().ok().map(|license| license.status), to, "{from:?} {act:?}");
            if let Ok(after) = after {
                assert_eq!(after.reason.as_deref(), Some("chargeback"));
            }
        }
    }

    #[test]
    fn a_reason_is_a_line_of_words() {
        assert!(Reason::new(" \t").is_err() && Reason::new("a\nb").is_err());
        assert!(Reason::new(&"a".repeat(500)).is_ok() && Reason::new(&"a".repeat(501)).is_err());
    }

    #[test]
    fn a_status_survives_its_text() {
        for (status, text) in Status::ALL {
            assert_eq!(Status::parse(text), Ok(status));
            assert_eq!(status.as_str(), text);
        }
        assert!(Status::parse("expired").is_err());
    }

    #[test]
    fn the_grace_lasts_seven_days_to_the_millisecond() {
        let license = License { expires_at_ms: Some(1_000), ..license() };
        assert_eq!(license.term(999), Term::Running);
        assert_eq!(license.term(1_000), Term::Grace(1_000 + GRACE_MS));
        assert_eq!(license.term(999 + GRACE_MS), Term::Grace(1_000 + GRACE_MS));
        assert_eq!(license.term(1_000 + GRACE_MS), Term::Ended);
    }

    #[test]
    fn a_suspended_licence_is_still_the_buyers_and_an_ended_one_is_not() {
        assert!(of(Status::Active).is_live(0) && of(Status::Suspended).is_live(0));
        assert!(!of(Status::Revoked).is_live(0));
        let ended = License { expires_at_ms: Some(0), ..license() };
        assert!(ended.is_live(GRACE_MS - 1) && !ended.is_live(GRACE_MS));
    }

    #[test]
    fn a_release_is_covered_by_when_it_was_published() {
        let license = License { updates_until_ms: Some(100), ..license() };
        assert!(license.covers_release_of(Some(100)) && !license.covers_release_of(Some(101)));
        assert!(license.covers_release_of(None), "an unknown release counts for the buyer");
        let all = License { updates_until_ms: None, ..license };
        assert!(all.covers_release_of(Some(i64::MAX)));
    }
}
