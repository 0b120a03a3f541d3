//! Headers that prove who sent a body.

use wire::{
    SignatureError,
    standard_webhooks::{self, WebhookSecret},
    timed_signature::{self, TOLERANCE_SECS},
};

use crate::{
    NOW,
    bytes::{changed, changed_text, first_line},
    outside,
};

/// The secret of the public vectors.
const SECRET: &str = "whsec_AgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgI=";
/// The one that it took the place of.
const EARLIER: &str = "whsec_AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE=";

/// `X-Carpha-Signature`: a line with the header, then the body.
///
/// What is signed verifies; a changed byte of the body never does; what verifies holds the body's own signature.
pub fn timed_signature(input: &[u8]) {
    let Some((header, body)) = first_line(input) else { return };
    accepts_only_the_signature(header, body);
    let signed = timed_signature::sign(&[SECRET, EARLIER], NOW, body);
    for secrets in [&[SECRET][..], &[EARLIER], &[EARLIER, SECRET]] {
        assert_eq!(verify_timed(secrets, &signed, body), Ok(NOW));
    }
    assert_eq!(verify_timed(&["another"], &signed, body), Err(SignatureError::Mismatch));
    if let Some(body) = changed(body, input) {
        assert_eq!(verify_timed(&[SECRET], &signed, &body), Err(SignatureError::Mismatch));
    }
    if let Some(header) = changed_text(&signed, input) {
        accepts_only_the_signature(&header, body);
    }
}

fn verify_timed(secrets: &[&str], header: &str, body: &[u8]) -> Result<i64, SignatureError> {
    timed_signature::verify(secrets, header, body, NOW, TOLERANCE_SECS)
}

fn accepts_only_the_signature(header: &str, body: &[u8]) {
    let Ok(t) = verify_timed(&[SECRET], header, body) else { return };
    assert!((t - NOW).abs() <= TOLERANCE_SECS, "out of time");
    let signed = timed_signature::sign(&[SECRET], t, body);
    let (_, expected) = signed.split_once("v1=").expect("a signature");
    let given = header.split(',').filter_map(|part| part.trim().strip_prefix("v1="));
    assert!(given.into_iter().any(|one| one.eq_ignore_ascii_case(expected)), "not the body's signature");
}

/// `Stripe-Signature`: a line with more parts of the header, then the body.
///
/// What Stripe signs verifies, whatever well-formed parts stand beside it; parts alone never do.
pub fn stripe_signature(input: &[u8]) {
    let Some((parts, body)) = first_line(input) else { return };
    let signed = outside::stripe_signature(SECRET, NOW, body);
    assert_eq!(verify_timed(&[EARLIER, SECRET], &signed, body), Ok(NOW));
    for header in [format!("{signed},{parts}"), format!("{parts},{signed}")] {
        let verified = verify_timed(&[SECRET], &header, body);
        assert!(matches!(verified, Ok(NOW) | Err(SignatureError::Malformed)), "{verified:?}");
    }
    if !parts.contains(&signed[signed.len() - 64..]) {
        assert!(verify_timed(&["another"], &format!("{signed},{parts}"), body).is_err());
    }
    if let Some(body) = changed(body, input) {
        assert_eq!(verify_timed(&[SECRET], &signed, &body), Err(SignatureError::Mismatch));
    }
}

/// `webhook-id`, `webhook-timestamp` and `webhook-signature`: a line of each, then the body.
///
/// What is signed verifies; no changed byte of id, time or body does.
pub fn standard_webhooks(input: &[u8]) {
    let Some((id, rest)) = first_line(input) else { return };
    let Some((timestamp, rest)) = first_line(rest) else { return };
    let Some((signature, body)) = first_line(rest) else { return };
    let secret: WebhookSecret = SECRET.parse().expect("the secret of the vectors");
    let verify = |id: &str, timestamp: &str, signature: &str, body: &[u8]| {
        standard_webhooks::verify(&[&secret], id, timestamp, signature, body, NOW, TOLERANCE_SECS)
    };
    if let Ok(t) = verify(id, timestamp, signature, body) {
        let expected = standard_webhooks::sign(&[&secret], id, t, body);
        assert!(
            signature.split_ascii_whitespace().any(|one| one == expected),
            "not this message's signature"
        );
    }
    let signed = standard_webhooks::sign(&[&secret], id, NOW, body);
    let now = NOW.to_string();
    let blank = id.trim().is_empty();
    let expected = if blank { Err(SignatureError::Missing) } else { Ok(NOW) };
    assert_eq!(verify(id, &now, &signed, body), expected);
    if let Some(id) = changed_text(id, input).filter(|id| !blank && !id.trim().is_empty()) {
        assert_eq!(verify(&id, &now, &signed, body), Err(SignatureError::Mismatch));
    }
    if let Some(body) = changed(body, input).filter(|_| !blank) {
        assert_eq!(verify(id, &now, &signed, &body), Err(SignatureError::Mismatch));
    }
    if let Some(header) = changed_text(&signed, input) {
        assert!(verify(id, &now, &header, body).is_err(), "a changed signature is taken");
    }
}
