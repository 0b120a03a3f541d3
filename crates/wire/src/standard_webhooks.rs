//! The headers `webhook-id`, `webhook-timestamp` and `webhook-signature` of Standard Webhooks
//! (<https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md>),
//! sent beside `X-Carpha-Signature` (contracts.md section 3).
//!
//! The signature is `v1,<base64>` of HMAC-SHA256 over `{id}.{timestamp}.{raw body}`, keyed with the decoded part of
//! the secret after `whsec_`.

use std::fmt;
use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use thiserror::Error;
use zeroize::Zeroizing;

pub use crate::SignatureError;
use crate::mac::{fits, hmac_sha256};
use crate::signature_error::{check_time, parse_unix_time};

const PREFIX: &str = "whsec_";
const MIN_KEY_LEN: usize = 24;
const MAX_KEY_LEN: usize = 64;
/// Room for more secrets than a rotation ever has.
const MAX_HEADER_LEN: usize = 4096;

/// A webhook secret, `whsec_` + base64 of 24 to 64 bytes (contracts.md section 3).
///
/// `X-Carpha-Signature` is keyed with the text ([`WebhookSecret::expose`]), Standard Webhooks with the decoded bytes.
#[derive(Clone, PartialEq, Eq)]
pub struct WebhookSecret {
    text: Zeroizing<String>,
    key: Zeroizing<Vec<u8>>,
}

/// Why a text is no webhook secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum WebhookSecretError {
    /// It does not begin with `whsec_`.
    #[error("a webhook secret begins with `whsec_`, followed by base64")]
    NoPrefix,
    /// What follows `whsec_` is no standard base64.
    #[error("the part of a webhook secret after `whsec_` must be standard base64 with its padding")]
    NotBase64,
    /// The key is too short or too long.
    #[error("a webhook secret must hold 24 to 64 bytes, best 32 random ones")]
    Length,
}

impl WebhookSecret {
    /// A fresh secret out of 32 random bytes (contracts.md section 3).
    #[must_use]
    pub fn from_random(bytes: [u8; 32]) -> Self {
        let bytes = Zeroizing::new(bytes);
        Self {
            text: Zeroizing::new(format!("{PREFIX}{}", STANDARD.encode(*bytes))),
            key: Zeroizing::new(bytes.to_vec()),
        }
    }

    /// The whole secret text, to be shown once to its owner, stored sealed, or used with [`crate::timed_signature`].
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.text
    }
}

impl FromStr for WebhookSecret {
    type Err = WebhookSecretError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let encoded = text.strip_prefix(PREFIX).ok_or(WebhookSecretError::NoPrefix)?;
        let key = STANDARD.decode(encoded).map_err(|_| WebhookSecretError::NotBase64)?;
        let key = Zeroizing::new(key);
        if !(MIN_KEY_LEN..=MAX_KEY_LEN).contains(&key.len()) {
            return Err(WebhookSecretError::Length);
        }
        Ok(Self { text: Zeroizing::new(text.to_owned()), key })
    }
}

impl fmt::Debug for WebhookSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("WebhookSecret(redacted)")
    }
}

/// The `webhook-signature` value, one `v1,<base64>` for each live secret (contracts.md section 3).
#[must_use]
pub fn sign(secrets: &[&WebhookSecret], id: &str, t: i64, body: &[u8]) -> String {
    let t = t.to_string();
    let signatures: Vec<String> =
        secrets.iter().map(|secret| format!("v1,{}", STANDARD.encode(mac(secret, id, &t, body)))).collect();
    signatures.join(" ")
}

/// Checks the three headers against the raw bytes of the body and gives back the timestamp (contracts.md section 3).
///
/// After this succeeds `id` is authentic: deduplicate on it.
pub fn verify(
    secrets: &[&WebhookSecret],
    id: &str,
    timestamp_header: &str,
    signature_header: &str,
    body: &[u8],
    now: i64,
    tolerance_secs: i64,
) -> Result<i64, SignatureError> {
    if [id, timestamp_header, signature_header].iter().any(|header| header.trim().is_empty()) {
        return Err(SignatureError::Missing);
    }
    let t = parse_unix_time(timestamp_header)?;
    let given = parse_signatures(signature_header)?;
    let authentic = secrets
        .iter()
        .map(|secret| mac(secret, id, timestamp_header, body))
        .any(|expected| given.iter().any(|one| fits(one, &expected)));
    if !authentic {
        return Err(SignatureError::Mismatch);
    }
    check_time(t, now, tolerance_secs)
}

