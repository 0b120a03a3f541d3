//! What a shop asks to buy.

/// Longest e-mail address (RFC 5321 section 4.5.3.1.3: a path of 256 with its brackets).
const EMAIL_MAX: usize = 254;
/// Contracts.md section 2.
const IDEMPOTENCY_KEY_MAX: usize = 255;
/// Stripe takes at most eight digits.
const PRICE_MAX_CENTS: i64 = 99_999_999;

/// A purchase, checked.
#[derive(Clone, PartialEq, Eq)]
pub struct Purchase {
    /// The buying shop.
    pub instance_id: String,
    /// `@vendor/name`
    pub marketplace_id: String,
    /// The release.
    pub version: String,
    /// The app's name.
    pub name: String,
    /// The catalogue's price.
    pub price_cents: i64,
    /// The merchant's address.
    pub customer_email: String,
    /// The tenant's own key, which makes a repeated call one call.
    pub idempotency_key: Option<String>,
    /// Orders of this shop for this app whose licence has been issued.
    pub licensed_order_ids: Vec<String>,
}

/// Why a purchase can't be made as it was asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PurchaseError {
    /// A part that must be there is empty.
    #[error("{0} is missing")]
    Missing(&'static str),
    /// Not an e-mail address.
    #[error("customer_email must be an e-mail address such as merchant@shop.example")]
    Email,
    /// Too long or empty.
    #[error("Idempotency-Key must have 1 to 255 characters")]
    IdempotencyKey,
    /// The catalogue's price can't be charged.
    #[error("the price must be between 0 and 999,999.99 euro")]
    Price,
    /// Nothing to pay.
    #[error("this app is free: install it without a checkout")]
    Free,
}

impl Purchase {
    /// Checks everything that needs no look-up.
    pub fn checked(self) -> Result<Self, PurchaseError> {
        for (name, text) in [
            ("instance_id", &self.instance_id),
            ("marketplace_id", &self.marketplace_id),
            ("version", &self.version),
            ("name", &self.name),
        ] {
            if text.is_empty() {
                return Err(PurchaseError::Missing(name));
            }
        }
        if !is_email(&self.customer_email) {
            return Err(PurchaseError::Email);
        }
        let key_fits = |key: &String| (1..=IDEMPOTENCY_KEY_MAX).contains(&key.chars().count());
        if !self.idempotency_key.as_ref().is_none_or(key_fits) {
            return Err(PurchaseError::IdempotencyKey);
        }
        match self.price_cents {
            0 => Err(PurchaseError::Free),
            1..=PRICE_MAX_CENTS => Ok(self),
            _ => Err(PurchaseError::Price),
        }
    }

    /// Whether one of these paid orders of the shop for the app has no licence yet: it is on its way, and buying again
    /// would pay twice for one.
    #[must_use]
    pub fn awaits_license(&self, paid_order_ids: &[String]) -> bool {
        paid_order_ids.iter().any(|id| !self.licensed_order_ids.contains(id))
    }

    /// What a repeated call must be equal in: the parameters that the tenant gives.
    #[must_use]
    pub fn parameters(&self) -> Vec<u8> {
        [&self.marketplace_id, &self.version, &self.customer_email]
            .map(String::as_str)
            .join("\n")
            .into_bytes()
    }
}

/// Whether the text has the form of an e-mail address; whether it is one, only a message tells.
fn is_email(text: &str) -> bool {
    let Some((user, host)) = text.rsplit_once('@') else { return false };
    let labels_fit = host.contains('.') && host.split('.').all(|label| !label.is_empty());
    let is_clean = !text.chars().any(|c| c.is_whitespace() || c.is_control());
    text.len() <= EMAIL_MAX && !user.is_empty() && !user.contains('@') && labels_fit && is_clean
}

#[cfg(test)]
mod tests {
    use super::*;

    fn purchase() -> Purchase {
        Purchase {
            instance_id: "inst_1".into(),
            marketplace_id: "@v/p".into(),
            version: "1.0.0".into(),
            name: "P".into(),
            price_cents: 4900,
            customer_email: "merchant@shop.example".into(),
            idempotency_key: None,
            licensed_order_ids: Vec::new(),
        }
    }

    fn refusal(change: impl FnOnce(&mut Purchase)) -> Option<PurchaseError> {
        let mut purchase = purchase();
        change(&mut purchase);
        purchase.checked().err()
    }

    #[test]
    fn each_wrong_part_has_its_own_refusal() {
        assert_eq!(refusal(|_| ()), None);
        assert_eq!(refusal(|p| p.version.clear()), Some(PurchaseError::Missing("version")));
        assert_eq!(refusal(|p| p.price_cents = 0), Some(PurchaseError::Free));
        assert_eq!(refusal(|p| p.price_cents = -1), Some(PurchaseError::Price));
        assert_eq!(refusal(|p| p.price_cents = 100_000_000), Some(PurchaseError::Price));
        assert_eq!(refusal(|p| p.idempotency_key = Some(String::new())), Some(PurchaseError::IdempotencyKey));
        assert_eq!(
            refusal(|p| p.idempotency_key = Some("k".repeat(256))),
            Some(PurchaseError::IdempotencyKey)
        );
        assert_eq!(refusal(|p| p.idempotency_key = Some("k".repeat(255))), None);
    }

    #[test]
    fn a_licence_is_awaited_until_every_paid_order_has_one() {
        let ids = |ids: &[&str]| ids.iter().map(|id| (*id).to_owned()).collect::<Vec<_>>();
        let bought = Purchase { licensed_order_ids: ids(&["ord_1", "ord_2"]), ..purchase() };
        assert!(!bought.awaits_license(&[]));
        assert!(!bought.awaits_license(&ids(&["ord_2"])));
        assert!(bought.awaits_license(&ids(&["ord_2", "ord_3"])));
        assert!(purchase().awaits_license(&ids(&["ord_1"])));
    }

    #[test]
    fn an_address_has_a_user_and_a_host() {
        for wrong in ["", "a", "a@b", "@b.c", "a@.c", "a@b.", "a@@b.c", "a b@c.d", "a@b.c\n"] {
            assert_eq!(refusal(|p| p.customer_email = wrong.into()), Some(PurchaseError::Email), "{wrong}");
        }
        assert_eq!(
            refusal(|p| p.customer_email = format!("{}@b.c", "a".repeat(251))),
            Some(PurchaseError::Email)
        );
    }
}
