//! What the catalogue says of a release, as it comes over either edge: with a request, or over the bus.

use proto::{events::ReleaseChanged, license::AppRelease};

use crate::domain::installation::Facts;

impl From<AppRelease> for Facts {
    fn from(release: AppRelease) -> Self {
        Self {
            marketplace_id: release.marketplace_id,
            version: release.version,
            kind: release.kind,
            price_cents: release.price_cents,
            permissions: release.permissions,
            api_min_version: release.api_min_version,
            api_max_version: release.api_max_version,
            surface: release.surface,
            published_at_ms: release.published_at_ms,
        }
    }
}

impl From<ReleaseChanged> for Facts {
    fn from(release: ReleaseChanged) -> Self {
        Self {
            marketplace_id: release.marketplace_id,
            version: release.version,
            kind: release.kind,
            price_cents: release.price_cents,
            permissions: release.permissions,
            api_min_version: release.api_min_version,
            api_max_version: release.api_max_version,
            surface: release.surface,
            published_at_ms: release.published_at_ms,
        }
    }
}
