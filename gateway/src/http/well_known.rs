//! `/.well-known/mercato.json`: who this marketplace is and how its signatures are checked.

use axum::{
    Json,
    extract::State,
    http::{HeaderName, HeaderValue, header},
};
use platform::{AppError, AppResult};
use serde::Serialize;
use serde_json::value::RawValue;
use utoipa::ToSchema;

use super::{Edge, reply::ErrorBody, strict::NoQuery};

/// Who this marketplace is.
#[derive(Serialize, ToSchema)]
pub(super) struct Identity {
    /// The `iss` of licence tokens.
    issuer: String,
    /// RFC 7517 set of Ed25519 keys that verify licence tokens.
    #[schema(value_type = Object)]
    jwks: Box<RawValue>,
    /// base64 of the X25519 key to which instance ids are sealed.
    sealing_key: String,
}

/// The marketplace's public keys.
#[utoipa::path(
    get,
    path = "/.well-known/mercato.json",
    tag = "feed",
    responses((status = 200, body = Identity), (status = "default", body = ErrorBody))
)]
pub(super) async fn get(
    State(edge): State<Edge>,
    _: NoQuery,
) -> AppResult<([(HeaderName, HeaderValue); 1], Json<Identity>)> {
    let keys = edge.app.public_keys().await?;
    let jwks = RawValue::from_string(keys.jwks_json).map_err(AppError::unexpected)?;
    let cache = (header::CACHE_CONTROL, HeaderValue::from_static("public, max-age=300"));
    Ok(([cache], Json(Identity { issuer: keys.issuer, jwks, sealing_key: keys.sealing_key })))
}
