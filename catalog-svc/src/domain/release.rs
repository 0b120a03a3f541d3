use std::{cmp::Ordering, fmt, str::FromStr};

use semver::Version;
use thiserror::Error;
use wire::{
    manifest::{ApiRange, Manifest},
    release::{ArtifactDigest, ReleaseSignature},
};

use super::Surface;

const MAX_REASON: usize = 500;

/// How a shop runs the app (contracts.md section 1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A ZIP that the shop downloads and installs.
    Plugin,
    /// Only HTML and JavaScript, which the store installs by itself.
    Static,
    /// Runs on its vendor's servers.
    Hosted,
}

/// A text that is no [`Kind`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("the kind of a release is `plugin`, `static` or `hosted`")]
pub struct ParseKindError;

impl Kind {
    const ALL: [Self; 3] = [Self::Plugin, Self::Static, Self::Hosted];

    /// The text in rows and answers.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Plugin => "plugin",
            Self::Static => "static",
            Self::Hosted => "hosted",
        }
    }
}

impl FromStr for Kind {
    type Err = ParseKindError;

    fn from_str(text: &str) -> Result<Self, ParseKindError> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == text).ok_or(ParseKindError)
    }
}

/// The bytes of a ZIP.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Artifact {
    /// Their address.
    pub sha256: ArtifactDigest,
    /// How many.
    pub size: u64,
}

/// What a release consists of, which is what its signatures vouch for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Content {
    /// The ZIP of a plugin.
    Plugin(Artifact),
    /// The ZIP of a static app.
    Static(Artifact),
    /// Nothing but the manifest: the SHA-256 of its canonical form (RFC 8785).
    Hosted(ArtifactDigest),
}

impl Content {
    /// How a shop runs it.
    #[must_use]
    pub fn kind(&self) -> Kind {
        match self {
            Self::Plugin(_) => Kind::Plugin,
            Self::Static(_) => Kind::Static,
            Self::Hosted(_) => Kind::Hosted,
        }
    }

    /// What the release statement names (contracts.md section 8).
    #[must_use]
    pub fn digest(&self) -> &ArtifactDigest {
        match self {
            Self::Plugin(artifact) | Self::Static(artifact) => &artifact.sha256,
            Self::Hosted(digest) => digest,
        }
    }

    /// The ZIP; a hosted app has none.
    #[must_use]
    pub fn artifact(&self) -> Option<&Artifact> {
        match self {
            Self::Plugin(artifact) | Self::Static(artifact) => Some(artifact),
            Self::Hosted(_) => None,
        }
    }
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
    /// What the vendor says about it.
    pub manifest: Manifest,
    /// The same as it is shown.
    pub manifest_json: String,
    /// How a shop runs it, and what is signed.
    pub content: Content,
    /// The marketplace's signature of the release statement.
    pub signature: ReleaseSignature,
    /// The vendor's signature of the ZIP's bytes, or of a hosted app's manifest in its canonical form.
    pub vendor_signature: ReleaseSignature,
    /// Mends a security fault.
    pub security: bool,
    /// When every installation shall be at least here, Unix milliseconds.
    pub required_after_ms: Option<i64>,
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

    /// How a shop runs it.
    #[must_use]
    pub fn kind(&self) -> Kind {
        self.content.kind()
    }

    /// The versions of the shop's API that a hosted app can work with, if it names them.
    #[must_use]
    pub fn api(&self) -> Option<&ApiRange> {
        self.manifest.hosted.as_ref()?.api.as_ref()
    }

    /// What an installation of it is made of.
    #[must_use]
    pub fn surface(&self) -> Surface {
        Surface::new(&self.manifest, &self.content)
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

    /// The same with the manifest of a hosted app.
    pub(in crate::domain) fn hosted(version: &str) -> Release {
        let mut release = release(version);
        let mut manifest = serde_json::to_value(&release.manifest).unwrap();
        manifest["entry"] = "https://app.acme.example/".into();
        manifest["hosted"] = json!({"installation_url": "https://app.acme.example/install"});
        release.manifest = Manifest::try_from(manifest).unwrap();
        release.content = Content::Hosted(ArtifactDigest::of(version.as_bytes()));
        release
    }

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
            manifest: manifest.unwrap(),
            manifest_json: "{}".into(),
            content: Content::Plugin(Artifact { sha256: ArtifactDigest::of(version.as_bytes()), size: 1 }),
            signature: signature.clone(),
            vendor_signature: signature,
            security: false,
            required_after_ms: None,
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
        for kind in Kind::ALL {
            assert_eq!(kind.as_str().parse(), Ok(kind));
        }
        assert_eq!("theme".parse::<Kind>(), Err(ParseKindError));
    }

    #[test]
    fn only_a_hosted_app_has_no_zip() {
        let artifact = Artifact { sha256: ArtifactDigest::of(b"zip"), size: 3 };
        for content in [Content::Plugin(artifact), Content::Static(artifact)] {
            assert_eq!((content.artifact(), content.digest()), (Some(&artifact), &artifact.sha256));
        }
        let hosted = Content::Hosted(artifact.sha256);
        assert_eq!((hosted.artifact(), hosted.digest()), (None, &artifact.sha256));
    }
}
