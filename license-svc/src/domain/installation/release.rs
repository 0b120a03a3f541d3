//! What the catalogue says of a release, as far as an installation of it goes.

use std::{collections::BTreeSet, fmt};

use platform::Code;
use semver::Version;
use serde::{Deserialize, Serialize};
use wire::manifest::MarketplaceId;

use super::Refusal;
use crate::domain::{Invalid, instance::ShopApi};

/// What kind of app can be installed in a shop. A plugin cannot: the shop downloads it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Kind {
    /// Only HTML and JavaScript: the store installs it by itself, without a callback.
    Static,
    /// Runs on its vendor's servers, which are told by callbacks.
    Hosted,
}

impl Kind {
    /// As it is stored and told.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Static => "static",
            Self::Hosted => "hosted",
        }
    }

    /// The kind that is stored as `text`.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        [Self::Static, Self::Hosted].into_iter().find(|kind| kind.as_str() == text)
    }
}

/// Named methods of the shop's API, such as `api:orders.read`; a set.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct Permissions(BTreeSet<String>);

impl Permissions {
    /// Of any order, repeated or not.
    pub(crate) fn new(names: impl IntoIterator<Item = String>) -> Self {
        Self(names.into_iter().collect())
    }

    /// Whether it holds all of the others.
    pub(super) fn contains_all(&self, others: &Self) -> bool {
        self.0.is_superset(&others.0)
    }

    /// In alphabetical order.
    pub(crate) fn into_names(self) -> Vec<String> {
        self.0.into_iter().collect()
    }
}

impl fmt::Display for Permissions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<&str> = self.0.iter().map(String::as_str).collect();
        f.write_str(if names.is_empty() { "none" } else { "" })?;
        f.write_str(&names.join(", "))
    }
}

/// What a shop runs, or is to run, of an app.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Edition {
    pub(crate) version: Version,
    /// Those required and, where it is installed, granted.
    pub(crate) permissions: Permissions,
    /// Equal where an installation needs no update to get from one to the other.
    pub(crate) surface: String,
    /// Running it needs a licence.
    pub(crate) paid: bool,
    /// What a licence's time of updates is measured against.
    pub(crate) published_at_ms: i64,
}

impl Edition {
    /// Whether it comes after the other. What a version says of its build counts for nothing (semver.org, 10).
    pub(super) fn is_newer_than(&self, other: &Self) -> bool {
        self.version.cmp_precedence(&other.version).is_gt()
    }

    /// Whether it is for everybody, and not a release on trial.
    pub(super) fn is_finished(&self) -> bool {
        self.version.pre.is_empty()
    }
}

/// The versions of the shop's API that an app can work with, both included.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ApiRange {
    pub(crate) min_version: u32,
    pub(crate) max_version: u32,
}

impl ApiRange {
    /// Whether there is a version that both speak.
    pub(super) fn overlaps(self, api: &ShopApi) -> bool {
        let (min, max) = (api.min_version.cast_unsigned(), api.max_version.cast_unsigned());
        self.min_version <= max && min <= self.max_version
    }
}

/// A release that can be installed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Release {
    pub(crate) marketplace_id: String,
    pub(crate) kind: Kind,
    pub(crate) edition: Edition,
    /// None: it does not use the shop's API.
    pub(crate) api: Option<ApiRange>,
}

/// A release as the catalogue told of it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Facts {
    pub(crate) marketplace_id: String,
    pub(crate) version: String,
    pub(crate) kind: String,
    pub(crate) price_cents: i64,
    pub(crate) permissions: Vec<String>,
    pub(crate) api_min_version: Option<u32>,
    pub(crate) api_max_version: Option<u32>,
    pub(crate) surface: String,
    pub(crate) published_at_ms: i64,
}

impl Facts {
    /// Checked.
    pub(crate) fn check(self) -> Result<Release, Refusal> {
        let kind = self.kind()?;
        let api = self.api().map_err(invalid)?;
        let version = Version::parse(&self.version);
        let version = version.map_err(|_| invalid(Invalid("release.version must be a semantic version")))?;
        if self.marketplace_id.parse::<MarketplaceId>().is_err() || self.surface.is_empty() {
            return Err(invalid(Invalid("release needs its marketplace_id @vendor/name and its surface")));
        }
        let edition = Edition {
            version,
            permissions: Permissions::new(self.permissions),
            surface: self.surface,
            paid: self.price_cents > 0,
            published_at_ms: self.published_at_ms,
        };
        Ok(Release { marketplace_id: self.marketplace_id, kind, edition, api })
    }

