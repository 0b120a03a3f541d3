//! What shops call (contracts.md section 2).

pub(super) mod checkout;
pub(super) mod download;
pub(super) mod feed;
pub(super) mod installations;
pub(super) mod introspect;
pub(super) mod license;
pub(super) mod updates;

use platform::{AppError, AppResult};
use semver::Version;
use wire::manifest::MarketplaceId;

pub(super) fn marketplace_id(text: &str) -> AppResult<MarketplaceId> {
    text.parse().map_err(|_| AppError::invalid("the marketplace id must have the form @vendor/app"))
}

pub(super) fn version(text: &str) -> AppResult<Version> {
    Version::parse(text)
        .map_err(|_| AppError::invalid("the version must be a semantic version such as 1.0.0"))
}
