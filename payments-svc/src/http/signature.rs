//! `Stripe-Signature` (contracts.md section 6; docs.stripe.com/webhooks#verify-manually).

use axum::http::HeaderMap;
use platform::{AppError, AppResult, secret::Secret};
use wire::timed_signature::{self, TOLERANCE_SECS};

const HEADER: &str = "stripe-signature";

/// Refuses a body that none of the secrets signed within the last five minutes.
pub(super) fn verify(secrets: &[Secret], headers: &HeaderMap, body: &[u8], now_secs: i64) -> AppResult<()> {
    let mut given = headers.get_all(HEADER).iter();
    let (first, second) = (given.next(), given.next());
    if second.is_some() {
        return Err(AppError::invalid("there is more than one Stripe-Signature header; send exactly one"));
    }
    let header = first.map_or(Ok(""), |value| value.to_str()).map_err(|_| {
        AppError::invalid("the Stripe-Signature header is malformed; it must be printable ASCII")
    })?;
    let secrets: Vec<&str> = secrets.iter().map(Secret::expose).collect();
    timed_signature::verify(&secrets, header, body, now_secs, TOLERANCE_SECS)
        .map(|_| ())
        .map_err(|error| AppError::invalid(format!("Stripe-Signature: {error}")))
}