    fn kind(&self) -> Result<Kind, Refusal> {
        Kind::parse(&self.kind).ok_or_else(|| {
            let words = "only hosted and static apps are installed here; a plugin is downloaded and installed by \
                         the shop itself";
            Refusal::new(Code::NotAllowed, words)
        })
    }

    fn api(&self) -> Result<Option<ApiRange>, Invalid> {
        match (self.api_min_version, self.api_max_version) {
            (None, None) => Ok(None),
            (Some(min_version), Some(max_version)) if min_version <= max_version => {
                Ok(Some(ApiRange { min_version, max_version }))
            }
            _ => Err(Invalid("release.api_min_version and api_max_version must be a range, or both absent")),
        }
    }
}

fn invalid(error: Invalid) -> Refusal {
    Refusal::new(Code::InvalidData, error.0)
}

#[cfg(test)]
pub(crate) mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    pub(crate) fn facts(version: &str) -> Facts {
        Facts {
            marketplace_id: "@vendor/app".into(),
            version: version.into(),
            kind: "hosted".into(),
            price_cents: 0,
            permissions: vec!["api:orders.read".into()],
            api_min_version: Some(2),
            api_max_version: Some(4),
            surface: "one".into(),
            published_at_ms: 1_000,
        }
    }

    pub(crate) fn edition(version: &str) -> Edition {
        facts(version).check().unwrap().edition
    }

    #[test]
    fn facts_become_a_release() {
        let release = facts("1.2.0").check().unwrap();
        assert_eq!((release.kind, release.edition.paid), (Kind::Hosted, false));
        assert_eq!(release.api, Some(ApiRange { min_version: 2, max_version: 4 }));
        let no_api = Facts { api_min_version: None, api_max_version: None, ..facts("1.2.0") };
        assert_eq!(no_api.check().unwrap().api, None);
        assert!(Facts { price_cents: 1, ..facts("1.2.0") }.check().unwrap().edition.paid);
    }

    #[test]
    fn facts_that_cannot_be_installed_say_why() {
        let bad = [
            (Facts { kind: "plugin".into(), ..facts("1.0.0") }, Code::NotAllowed, "downloaded"),
            (Facts { kind: String::new(), ..facts("1.0.0") }, Code::NotAllowed, "only hosted and static"),
            (facts("one"), Code::InvalidData, "semantic version"),
            (Facts { marketplace_id: "app".into(), ..facts("1.0.0") }, Code::InvalidData, "@vendor/name"),
            (Facts { surface: String::new(), ..facts("1.0.0") }, Code::InvalidData, "surface"),
            (Facts { api_max_version: None, ..facts("1.0.0") }, Code::InvalidData, "both absent"),
            (Facts { api_min_version: Some(5), ..facts("1.0.0") }, Code::InvalidData, "range"),
        ];
        for (facts, code, words) in bad {
            let refusal = facts.check().unwrap_err();
            assert_eq!(refusal.code(), code, "{refusal}");
            assert!(refusal.to_string().contains(words), "{refusal}");
        }
    }

    #[test]
    fn ranges_overlap_where_there_is_a_common_version() {
        let api = ShopApi::new("https://shop.example/api/", 2, 4).unwrap();
        let table = [((1, 1), false), ((1, 2), true), ((3, 3), true), ((4, 9), true), ((5, 9), false)];
        for ((min_version, max_version), overlaps) in table {
            assert_eq!(ApiRange { min_version, max_version }.overlaps(&api), overlaps, "{min_version}");
        }
    }

    #[test]
    fn a_build_makes_no_version_newer() {
        assert!(edition("1.10.0").is_newer_than(&edition("1.9.0")));
        assert!(!edition("1.0.0+b2").is_newer_than(&edition("1.0.0+b1")));
        assert!(!edition("2.0.0-rc.1").is_finished() && edition("2.0.0+b1").is_finished());
    }

    #[test]
    fn kinds_survive_their_text() {
        assert_eq!(
            [Kind::Static, Kind::Hosted].map(|kind| Kind::parse(kind.as_str()).unwrap()),
            [Kind::Static, Kind::Hosted]
        );
        assert_eq!(Kind::parse("plugin"), None);
    }
}
