//! A ZIP, or a hosted app's manifest, that arrives in pieces.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use platform::{AppError, AppResult};
use proto::catalog::{ImportHeader, ImportReleaseRequest, import_release_request::Part};
use tokio::time::timeout;
use tonic::Streaming;

use crate::{
    app::{Import, too_large},
    domain::Kind,
};

/// A sender that stalls must not keep its place for ever.
const WITHIN: Duration = Duration::from_mins(5);

/// The first message.
pub(super) async fn read_header(parts: &mut Streaming<ImportReleaseRequest>) -> AppResult<Import> {
    match next(parts).await? {
        Some(Part::Header(header)) => parse(header),
        _ => Err(AppError::invalid("an import begins with its header; the bytes follow")),
    }
}

fn parse(header: ImportHeader) -> AppResult<Import> {
    Ok(Import {
        vendor_id: header.vendor_id,
        signature: header.signature,
        kind: header.kind.parse::<Kind>()?,
        security: header.security,
        required_after_ms: header.required_after_ms,
    })
}

/// All further messages, at most `limit` bytes.
pub(super) async fn read_bytes(
    parts: &mut Streaming<ImportReleaseRequest>,
    kind: Kind,
    limit: u64,
) -> AppResult<Bytes> {
    let slow = |_| AppError::invalid("the bytes did not arrive within 5 minutes; send them again");
    timeout(WITHIN, read_chunks(parts, kind, limit)).await.map_err(slow)?
}

async fn read_chunks(
    parts: &mut Streaming<ImportReleaseRequest>,
    kind: Kind,
    limit: u64,
) -> AppResult<Bytes> {
    let mut bytes = BytesMut::new();
    while let Some(part) = next(parts).await? {
        let Part::Chunk(chunk) = part else {
            return Err(AppError::invalid("an import has one header; only bytes follow it"));
        };
        if (bytes.len() + chunk.len()) as u64 > limit {
            return Err(too_large(kind, limit));
        }
        bytes.extend_from_slice(&chunk);
    }
    Ok(bytes.freeze())
}

async fn next(parts: &mut Streaming<ImportReleaseRequest>) -> AppResult<Option<Part>> {
    let broken = |status| AppError::invalid("the upload broke off; send it again").caused_by(status);
    let message = parts.message().await.map_err(broken)?;
    match message {
        None => Ok(None),
        Some(ImportReleaseRequest { part: Some(part) }) => Ok(Some(part)),
        Some(_) => Err(AppError::invalid("each message of an import is its header or bytes")),
    }
}