fn mac(secret: &WebhookSecret, id: &str, t: &str, body: &[u8]) -> [u8; 32] {
    hmac_sha256(&secret.key, &[id.as_bytes(), b".", t.as_bytes(), b".", body])
}

/// The `v1` signatures; other versions (`v1a` is asymmetric) are ignored.
fn parse_signatures(header: &str) -> Result<Vec<Vec<u8>>, SignatureError> {
    if header.len() > MAX_HEADER_LEN {
        return Err(SignatureError::Malformed);
    }
    let signatures = header
        .split_ascii_whitespace()
        .filter_map(|part| part.strip_prefix("v1,"))
        .map(|encoded| STANDARD.decode(encoded).map_err(|_| SignatureError::Malformed))
        .collect::<Result<Vec<_>, _>>()?;
    if signatures.is_empty() { Err(SignatureError::Malformed) } else { Ok(signatures) }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use proptest::prelude::*;

    use super::*;
    use crate::timed_signature::TOLERANCE_SECS;

    /// The example of the specification's reference libraries.
    const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
    const ID: &str = "msg_p5jXN8AQM9LWM0D4loKWxJek";
    const BODY: &[u8] = br#"{"test": 2432232314}"#;
    const T: i64 = 1_614_265_330;

    fn secret() -> WebhookSecret {
        SECRET.parse().unwrap()
    }

    fn check(timestamp: &str, signature: &str) -> Result<i64, SignatureError> {
        verify(&[&secret()], ID, timestamp, signature, BODY, T, TOLERANCE_SECS)
    }

    #[test]
    fn the_reference_example_gives_the_reference_signature() {
        assert_eq!(sign(&[&secret()], ID, T, BODY), "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
    }

    #[test]
    fn a_rotation_and_foreign_versions_verify() {
        let new = WebhookSecret::from_random([7; 32]);
        let header = format!("v1a,Zm9v {}", sign(&[&new, &secret()], ID, T, BODY));
        assert_eq!(check(&T.to_string(), &header), Ok(T));
    }

    #[test]
    fn each_bad_form_has_its_own_error() {
        let (t, good) = (T.to_string(), sign(&[&secret()], ID, T, BODY));
        assert_eq!(check("", &good), Err(SignatureError::Missing));
        assert_eq!(check(&t, " "), Err(SignatureError::Missing));
        assert_eq!(verify(&[&secret()], "", &t, &good, BODY, T, 300), Err(SignatureError::Missing));
        assert_eq!(check("1e9", &good), Err(SignatureError::Malformed));
        assert_eq!(check(&t, "v1,***"), Err(SignatureError::Malformed));
        assert_eq!(check(&t, &good.replace("v1,", "v2,")), Err(SignatureError::Malformed));
        assert_eq!(verify(&[&secret()], "msg_other", &t, &good, BODY, T, 300), Err(SignatureError::Mismatch));
        assert_eq!(verify(&[&secret()], ID, &t, &good, BODY, T + 301, 300), Err(SignatureError::TooOld));
        assert_eq!(verify(&[&secret()], ID, &t, &good, BODY, T - 301, 300), Err(SignatureError::InFuture));
    }

    #[test]
    fn a_secret_is_checked_and_never_printed() {
        assert_eq!("MfKQ9r8G".parse::<WebhookSecret>(), Err(WebhookSecretError::NoPrefix));
        assert_eq!("whsec_!!".parse::<WebhookSecret>(), Err(WebhookSecretError::NotBase64));
        assert_eq!("whsec_c2hvcnQ=".parse::<WebhookSecret>(), Err(WebhookSecretError::Length));
        assert_eq!(format!("{:?}", secret()), "WebhookSecret(redacted)");
    }

    proptest! {
        #[test]
        fn what_is_signed_verifies(key: [u8; 32], id in "[a-z0-9_]{1,40}", body: Vec<u8>, t in 0..4_000_000_000_i64) {
            let secret = WebhookSecret::from_random(key);
            prop_assert_eq!(&secret.expose().parse::<WebhookSecret>().unwrap(), &secret);
            let header = sign(&[&secret], &id, t, &body);
            prop_assert_eq!(verify(&[&secret], &id, &t.to_string(), &header, &body, t, 300), Ok(t));
        }
    }
}
