//! Verification of what the marketplace posts to a shop (contracts.md section 3).
//!
//! Both signatures are asked for. `X-Carpha-Signature` alone covers no delivery id; the one that does is
//! `webhook-signature`, so a [`Delivery`]'s id may be used to tell a repetition.

use axum::http::HeaderMap;
use semver::Version;
use serde::{Deserialize, de::DeserializeOwned};
use thiserror::Error;
use wire::{
    SignatureError,
    license_key::LicenseKey,
    manifest::MarketplaceId,
    standard_webhooks::{self, WebhookSecret},
    timed_signature::{self, TOLERANCE_SECS},
};

/// A webhook that the marketplace has signed.
#[derive(Debug)]
pub struct Delivery<T> {
    /// `dly_…`, the same on every retry.
    pub id: String,
    /// What it tells.
    pub body: T,
}

/// `license-issued`: a licence of this shop. `Debug` hides key and buyer.
#[derive(Clone)]
pub struct LicenseIssued {
    /// The app.
    pub marketplace_id: MarketplaceId,
    /// The version that was bought.
    pub version: Version,
    /// The key.
    pub license_key: LicenseKey,
    /// The buyer's e-mail address.
    pub purchased_by: String,
}

/// `license-revoked`, `license-suspended` or `license-reinstated`: something was done to a licence of this shop. How it
/// stands now is for the marketplace to say: deliveries may overtake each other. `Debug` hides the key.
#[derive(Clone)]
pub struct LicenseChanged {
    /// The app.
    pub marketplace_id: MarketplaceId,
    /// The key.
    pub license_key: LicenseKey,
    /// Why, in the operator's words.
    pub reason: Option<String>,
}

/// `release-published`: an app has a new release.
#[derive(Debug, Clone, Deserialize)]
pub struct ReleasePublished {
    /// The app.
    pub marketplace_id: MarketplaceId,
    /// The new version.
    pub version: Version,
    /// Where its changes are told.
    pub changelog_url: Option<String>,
    /// Whether it mends a security fault.
    pub security: bool,
}

/// `installation-changed`: an app of this shop has moved on.
#[derive(Debug, Clone, Deserialize)]
pub struct InstallationChanged {
    /// `itn_…`.
    pub installation_id: String,
    /// The app.
    pub marketplace_id: MarketplaceId,
    /// The version that is installed, or is to be.
    pub version: Version,
    /// Its state then; deliveries may overtake each other.
    pub state: String,
}

/// `endpoint-verification`: whether this shop is there and knows its secret. To verify and to answer it is all that is to be
/// done.
#[derive(Debug, Clone, Deserialize)]
pub struct EndpointVerification {
    /// `ep_…`, as the marketplace's operator names this shop's endpoint.
    pub endpoint_id: String,
}

#[derive(Deserialize)]
struct LicenseIssuedJson {
    marketplace_id: MarketplaceId,
    version: Version,
    license_key: String,
    purchased_by: String,
}

#[derive(Deserialize)]
struct LicenseChangedJson {
    marketplace_id: MarketplaceId,
    license_key: String,
    reason: Option<String>,
}

impl std::fmt::Debug for LicenseChanged {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LicenseChanged")
            .field("marketplace_id", &self.marketplace_id)
            .field("reason", &self.reason)
            .finish_non_exhaustive()
    }
}

impl std::fmt::Debug for LicenseIssued {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LicenseIssued")
            .field("marketplace_id", &self.marketplace_id)
            .field("version", &self.version)
            .finish_non_exhaustive()
    }
}

/// Why a webhook is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum WebhookError {
    /// A signature is missing, wrong, or too far from now.
    #[error("{0}")]
    Signature(#[from] SignatureError),
    /// The body is signed, and yet not of the agreed form.
    #[error(
        "the body must be the JSON object that the contract has for this event; send it as the contract says"
    )]
    Body,
}

/// Verifies webhooks with one or, during a rotation, several secrets.
#[derive(Debug, Clone)]
pub struct Verifier {
    secrets: Vec<WebhookSecret>,
}

impl Verifier {
    /// Without any secret every webhook is refused.
    #[must_use]
    pub fn new(secrets: Vec<WebhookSecret>) -> Self {
        Self { secrets }
    }

