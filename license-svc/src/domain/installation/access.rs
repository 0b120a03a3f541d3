//! Whether an app may work in its shop now. Nothing of it is stored: a licence that changes changes it at once.

use super::{Installation, State, check_license};
use crate::domain::license::License;

/// Whether the app may work in the shop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Access {
    /// It may.
    Live,
    /// Its licence does not allow it now.
    Suspended,
    /// It is not in the shop, or leaving it.
    Ended,
}

impl Access {
    /// As it is told.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Live => "live",
            Self::Suspended => "suspended",
            Self::Ended => "ended",
        }
    }
}

impl Installation {
    /// By the licences on which the shop holds a seat.
    pub(crate) fn access(&self, licenses: &[License], now_ms: i64) -> Access {
        match self.state {
            State::Installing | State::Installed | State::Updating(_) => {
                match check_license(&self.edition, licenses, now_ms) {
                    Ok(()) => Access::Live,
                    Err(_) => Access::Suspended,
                }
            }
            State::Requested | State::Removing | State::Removed | State::Cancelled => Access::Ended,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{super::table::installation, *};
    use crate::domain::{
        installation::{Edition, Kind},
        license::{Status, tests::license},
    };

    #[test]
    fn a_free_app_has_access_while_it_is_in_the_shop() {
        let expected = [
            ("requested", Access::Ended),
            ("installing", Access::Live),
            ("installed", Access::Live),
            ("updating", Access::Live),
            ("removing", Access::Ended),
            ("removed", Access::Ended),
            ("cancelled", Access::Ended),
        ];
        for (state, access) in expected {
            assert_eq!(installation(state, Kind::Hosted).access(&[], 0), access, "{state}");
        }
    }

    #[test]
    fn a_paid_app_has_access_while_a_licence_of_the_shop_stands() {
        let free = installation("installed", Kind::Hosted);
        let paid = Installation { edition: Edition { paid: true, ..free.edition.clone() }, ..free };
        let of = |status| License { status, ..license() };
        assert_eq!(paid.access(&[], 0), Access::Suspended);
        assert_eq!(paid.access(&[of(Status::Suspended)], 0), Access::Suspended);
        assert_eq!(paid.access(&[of(Status::Revoked), of(Status::Active)], 0), Access::Live);
        let over = License { expires_at_ms: Some(1), ..license() };
        assert_eq!(paid.access(&[over], i64::MAX / 2), Access::Suspended);
        let words = [Access::Live, Access::Suspended, Access::Ended].map(Access::as_str);
        assert_eq!(words, ["live", "suspended", "ended"]);
    }
}
