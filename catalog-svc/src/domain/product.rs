use semver::Version;
use wire::manifest::{AppType, MarketplaceId};

use super::{Audience, PublicKey, Release, find_offered};

/// An app with all its releases, as the marketplace lists it.
#[derive(Debug, Clone, PartialEq)]
pub struct Product {
    id: String,
    marketplace_id: MarketplaceId,
    app_type: AppType,
    vendor_display_name: String,
    vendor_keys: Vec<PublicKey>,
    releases: Vec<Release>,
}

impl Product {
    /// From its parts, the releases in any order.
    #[must_use]
    pub fn new(
        id: String,
        marketplace_id: MarketplaceId,
        app_type: AppType,
        vendor: (String, Vec<PublicKey>),
        mut releases: Vec<Release>,
    ) -> Self {
        releases.sort_by(Release::newest_first);
        let (vendor_display_name, vendor_keys) = vendor;
        Self { id, marketplace_id, app_type, vendor_display_name, vendor_keys, releases }
    }

    /// `ccmp_…`
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }

    /// `@vendor/name`
    #[must_use]
    pub fn marketplace_id(&self) -> &MarketplaceId {
        &self.marketplace_id
    }

    /// What it is for.
    #[must_use]
    pub fn app_type(&self) -> AppType {
        self.app_type
    }

    /// The vendor as people know it.
    #[must_use]
    pub fn vendor_display_name(&self) -> &str {
        &self.vendor_display_name
    }

    /// The keys that verify its releases, rotated ones included.
    #[must_use]
    pub fn vendor_keys(&self) -> &[PublicKey] {
        &self.vendor_keys
    }

    /// All releases, the newest version first, yanked ones included.
    #[must_use]
    pub fn releases(&self) -> &[Release] {
        &self.releases
    }

    /// The release that everybody is offered; none where all are yanked.
    #[must_use]
    pub fn find_latest(&self) -> Option<&Release> {
        find_offered(&self.releases, Audience::Everybody)
    }

    /// One exact release, yanked or not.
    #[must_use]
    pub fn find_release(&self, version: &Version) -> Option<&Release> {
        self.releases.iter().find(|release| release.version() == version)
    }
}