    /// Checks both signatures over the raw body at the Unix time `now`, in constant time, and reads it.
    pub fn license_issued(
        &self,
        headers: &HeaderMap,
        body: &[u8],
        now: i64,
    ) -> Result<Delivery<LicenseIssued>, WebhookError> {
        let Delivery { id, body } = self.read::<LicenseIssuedJson>(headers, body, now)?;
        let license_key = body.license_key.parse().map_err(|_| WebhookError::Body)?;
        let LicenseIssuedJson { marketplace_id, version, purchased_by, .. } = body;
        Ok(Delivery { id, body: LicenseIssued { marketplace_id, version, license_key, purchased_by } })
    }

    /// The same for `license-revoked`, `license-suspended` and `license-reinstated`.
    pub fn license_changed(
        &self,
        headers: &HeaderMap,
        body: &[u8],
        now: i64,
    ) -> Result<Delivery<LicenseChanged>, WebhookError> {
        let Delivery { id, body } = self.read::<LicenseChangedJson>(headers, body, now)?;
        let license_key = body.license_key.parse().map_err(|_| WebhookError::Body)?;
        let LicenseChangedJson { marketplace_id, reason, .. } = body;
        Ok(Delivery { id, body: LicenseChanged { marketplace_id, license_key, reason } })
    }

    /// The same for `release-published`.
    pub fn release_published(
        &self,
        headers: &HeaderMap,
        body: &[u8],
        now: i64,
    ) -> Result<Delivery<ReleasePublished>, WebhookError> {
        self.read(headers, body, now)
    }

    /// The same for `installation-changed`.
    pub fn installation_changed(
        &self,
        headers: &HeaderMap,
        body: &[u8],
        now: i64,
    ) -> Result<Delivery<InstallationChanged>, WebhookError> {
        self.read(headers, body, now)
    }

    /// The same for `endpoint-verification`.
    pub fn endpoint_verification(
        &self,
        headers: &HeaderMap,
        body: &[u8],
        now: i64,
    ) -> Result<Delivery<EndpointVerification>, WebhookError> {
        self.read(headers, body, now)
    }

    fn read<T: DeserializeOwned>(
        &self,
        headers: &HeaderMap,
        body: &[u8],
        now: i64,
    ) -> Result<Delivery<T>, WebhookError> {
        let id = self.verify(headers, body, now)?;
        let body = serde_json::from_slice(body).map_err(|_| WebhookError::Body)?;
        Ok(Delivery { id, body })
    }

    /// The authentic delivery id.
    fn verify(&self, headers: &HeaderMap, body: &[u8], now: i64) -> Result<String, SignatureError> {
        let texts: Vec<&str> = self.secrets.iter().map(WebhookSecret::expose).collect();
        let carpha = text(headers, "x-carpha-signature")?;
        timed_signature::verify(&texts, carpha, body, now, TOLERANCE_SECS)?;
        let id = text(headers, "webhook-id")?;
        let timestamp = text(headers, "webhook-timestamp")?;
        let signature = text(headers, "webhook-signature")?;
        let secrets: Vec<&WebhookSecret> = self.secrets.iter().collect();
        standard_webhooks::verify(&secrets, id, timestamp, signature, body, now, TOLERANCE_SECS)?;
        Ok(id.to_owned())
    }
}

