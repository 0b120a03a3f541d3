//! `/dl/…`: the bytes behind a signed URL, whole or a range of them (RFC 9110, section 14).

use axum::{
    body::Body,
    extract::State,
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::Response,
};
use futures::StreamExt as _;
use platform::{AppError, AppResult};
use serde::Deserialize;

use super::{
    Edge, reply,
    strict::{PathOf, Query},
};
use crate::{
    app::TicketPath,
    domain::range::{self, Asked},
};

/// The signed part of the URL.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Ticket {
    expires: i64,
    sig: String,
}

pub(super) async fn get(
    State(edge): State<Edge>,
    PathOf((sha256, size, file_name)): PathOf<(String, u64, String)>,
    Query(ticket): Query<Ticket>,
    headers: HeaderMap,
) -> AppResult<Response> {
    let path = TicketPath { sha256, size, file_name };
    edge.app.check_ticket(&path, ticket.expires, &ticket.sig)?;
    let etag = format!("\"{}\"", path.sha256);
    let (status, start, length) = match asked(&headers, &etag, size) {
        Asked::Whole => (StatusCode::OK, 0, size),
        Asked::Part { start, length } => (StatusCode::PARTIAL_CONTENT, start, length),
        Asked::Unsatisfiable => return unsatisfiable(size),
    };
    let chunks = edge.app.read_artifact(path.sha256.clone(), start, length).await?;
    let body = Body::from_stream(chunks.map(|chunk| chunk.map(|chunk| chunk.data)));
    let mut response = Response::new(body);
    *response.status_mut() = status;
    describe(response.headers_mut(), &path, &etag, length)?;
    if status == StatusCode::PARTIAL_CONTENT {
        let range = format!("bytes {start}-{}/{size}", start + length - 1);
        response.headers_mut().insert(header::CONTENT_RANGE, value(&range)?);
    }
    Ok(response)
}

/// A range is kept only while `If-Range` still names these bytes.
fn asked(headers: &HeaderMap, etag: &str, size: u64) -> Asked {
    let text = |name| headers.get(name).and_then(|value: &HeaderValue| value.to_str().ok());
    match text(header::IF_RANGE) {
        Some(expected) if expected != etag => Asked::Whole,
        _ => range::parse(text(header::RANGE), size),
    }
}

fn describe(headers: &mut HeaderMap, path: &TicketPath, etag: &str, length: u64) -> AppResult<()> {
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/zip"));
    headers.insert(header::CONTENT_LENGTH, HeaderValue::from(length));
    headers.insert(header::ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("private, max-age=900, immutable"));
    headers.insert(header::ETAG, value(etag)?);
    let disposition = format!("attachment; filename=\"{}\"", path.file_name);
    headers.insert(header::CONTENT_DISPOSITION, value(&disposition)?);
    Ok(())
}

fn unsatisfiable(size: u64) -> AppResult<Response> {
    let mut response = reply::empty(StatusCode::RANGE_NOT_SATISFIABLE);
    response.headers_mut().insert(header::CONTENT_RANGE, value(&format!("bytes */{size}"))?);
    Ok(response)
}

fn value(text: &str) -> AppResult<HeaderValue> {
    HeaderValue::from_str(text).map_err(AppError::unexpected)
}
