//! How values are written in answers.

use axum::{
    body::Body,
    http::{HeaderValue, StatusCode, header},
    response::Response,
};
use bytes::Bytes;
use platform::{AppError, AppResult};
use proto::catalog;
use serde::Serialize;
use serde_json::Number;
use time::{OffsetDateTime, format_description::well_known::Rfc3339};
use utoipa::ToSchema;

/// What every error looks like.
#[derive(Serialize, ToSchema)]
pub(super) struct ErrorBody {
    /// `invalid_data`, `unauthorized`, `payment_required`, `not_allowed`, `not_found`, `conflict`, `too_large`,
    /// `rate_limited`, `unavailable` or `unexpected`.
    r#type: String,
    /// What was wrong and what would be right.
    message: String,
    /// Names this request to the operator.
    request_id: String,
}

/// An Ed25519 signature.
#[derive(Serialize, ToSchema)]
pub(super) struct Signature {
    /// Which key made it.
    key_id: String,
    /// base64 of 64 bytes.
    value: String,
}

/// An Ed25519 public key.
#[derive(Serialize, ToSchema)]
pub(super) struct PublicKey {
    /// RFC 7638 thumbprint.
    key_id: String,
    /// base64 of 32 bytes.
    value: String,
}

impl From<catalog::Signature> for Signature {
    fn from(signature: catalog::Signature) -> Self {
        Self { key_id: signature.key_id, value: signature.value }
    }
}

impl From<catalog::PublicKey> for PublicKey {
    fn from(key: catalog::PublicKey) -> Self {
        Self { key_id: key.key_id, value: key.value }
    }
}

/// RFC 3339 of Unix milliseconds.
pub(super) fn time(ms: i64) -> String {
    OffsetDateTime::from_unix_timestamp_nanos(i128::from(ms) * 1_000_000)
        .ok()
        .and_then(|time| time.format(&Rfc3339).ok())
        .unwrap_or_default()
}

/// Euros of cents: `0`, `29`, `29.99`.
#[expect(clippy::cast_precision_loss, reason = "prices are far below 2^52 cents")]
pub(super) fn euros(cents: i64) -> Number {
    match cents % 100 {
        0 => Number::from(cents / 100),
        _ => Number::from_f64(cents as f64 / 100.0).unwrap_or_else(|| Number::from(0)),
    }
}

/// A value as JSON bytes.
pub(super) fn json_bytes(value: &impl Serialize) -> AppResult<Bytes> {
    serde_json::to_vec(value).map(Bytes::from).map_err(AppError::unexpected)
}

/// Bytes that are JSON already.
pub(super) fn json_response(body: Bytes) -> Response {
    let mut response = Response::new(Body::from(body));
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

/// Nothing but a status.
pub(super) fn empty(status: StatusCode) -> Response {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = status;
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prices_and_times_are_written_as_people_read_them() {
        assert_eq!(euros(0).to_string(), "0");
        assert_eq!(euros(2900).to_string(), "29");
        assert_eq!(euros(2999).to_string(), "29.99");
        assert_eq!(euros(1010).to_string(), "10.1");
        assert_eq!(time(1_335_939_007_000), "2012-05-02T06:10:07Z");
    }
}