/// A header that is there exactly once: of two, another reader might take the other.
fn text<'a>(headers: &'a HeaderMap, name: &str) -> Result<&'a str, SignatureError> {
    let mut values = headers.get_all(name).iter();
    let value = values.next().ok_or(SignatureError::Missing)?;
    match values.next() {
        None => value.to_str().map_err(|_| SignatureError::Malformed),
        Some(_) => Err(SignatureError::Malformed),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    const NOW: i64 = 1_790_000_000;

    fn secret(byte: u8) -> WebhookSecret {
        WebhookSecret::from_random([byte; 32])
    }

    fn body() -> Vec<u8> {
        let key = LicenseKey::from_entropy([7; 12]);
        let body = serde_json::json!({
            "marketplace_id": "@vendor/app", "version": "1.2.0", "license_key": key.to_string(), "purchased_by": "a@b.example",
        });
        body.to_string().into_bytes()
    }

    fn signed(secret: &WebhookSecret, id: &str, t: i64, body: &[u8]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        let carpha = timed_signature::sign(&[secret.expose()], t, body);
        headers.insert("x-carpha-signature", carpha.parse().unwrap());
        headers.insert("webhook-id", id.parse().unwrap());
        headers.insert("webhook-timestamp", t.to_string().parse().unwrap());
        let standard = standard_webhooks::sign(&[secret], id, t, body);
        headers.insert("webhook-signature", standard.parse().unwrap());
        headers
    }

    fn verify(headers: &HeaderMap, body: &[u8]) -> Result<Delivery<LicenseIssued>, WebhookError> {
        Verifier::new(vec![secret(1), secret(2)]).license_issued(headers, body, NOW)
    }

    #[test]
    fn either_secret_of_a_rotation_verifies() {
        for byte in [1, 2] {
            let delivery = verify(&signed(&secret(byte), "dly_1", NOW, &body()), &body()).unwrap();
            assert_eq!(delivery.id, "dly_1");
            assert_eq!(delivery.body.marketplace_id.as_str(), "@vendor/app");
            assert!(!format!("{delivery:?}").contains("a@b.example"));
        }
        let forged = verify(&signed(&secret(3), "dly_1", NOW, &body()), &body());
        assert_eq!(forged.unwrap_err(), SignatureError::Mismatch.into());
    }

    #[test]
    fn neither_signature_is_enough_alone() {
        for missing in ["x-carpha-signature", "webhook-signature", "webhook-id", "webhook-timestamp"] {
            let mut headers = signed(&secret(1), "dly_1", NOW, &body());
            headers.remove(missing);
            assert_eq!(verify(&headers, &body()).unwrap_err(), SignatureError::Missing.into(), "{missing}");
        }
    }

    #[test]
    fn another_id_under_the_same_signature_is_refused() {
        let mut headers = signed(&secret(1), "dly_1", NOW, &body());
        headers.insert("webhook-id", "dly_2".parse().unwrap());
        assert_eq!(verify(&headers, &body()).unwrap_err(), SignatureError::Mismatch.into());
    }

    #[test]
    fn a_doubled_header_is_refused() {
        let mut headers = signed(&secret(1), "dly_1", NOW, &body());
        headers.append("webhook-id", "dly_2".parse().unwrap());
        assert_eq!(verify(&headers, &body()).unwrap_err(), SignatureError::Malformed.into());
    }

    #[test]
    fn ten_minutes_off_is_refused_on_both_sides() {
        for (t, error) in [(NOW - 600, SignatureError::TooOld), (NOW + 600, SignatureError::InFuture)] {
            let refused = verify(&signed(&secret(1), "dly_1", t, &body()), &body());
            assert_eq!(refused.unwrap_err(), error.into());
        }
    }

    #[test]
    fn a_signed_body_of_another_form_is_told_so() {
        for body in [&b"{}"[..], b"[]", b"", br#"{"marketplace_id":"x"}"#] {
            let refused = verify(&signed(&secret(1), "dly_1", NOW, body), body);
            assert_eq!(refused.unwrap_err(), WebhookError::Body);
        }
    }

    #[test]
    fn further_events_are_read_and_a_key_is_not_shown() {
        let (verifier, key) = (Verifier::new(vec![secret(1)]), LicenseKey::from_entropy([7; 12]).to_string());
        let json = serde_json::json!({"marketplace_id": "@vendor/app", "license_key": key, "reason": null});
        let body = json.to_string().into_bytes();
        let told = verifier.license_changed(&signed(&secret(1), "dly_1", NOW, &body), &body, NOW).unwrap();
        assert_eq!((told.body.license_key.to_string(), told.body.reason.clone()), (key.clone(), None));
        assert!(!format!("{told:?}").contains(&key));

        let body =
            br#"{"marketplace_id":"@vendor/app","version":"1.2.0","changelog_url":null,"security":true}"#;
        let told = verifier.release_published(&signed(&secret(1), "dly_2", NOW, body), body, NOW).unwrap();
        assert!(told.body.security && told.body.changelog_url.is_none());

        let body = br#"{"installation_id":"itn_1","marketplace_id":"@vendor/app","version":"1.2.0","state":"installed"}"#;
        let told = verifier.installation_changed(&signed(&secret(1), "dly_3", NOW, body), body, NOW).unwrap();
        assert_eq!((told.id.as_str(), told.body.state.as_str()), ("dly_3", "installed"));
        assert!(verifier.installation_changed(&signed(&secret(3), "dly_3", NOW, body), body, NOW).is_err());
    }
}
