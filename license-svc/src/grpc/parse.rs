//! What more than one service takes.

use platform::{AppError, AppResult};
use wire::manifest::MarketplaceId;

pub(super) fn marketplace_id(text: &str) -> AppResult<&str> {
    match text.parse::<MarketplaceId>() {
        Ok(_) => Ok(text),
        Err(error) => Err(AppError::invalid(error.to_string())),
    }
}

pub(super) fn key_hash(bytes: Vec<u8>) -> AppResult<[u8; 32]> {
    bytes.try_into().map_err(|_| AppError::invalid("key_hash must be the 32 bytes of a SHA-256"))
}
