use semver::Version;
use wire::manifest::{AppType, MarketplaceId};

use super::{Audience, PublicKey, Release, find_offered};

/// Where a hosted app with these releases takes its callbacks: the endpoint of its newest release on offer. Where all
/// are yanked it is the newest one's, because the app must still learn of removals.
#[must_use]
pub fn find_installation_url(releases: &[Release]) -> Option<&str> {
    let newest = || releases.iter().max_by_key(|release| release.version());
    let release = find_offered(releases, Audience::Everybody).or_else(newest)?;
    release.manifest.hosted.as_ref().map(|hosted| hosted.installation_url.as_str())
}

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

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::{
        super::release::tests::{hosted, release},
        *,
    };
    use crate::domain::Yanking;

    fn at(version: &str, url: &str) -> Release {
        let mut release = hosted(version);
        release.manifest.hosted.as_mut().into_iter().for_each(|it| it.installation_url = url.to_owned());
        release
    }

    fn withdrawn(release: Release) -> Release {
        match release.yank("broken".parse().unwrap(), 5) {
            Yanking::Done(release) | Yanking::Already(release) => release,
        }
    }

    #[test]
    fn callbacks_go_where_the_newest_release_on_offer_takes_them() {
        let (old, new) = (at("1.9.0", "https://a.b/1"), at("1.10.0", "https://a.b/2"));
        let beta = at("2.0.0-beta.1", "https://a.b/3");
        assert_eq!(find_installation_url(&[new.clone(), old.clone(), beta]), Some("https://a.b/2"));
        let gone = withdrawn(new);
        assert_eq!(find_installation_url(&[old.clone(), gone.clone()]), Some("https://a.b/1"));
        assert_eq!(
            find_installation_url(&[withdrawn(old), gone]),
            Some("https://a.b/2"),
            "it hears of removals"
        );
        assert_eq!(find_installation_url(&[release("1.0.0")]), None);
        assert_eq!(find_installation_url(&[]), None);
    }
}
