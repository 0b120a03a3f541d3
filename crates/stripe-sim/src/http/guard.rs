//! What every call of the API goes through: the key, the version, the request id.

use std::sync::Arc;

use axum::extract::{OriginalUri, Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;

use crate::ambient;
use crate::app::Sim;
use crate::domain::error::ApiError;
use crate::domain::event::{API_VERSION, Cause};

const REQUEST_ID: HeaderName = HeaderName::from_static("request-id");
const VERSION: HeaderName = HeaderName::from_static("stripe-version");
const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");
const MAX_IDEMPOTENCY_KEY: usize = 255;

/// Checks a call's headers, and gives its answer the headers of Stripe's.
pub(super) async fn guard(State(sim): State<Arc<Sim>>, mut request: Request, next: Next) -> Response {
    let request_id = ambient::id("req_");
    let version = version(request.headers());
    let response = match admit(&sim, request.headers(), &request_id, version.as_ref()) {
        Ok(cause) => {
            request.extensions_mut().insert(cause);
            next.run(request).await
        }
        Err(error) => error.into_response(),
    };
    dressed(response, &request_id, version.ok().as_deref().unwrap_or(API_VERSION))
}

/// Stripe's 404 for a path or method that the API does not have.
pub(super) async fn unrecognized(method: axum::http::Method, OriginalUri(uri): OriginalUri) -> ApiError {
    ApiError::unrecognized(method.as_str(), uri.path())
}

fn admit(
    sim: &Sim,
    headers: &HeaderMap,
    request_id: &str,
    version: Result<&String, &ApiError>,
) -> Result<Cause, ApiError> {
    let key = key(headers).ok_or_else(ApiError::no_key)?;
    if key != sim.api_key {
        return Err(ApiError::wrong_key(&key));
    }
    version.map_err(Clone::clone)?;
    Ok(Cause { id: Some(request_id.to_owned()), idempotency_key: idempotency_key(headers)? })
}

/// The key, as `Bearer` or as the user of `Basic`.
fn key(headers: &HeaderMap) -> Option<String> {
    let (scheme, credentials) = headers.get(header::AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    let key = if scheme.eq_ignore_ascii_case("bearer") {
        credentials.trim().to_owned()
    } else if scheme.eq_ignore_ascii_case("basic") {
        let pair = String::from_utf8(BASE64_STANDARD.decode(credentials.trim()).ok()?).ok()?;
        pair.split(':').next()?.to_owned()
    } else {
        return None;
    };
    (!key.is_empty()).then_some(key)
}

/// `2025-09-30` or `2025-09-30.clover`.
fn version(headers: &HeaderMap) -> Result<String, ApiError> {
    let Some(value) = headers.get(VERSION) else { return Ok(API_VERSION.to_owned()) };
    let text = value.to_str().unwrap_or_default();
    let (date, name) = text.split_once('.').unwrap_or((text, "none"));
    let parts: Vec<&str> = date.split('-').collect();
    let dated = parts.iter().map(|part| part.len()).eq([4, 2, 2])
        && parts.concat().bytes().all(|byte| byte.is_ascii_digit());
    if dated && !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_lowercase()) {
        return Ok(text.to_owned());
    }
    Err(ApiError::invalid("Invalid Stripe API version: it is a date and a name, such as 2025-09-30.clover"))
}

fn idempotency_key(headers: &HeaderMap) -> Result<Option<String>, ApiError> {
    let Some(value) = headers.get(IDEMPOTENCY_KEY) else { return Ok(None) };
    match value.to_str() {
        Ok(key) if !key.is_empty() && key.len() <= MAX_IDEMPOTENCY_KEY => Ok(Some(key.to_owned())),
        _ => Err(ApiError::invalid("An Idempotency-Key has between 1 and 255 printable characters.")),
    }
}

fn dressed(response: Response, request_id: &str, version: &str) -> Response {
    let mut response = match response.extensions().get::<ApiError>() {
        Some(error) => super::indented(response.status(), &error.body(Some(request_id))),
        None => response,
    };
    if response.status() == axum::http::StatusCode::UNAUTHORIZED {
        response
            .headers_mut()
            .insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Basic realm=\"Stripe\""));
    }
    for (name, value) in [(REQUEST_ID, request_id), (VERSION, version)] {
        if let Ok(value) = HeaderValue::from_str(value) {
            response.headers_mut().insert(name, value);
        }
    }
    response
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn with(name: HeaderName, value: &str) -> HeaderMap {
        HeaderMap::from_iter([(name, HeaderValue::from_str(value).unwrap())])
    }

    #[test]
    fn the_key_comes_as_bearer_or_basic() {
        assert_eq!(key(&with(header::AUTHORIZATION, "Bearer sk_test_1")).as_deref(), Some("sk_test_1"));
        let basic = format!("Basic {}", BASE64_STANDARD.encode("sk_test_1:"));
        assert_eq!(key(&with(header::AUTHORIZATION, &basic)).as_deref(), Some("sk_test_1"));
        for wrong in ["sk_test_1", "Bearer ", "Digest sk_test_1", "Basic !"] {
            assert_eq!(key(&with(header::AUTHORIZATION, wrong)), None, "{wrong}");
        }
    }

    #[test]
    fn a_version_is_a_date_and_a_name() {
        for (text, known) in [
            ("2025-09-30.clover", true),
            ("2024-06-20", true),
            ("latest", false),
            ("2025-9-30", false),
            ("2025-09-30.", false),
        ] {
            assert_eq!(version(&with(VERSION, text)).is_ok(), known, "{text}");
        }
    }
}
