//! The keys of a marketplace that lives as long as a test.

use base64::{Engine as _, prelude::BASE64_STANDARD};

/// Every key that the services hold, made by chance.
#[derive(Debug, Clone)]
pub struct Keys {
    /// The operator's `ak_…`.
    pub admin_key: String,
    /// By which Stripe's events are signed: `whsec_…`.
    pub stripe_webhook_secret: String,
    /// The key of Stripe's API: `sk_test_…`.
    pub stripe_api_key: String,
    /// By which the services know the gateway.
    pub(super) gateway_credential: String,
    /// Signs download URLs.
    pub(super) download: String,
    /// Signs release statements.
    pub(super) release: String,
    /// Signs licence tokens.
    pub(super) token: String,
    /// Opens sealed instance ids.
    pub(super) instance: String,
    /// Keys the hash of licence keys.
    pub(super) lookup: String,
    /// Seal the rows of the catalogue, licences, payments and webhooks, and what travels on the bus.
    pub(super) sealing: Sealing,
}

/// Rings of one key each.
#[derive(Debug, Clone)]
pub(super) struct Sealing {
    pub(super) catalog: String,
    pub(super) license: String,
    pub(super) payments: String,
    pub(super) webhooks: String,
    pub(super) bus: String,
}

impl Keys {
    /// New ones.
    #[must_use]
    pub fn generate() -> Self {
        let sealing =
            Sealing { catalog: ring(), license: ring(), payments: ring(), webhooks: ring(), bus: ring() };
        Self {
            admin_key: token("ak_"),
            stripe_webhook_secret: token("whsec_"),
            stripe_api_key: token("sk_test_"),
            gateway_credential: token(""),
            download: key(),
            release: key(),
            token: key(),
            instance: key(),
            lookup: key(),
            sealing,
        }
    }
}

/// 32 bytes of chance.
#[expect(clippy::disallowed_methods, reason = "no two marketplaces may share a key")]
pub(super) fn chance() -> [u8; 32] {
    rand::random()
}

fn key() -> String {
    BASE64_STANDARD.encode(chance())
}

fn ring() -> String {
    format!("1:{}", key())
}

/// A prefix and 64 hexadecimal digits.
pub(super) fn token(prefix: &str) -> String {
    chance().iter().fold(prefix.to_owned(), |text, byte| format!("{text}{byte:02x}"))
}
