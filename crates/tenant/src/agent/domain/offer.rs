use semver::Version;
use serde::{Deserialize, Serialize};
use wire::manifest::MarketplaceId;

/// A licence that nobody in this shop asked for. It is shown, and the administrator decides.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Offer {
    /// The delivery or licence it came with.
    pub(crate) id: String,
    pub(crate) marketplace_id: MarketplaceId,
    pub(crate) version: Version,
    pub(crate) license_key: String,
    pub(crate) arrived_at_ms: i64,
}
