//! Bodies and queries with the named fields only: what is unknown is refused, and never echoed (contracts.md section 2).

use axum::{
    extract::{FromRequest, FromRequestParts, Path, Request, rejection::PathRejection},
    http::{HeaderMap, header, request::Parts},
};
use platform::{AppError, AppResult, Code};
use serde::de::DeserializeOwned;

use super::Edge;

/// A JSON body.
pub(super) struct Json<T>(pub(super) T);

/// A query string.
pub(super) struct Query<T>(pub(super) T);

/// No query string: the call takes none.
pub(super) struct NoQuery;

/// The parameters of a path.
pub(super) struct PathOf<T>(pub(super) T);

impl<T: DeserializeOwned> FromRequest<Edge> for Json<T> {
    type Rejection = AppError;

    async fn from_request(request: Request, edge: &Edge) -> AppResult<Self> {
        if !is_json(&request) {
            return Err(AppError::invalid(
                "the body must be JSON with the header Content-Type: application/json",
            ));
        }
        let max = edge.max_body_bytes;
        let body = axum::body::to_bytes(request.into_body(), max).await.map_err(|_| too_large(max))?;
        refuse_nul(body.windows(6).any(|escape| escape == br"\u0000"))?;
        let mut json = serde_json::Deserializer::from_slice(&body);
        let value = T::deserialize(&mut json).and_then(|value| json.end().map(|()| value));
        value.map(Self).map_err(|error| explain("the body", &error.to_string(), error.is_data()))
    }
}

impl<T: DeserializeOwned> FromRequestParts<Edge> for Query<T> {
    type Rejection = AppError;

    async fn from_request_parts(parts: &mut Parts, _: &Edge) -> AppResult<Self> {
        refuse_nul(parts.uri.query().is_some_and(|query| query.contains("%00")))?;
        let query = axum::extract::Query::<T>::try_from_uri(&parts.uri);
        query.map(|query| Self(query.0)).map_err(|error| {
            let cause =
                std::error::Error::source(&error).map_or_else(|| error.to_string(), ToString::to_string);
            explain("the query", &cause, true)
        })
    }
}

impl FromRequestParts<Edge> for NoQuery {
    type Rejection = AppError;

    async fn from_request_parts(parts: &mut Parts, _: &Edge) -> AppResult<Self> {
        match parts.uri.query() {
            None | Some("") => Ok(Self),
            Some(_) => {
                Err(AppError::invalid("this call takes no query; leave out what follows the question mark"))
            }
        }
    }
}

impl<T: DeserializeOwned + Send> FromRequestParts<Edge> for PathOf<T> {
    type Rejection = AppError;

    async fn from_request_parts(parts: &mut Parts, edge: &Edge) -> AppResult<Self> {
        refuse_nul(parts.uri.path().contains("%00"))?;
        let path: Result<Path<T>, PathRejection> = Path::from_request_parts(parts, edge).await;
        path.map(|path| Self(path.0))
            .map_err(|_| AppError::invalid("the path cannot be read; check its escapes"))
    }
}

/// The header `Idempotency-Key`, if it was sent.
pub(super) fn idempotency_key(headers: &HeaderMap) -> AppResult<Option<String>> {
    let Some(key) = headers.get("idempotency-key") else { return Ok(None) };
    match key.to_str() {
        Ok(key) if (1..=255).contains(&key.len()) => Ok(Some(key.to_owned())),
        _ => Err(AppError::invalid("Idempotency-Key must be 1 to 255 plain ASCII characters")),
    }
}

/// No text here has a NUL, and PostgreSQL could not keep one.
fn refuse_nul(found: bool) -> AppResult<()> {
    if found {
        return Err(AppError::invalid("the request has a NUL character, which no value may hold"));
    }
    Ok(())
}

fn is_json(request: &Request) -> bool {
    let kind =
        request.headers().get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    kind.split(';').next().is_some_and(|kind| kind.trim().eq_ignore_ascii_case("application/json"))
}

fn too_large(max: usize) -> AppError {
    AppError::new(Code::TooLarge, format!("the body is larger than the {max} bytes that are taken here"))
}

/// Says what is wrong in our own words: serde's would repeat what the caller sent.
fn explain(what: &str, error: &str, is_data: bool) -> AppError {
    if !is_data {
        return AppError::invalid(format!("{what} is not well-formed JSON"));
    }
    // Of a query, the name of the field comes first.
    if error.starts_with("unknown field") || error.contains(": unknown field `") {
        let taken = error.rsplit_once("expected ").map_or("none", |(_, taken)| strip_position(taken));
        return AppError::invalid(format!("{what} has a field that is not taken here; it takes {taken}"));
    }
    if let Some(field) = error.strip_prefix("missing field ") {
        return AppError::invalid(format!("{what} lacks the field {}", strip_position(field)));
    }
    if let Some(field) = error.strip_prefix("duplicate field ") {
        return AppError::invalid(format!("{what} has the field {} twice", strip_position(field)));
    }
    match error.rsplit_once("expected ") {
        Some((_, expected)) => AppError::invalid(format!(
            "{what} has a field of the wrong type; expected {}",
            strip_position(expected)
        )),
        None => AppError::invalid(format!(
            "{what} has a value that cannot be read; GET /openapi.json tells its form"
        )),
    }
}

fn strip_position(text: &str) -> &str {
    text.split(" at line ").next().unwrap_or(text)
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Example {
        #[expect(dead_code, reason = "only read")]
        version: String,
        #[expect(dead_code, reason = "only read")]
        count: Option<u32>,
    }

    fn message(body: &str) -> String {
        let error = serde_json::from_str::<Example>(body).unwrap_err();
        explain("the body", &error.to_string(), error.is_data()).message().to_owned()
    }

    #[test]
    fn each_wrong_body_is_told_and_its_content_never_echoed() {
        let cases = [
            (r#"{"version":"1","buyer@shop.com":1}"#, "it takes `version` or `count`"),
            (r#"{"count":1}"#, "lacks the field `version`"),
            (r#"{"version":"1","count":"buyer@shop.com"}"#, "expected u32"),
            (r#"{"version":{"buyer@shop.com":1}}"#, "expected a string"),
            (r#"{"version":"1","version":"2"}"#, "`version` twice"),
            (r#"{"version": buyer@shop.com}"#, "not well-formed"),
            (r#"{"version":"1","expected buyer@shop.com":1}"#, "it takes `version` or `count`"),
        ];
        for (body, says) in cases {
            let message = message(body);
            assert!(message.contains(says), "{message}");
            assert!(!message.contains("buyer@shop.com"), "{message}");
        }
    }
}
