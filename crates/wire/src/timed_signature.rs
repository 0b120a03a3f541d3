//! The header form `t=<unix>,v1=<hex>` that `X-Carpha-Signature` (contracts.md section 3) and `Stripe-Signature`
//! (section 6) share.
//!
//! `v1` is the hex HMAC-SHA256 over `{t}.{raw body}`, keyed with the UTF-8 bytes of the whole secret string, its
//! `whsec_` included.

pub use crate::SignatureError;
use crate::mac::{fits, hmac_sha256};
use crate::signature_error::{check_time, parse_unix_time};

/// How far `t` may be from the receiver's clock (contracts.md sections 3 and 6).
pub const TOLERANCE_SECS: i64 = 300;

/// A longer header is not one of ours or of Stripe's; it only costs time.
const MAX_HEADER_LEN: usize = 4096;

/// The header value for `body`, with one `v1` for each live secret (contracts.md section 3).
#[must_use]
pub fn sign(secrets: &[&str], t: i64, body: &[u8]) -> String {
    let mut header = format!("t={t}");
    for secret in secrets {
        header.push_str(",v1=");
        header.push_str(&hex::encode(mac(secret, &t.to_string(), body)));
    }
    header
}

/// Checks a header against the raw bytes of the body and gives back its `t` (contracts.md sections 3 and 6).
///
/// Any `v1` may fit any live secret; schemes other than `v1` are ignored, as Stripe asks. Comparison is constant-time.
pub fn verify(
    secrets: &[&str],
    header: &str,
    body: &[u8],
    now: i64,
    tolerance_secs: i64,
) -> Result<i64, SignatureError> {
    let parsed = ParsedHeader::parse(header)?;
    let authentic =
        secrets.iter().map(|secret| mac(secret, parsed.t_text, body)).any(|expected| parsed.has(&expected));
    if !authentic {
        return Err(SignatureError::Mismatch);
    }
    check_time(parsed.t, now, tolerance_secs)
}

fn mac(secret: &str, t: &str, body: &[u8]) -> [u8; 32] {
    hmac_sha256(secret.as_bytes(), &[t.as_bytes(), b".", body])
}

struct ParsedHeader<'a> {
    t: i64,
    /// `t` as it was written: the signature covers the text, not the number.
    t_text: &'a str,
    v1: Vec<Vec<u8>>,
}

impl<'a> ParsedHeader<'a> {
    fn parse(header: &'a str) -> Result<Self, SignatureError> {
        if header.trim().is_empty() {
            return Err(SignatureError::Missing);
        }
        if header.len() > MAX_HEADER_LEN {
            return Err(SignatureError::Malformed);
        }
        let (mut t_text, mut v1) = (None, Vec::new());
        for part in header.split(',') {
            match part.trim().split_once('=') {
                Some(("t", value)) if t_text.is_none() => t_text = Some(value),
                Some(("t", _)) | None => return Err(SignatureError::Malformed),
                Some(("v1", value)) => v1.push(hex::decode(value).map_err(|_| SignatureError::Malformed)?),
                Some(_) => {}
            }
        }
        Self::checked(t_text, v1)
    }

    fn checked(t_text: Option<&'a str>, v1: Vec<Vec<u8>>) -> Result<Self, SignatureError> {
        let t_text = t_text.ok_or(SignatureError::Malformed)?;
        let t = parse_unix_time(t_text)?;
        if v1.is_empty() {
            return Err(SignatureError::Malformed);
        }
        Ok(Self { t, t_text, v1 })
    }

    fn has(&self, expected: &[u8; 32]) -> bool {
        self.v1.iter().any(|given| fits(given, expected))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use proptest::prelude::*;

    use super::*;

    const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
    const NOW: i64 = 1_760_000_000;

    fn check(header: &str, body: &[u8]) -> Result<i64, SignatureError> {
        verify(&[SECRET], header, body, NOW, TOLERANCE_SECS)
    }

    #[test]
    fn a_rotation_signs_with_both_secrets_and_either_receiver_accepts() {
        let header = sign(&["old", "new"], NOW, b"{}");
        assert_eq!(header.matches("v1=").count(), 2);
        for secret in ["old", "new"] {
            assert_eq!(verify(&[secret], &header, b"{}", NOW, TOLERANCE_SECS), Ok(NOW));
        }
    }

    #[test]
    fn other_schemes_are_ignored_but_never_enough() {
        let good = sign(&[SECRET], NOW, b"{}");
        assert_eq!(check(&format!("{good},v0=00ff,v2=x"), b"{}"), Ok(NOW));
        let as_v0 = good.replace("v1=", "v0=");
        assert_eq!(check(&as_v0, b"{}"), Err(SignatureError::Malformed));
    }

    #[test]
    fn each_bad_form_has_its_own_error() {
        let good = sign(&[SECRET], NOW, b"{}");
        assert_eq!(check("", b"{}"), Err(SignatureError::Missing));
        assert_eq!(check("v1=00", b"{}"), Err(SignatureError::Malformed));
        assert_eq!(check(&format!("t={NOW},{good}"), b"{}"), Err(SignatureError::Malformed));
        assert_eq!(check("t=+5,v1=00", b"{}"), Err(SignatureError::Malformed));
        assert_eq!(check("t=99999999999999999999,v1=00", b"{}"), Err(SignatureError::Malformed));
        assert_eq!(check("t=5,v1=zz", b"{}"), Err(SignatureError::Malformed));
        assert_eq!(check(&good, b"{ }"), Err(SignatureError::Mismatch));
        assert_eq!(verify(&[], &good, b"{}", NOW, TOLERANCE_SECS), Err(SignatureError::Mismatch));
        let padded = format!("{good},v2={}", "x".repeat(MAX_HEADER_LEN));
        assert_eq!(check(&padded, b"{}"), Err(SignatureError::Malformed));
    }

    #[test]
    fn the_tolerance_is_inclusive_on_both_sides() {
        for (t, expected) in [
            (NOW - 300, Ok(NOW - 300)),
            (NOW + 300, Ok(NOW + 300)),
            (NOW - 301, Err(SignatureError::TooOld)),
            (NOW + 301, Err(SignatureError::InFuture)),
        ] {
            assert_eq!(check(&sign(&[SECRET], t, b"{}"), b"{}"), expected);
        }
    }

    #[test]
    fn a_forged_old_message_is_a_mismatch_and_not_too_old() {
        assert_eq!(check(&sign(&["guess"], 1, b"{}"), b"{}"), Err(SignatureError::Mismatch));
    }

    proptest! {
        #[test]
        fn what_is_signed_verifies(secret in ".{1,80}", body: Vec<u8>, t in 0..4_000_000_000_i64) {
            let header = sign(&[&secret], t, &body);
            prop_assert_eq!(verify(&[&secret], &header, &body, t, TOLERANCE_SECS), Ok(t));
        }

        #[test]
        fn one_changed_bit_of_the_body_is_noticed(mut body in prop::collection::vec(any::<u8>(), 1..200), at: prop::sample::Index, bit in 0..8_u8) {
            let header = sign(&[SECRET], NOW, &body);
            let at = at.index(body.len());
            body[at] ^= 1 << bit;
            prop_assert_eq!(check(&header, &body), Err(SignatureError::Mismatch));
        }

        #[test]
        fn no_header_panics(header in ".{0,200}") {
            let refused = check(&header, b"{}").is_err();
            prop_assert!(refused);
        }
    }
}
