//! What an order's snapshot means for its licence (contracts.md section 7).
//!
//! Snapshots arrive in any order, more than once, at once. The licence remembers the newest revision of its order
//! that was taken, and an older one changes nothing. So a state that ends a sale and arrives first makes a licence
//! that has ended (its snapshot's revision with it), and the older `paid` that arrives later finds it and changes
//! nothing: that is where the other payment events take their place.

use semver::Version;
use wire::manifest::MarketplaceId;

use super::license::License;

/// The order's state as payments-svc told it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Order {
    pub(crate) id: String,
    pub(crate) revision: i64,
    pub(crate) instance_id: String,
    pub(crate) marketplace_id: String,
    pub(crate) version: String,
    /// Still sealed with the services' shared key: this service has no need to read it.
    pub(crate) sealed_customer_email: Vec<u8>,
}

/// Why a snapshot can never become a licence. Goes to the dead letters, so it holds nothing of the snapshot.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the order cannot become a licence: {0}")]
pub(crate) struct Unusable(pub(crate) &'static str);

impl Order {
    /// Checked once more here: what is stored from it is shown and compared for years.
    pub(crate) fn check(self) -> Result<Self, Unusable> {
        if !platform::ids::is_id(&self.id, "ord") {
            return Err(Unusable("its order_id is not of the form ord_…"));
        }
        if !platform::ids::is_id(&self.instance_id, "inst") {
            return Err(Unusable("its instance_id is not of the form inst_…"));
        }
        if self.marketplace_id.parse::<MarketplaceId>().is_err() {
            return Err(Unusable("its marketplace_id is not of the form @vendor/name"));
        }
        if Version::parse(&self.version).is_err() {
            return Err(Unusable("its version is not a semantic version"));
        }
        if self.sealed_customer_email.is_empty() {
            return Err(Unusable("its customer's e-mail is missing"));
        }
        Ok(self)
    }
}

/// What a paid order's snapshot asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Effect {
    /// A licence is issued.
    Issue,
    /// The licence is there already; only the revision is newer.
    Note,
    /// It is old news.
    Nothing,
}

/// Decides by what is there. One order has one licence, whatever is repeated.
pub(crate) fn take_paid(existing: Option<&License>, order: &Order) -> Effect {
    match existing {
        None => Effect::Issue,
        Some(license) if order.revision > license.order_revision => Effect::Note,
        Some(_) => Effect::Nothing,
    }
}

#[cfg(test)]
pub(crate) mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    pub(crate) fn paid() -> Order {
        Order {
            id: "ord_01JAY2M3N4P5Q6R7S8T9V0W1X2".into(),
            revision: 2,
            instance_id: "inst_01JAY2M3N4P5Q6R7S8T9V0W1X2".into(),
            marketplace_id: "@vendor/app".into(),
            version: "1.0.0".into(),
            sealed_customer_email: vec![1],
        }
    }

    #[test]
    fn one_order_has_one_licence() {
        let license = License::one_time("lic_1".into(), &paid(), 0);
        assert_eq!(take_paid(None, &paid()), Effect::Issue);
        assert_eq!(take_paid(Some(&license), &paid()), Effect::Nothing);
        assert_eq!(take_paid(Some(&license), &Order { revision: 1, ..paid() }), Effect::Nothing);
        assert_eq!(take_paid(Some(&license), &Order { revision: 3, ..paid() }), Effect::Note);
    }

    #[test]
    fn what_can_never_become_a_licence_says_why() {
        assert!(paid().check().is_ok());
        let bad = [
            Order { id: "inst_01JAY2M3N4P5Q6R7S8T9V0W1X2".into(), ..paid() },
            Order { instance_id: String::new(), ..paid() },
            Order { marketplace_id: "vendor/app".into(), ..paid() },
            Order { version: "one".into(), ..paid() },
            Order { sealed_customer_email: Vec::new(), ..paid() },
        ];
        for order in bad {
            assert!(order.check().unwrap_err().to_string().contains("its "));
        }
    }
}
