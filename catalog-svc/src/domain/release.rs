use std::{cmp::Ordering, fmt, str::FromStr};

use semver::Version;
use thiserror::Error;
use wire::{
    manifest::Manifest,
    release::{ArtifactDigest, ReleaseSignature},
};

const MAX_REASON: usize = 500;

/// How a shop runs the app (contracts.md section 1). A hosted app, which has no artefact, is published by its vendor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A ZIP that the shop downloads and installs.
    Plugin,
    /// Only HTML and JavaScript, which the store installs by itself.
    Static,
}

/// A text that is no [`Kind`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("the kind of an imported release is `plugin` or `static`")]
pub struct ParseKindError;

impl Kind {
    /// The text in rows and answers.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Plugin => "plugin",
            Self::Static => "static",
        }
    }
}

impl FromStr for Kind {
    type Err = ParseKindError;

    fn from_str(text: &str) -> Result<Self, ParseKindError> {
        [Self::Plugin, Self::Static].into_iter().find(|kind| kind.as_str() == text).ok_or(ParseKindError)
    }
}

/// The bytes of a release.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Artifact {
    /// Their address.
    pub sha256: ArtifactDigest,
    /// How many.
    pub size: u64,
}

/// Where a release stands on its way (contracts.md section 8: `submitted → in_review → approved | rejected |
/// changes_requested → published → yanked`). An imported release is published at once; what vendors submit enters
/// through the states before `Published`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ReleaseState {
    /// On offer.
    Published,
    /// Offered to no one, still there for those who run it.
    Yanked(Yank),
}

/// Why and when a release was withdrawn.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Yank {
    /// For people.
    pub reason: YankReason,
    /// Unix milliseconds.
    pub at_ms: i64,
}

/// Why a release is withdrawn, in words that shops read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct YankReason(String);

/// A text that tells no reason.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("a release is yanked with a reason of 1 to 500 characters, which its users will read")]
pub struct YankReasonError;

impl FromStr for YankReason {
    type Err = YankReasonError;

    fn from_str(text: &str) -> Result<Self, YankReasonError> {
        let text = text.trim();
        let fits = (1..=MAX_REASON).contains(&text.chars().count());
        if fits { Ok(Self(text.to_owned())) } else { Err(YankReasonError) }
    }
}

impl fmt::Display for YankReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// One immutable version of an app; only its state changes.
#[derive(Debug, Clone, PartialEq)]
pub struct Release {
    /// `rel_…`
    pub id: String,
    /// `ccmp_…`
    pub product_id: String,
    /// How a shop runs it.
    pub kind: Kind,
    /// What the vendor says about it.
    pub manifest: Manifest,
    /// The same as it is shown.
    pub manifest_json: String,
    /// Its bytes.
    pub artifact: Artifact,
    /// The marketplace's signature of the release statement.
    pub signature: ReleaseSignature,
    /// The vendor's signature of the bytes.
    pub vendor_signature: ReleaseSignature,
    /// Mends a security fault.
    pub security: bool,
    /// Unix milliseconds.
    pub published_at_ms: i64,
    /// Where it stands.
    pub state: ReleaseState,
}

/// What asking to yank a release came to.
#[derive(Debug, Clone, PartialEq)]
pub enum Yanking {
    /// It is yanked now.
    Done(Release),
    /// It was before, for the reason given then.
    Already(Release),
}

impl Release {
    /// Its semantic version.
    #[must_use]
    pub fn version(&self) -> &Version {
        &self.manifest.version
    }

    /// Whether it may be offered to anyone.
    #[must_use]
    pub fn is_on_offer(&self) -> bool {
        self.state == ReleaseState::Published
    }

    /// The withdrawal, if it was withdrawn.
    #[must_use]
    pub fn yank_note(&self) -> Option<&Yank> {
        match &self.state {
            ReleaseState::Published => None,
            ReleaseState::Yanked(yank) => Some(yank),
        }
    }

    /// Withdraws it. A second withdrawal changes nothing: the first reason is what users have read.
    #[must_use]
    pub fn yank(self, reason: YankReason, now_ms: i64) -> Yanking {
        match self.state {
            ReleaseState::Published => {
                Yanking::Done(Self { state: ReleaseState::Yanked(Yank { reason, at_ms: now_ms }), ..self })
            }
            ReleaseState::Yanked(_) => Yanking::Already(self),
        }
    }

    /// By semantic version, the newest first.
    #[must_use]
    pub fn newest_first(one: &Self, other: &Self) -> Ordering {
        other.version().cmp(one.version())
    }
}

#[cfg(test)]
pub(super) mod tests {
    #![allow(clippy::unwrap_used)]

    use serde_json::json;

    use super::*;

    /// A published release of `@acme/tool` with this version.
    pub(in crate::domain) fn release(version: &str) -> Release {
        let manifest = Manifest::try_from(json!({
            "id": "tool", "marketplace_id": "@acme/tool", "name": "Tool", "version": version,
            "type": "marketing", "carphacom_min_version": "1.0.0", "description": "A tool", "author": "Acme",
            "price_eur": 0, "entry": "index.js",
        }));
        let signature = ReleaseSignature { key_id: "k".into(), value: "s".into() };
        Release {
            id: format!("rel_{version}"),
            product_id: "ccmp_1".into(),
            kind: Kind::Plugin,
            manifest: manifest.unwrap(),
            manifest_json: "{}".into(),
            artifact: Artifact { sha256: ArtifactDigest::of(version.as_bytes()), size: 1 },
            signature: signature.clone(),
            vendor_signature: signature,
            security: false,
            published_at_ms: 1,
            state: ReleaseState::Published,
        }
    }

    pub(in crate::domain) fn yanked(version: &str) -> Release {
        match release(version).yank("broken".parse().unwrap(), 5) {
            Yanking::Done(release) | Yanking::Already(release) => release,
        }
    }

    #[test]
    fn a_yank_happens_once_and_keeps_its_first_reason() {
        let Yanking::Done(once) = release("1.0.0").yank("broken".parse().unwrap(), 5) else {
            panic!("not done")
        };
        assert!(!once.is_on_offer());
        let Yanking::Already(twice) = once.yank("other".parse().unwrap(), 9) else { panic!("done again") };
        let note = twice.yank_note().unwrap();
        assert_eq!((note.reason.to_string().as_str(), note.at_ms), ("broken", 5));
    }

    #[test]
    fn a_reason_is_needed() {
        for bad in ["", "   ", &"x".repeat(501)] {
            assert_eq!(bad.parse::<YankReason>(), Err(YankReasonError));
        }
    }

    #[test]
    fn a_kind_reads_back() {
        for kind in [Kind::Plugin, Kind::Static] {
            assert_eq!(kind.as_str().parse(), Ok(kind));
        }
        assert_eq!("hosted".parse::<Kind>(), Err(ParseKindError));
    }
}
