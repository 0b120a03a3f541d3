//! A ZIP that arrives in pieces.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use platform::{AppError, AppResult};
use proto::catalog::{ImportHeader, ImportReleaseRequest, import_release_request::Part};
use tokio::time::timeout;
use tonic::Streaming;

use crate::app::{Import, too_large};

/// A sender that stalls must not keep its place for ever.
const WITHIN: Duration = Duration::from_mins(5);

/// The first message.
pub(super) async fn read_header(parts: &mut Streaming<ImportReleaseRequest>) -> AppResult<Import> {
    match next(parts).await? {
        Some(Part::Header(header)) => parse(header),
        _ => Err(AppError::invalid("an import begins with its header; the ZIP's bytes follow")),
    }
}

fn parse(header: ImportHeader) -> AppResult<Import> {
    Ok(Import {
        vendor_id: header.vendor_id,
        signature: header.signature,
        kind: header.kind.parse::<crate::domain::Kind>()?,
        security: header.security,
    })
}

/// All further messages, at most `limit` bytes.
pub(super) async fn read_zip(parts: &mut Streaming<ImportReleaseRequest>, limit: u64) -> AppResult<Bytes> {
    let slow = |_| AppError::invalid("the ZIP did not arrive within 5 minutes; send it again");
    timeout(WITHIN, read_chunks(parts, limit)).await.map_err(slow)?
}

async fn read_chunks(parts: &mut Streaming<ImportReleaseRequest>, limit: u64) -> AppResult<Bytes> {
    let mut zip = BytesMut::new();
    while let Some(part) = next(parts).await? {
        let Part::Chunk(chunk) = part else {
            return Err(AppError::invalid("an import has one header; only bytes follow it"));
        };
        if (zip.len() + chunk.len()) as u64 > limit {
            return Err(too_large(limit));
        }
        zip.extend_from_slice(&chunk);
    }
    Ok(zip.freeze())
}

async fn next(parts: &mut Streaming<ImportReleaseRequest>) -> AppResult<Option<Part>> {
    let broken = |status| AppError::invalid("the upload broke off; send the ZIP again").caused_by(status);
    let message = parts.message().await.map_err(broken)?;
    match message {
        None => Ok(None),
        Some(ImportReleaseRequest { part: Some(part) }) => Ok(Some(part)),
        Some(_) => Err(AppError::invalid("each message of an import is its header or bytes of the ZIP")),
    }
}
