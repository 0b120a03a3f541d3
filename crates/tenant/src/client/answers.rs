//! What the marketplace answers (contracts.md section 2). Unknown fields are passed over: it may say more one day.

use semver::Version;
use serde::Deserialize;
use serde_json::Value;
use wire::{
    instance::SealingPublicKey,
    keys::{Jwks, VerifyingKey},
    manifest::{MarketplaceId, Price},
    release::{ArtifactDigest, ReleaseSignature},
};

/// `GET /.well-known/mercato.json`
#[derive(Debug, Clone, Deserialize)]
pub struct WellKnown {
    /// `iss` of licence tokens.
    pub issuer: String,
    /// The keys that verify tokens and releases.
    pub jwks: Jwks,
    /// The key that instance ids are sealed to.
    pub sealing_key: SealingPublicKey,
}

/// A page of the feed.
#[derive(Debug, Clone, Deserialize)]
pub struct Feed {
    /// The apps.
    pub products: Vec<Product>,
    /// How many there are in all.
    pub count: u64,
    /// How many a page holds at most.
    pub limit: u64,
    /// How many stand before this page.
    pub offset: u64,
}

/// An app on offer, in its newest version.
#[derive(Debug, Clone, Deserialize)]
pub struct Product {
    /// `ccmp_…`
    pub id: String,
    /// `@vendor/name`
    pub marketplace_id: MarketplaceId,
    /// The name people see.
    pub name: String,
    /// What it is for; a marketplace may know more types than this shop.
    #[serde(rename = "type")]
    pub app_type: String,
    /// How it comes into the shop.
    #[serde(default)]
    pub kind: AppKind,
    /// The newest version.
    pub version: Version,
    /// 0 for a free app.
    pub price_eur: Price,
    /// The manifest as the vendor wrote it.
    #[serde(default)]
    pub manifest: Value,
    /// None for a hosted app, which has no artefact.
    #[serde(default)]
    pub download_url: Option<String>,
    /// The artefact's digest.
    #[serde(default)]
    pub sha256: Option<String>,
    /// When this version came out.
    #[serde(default)]
    pub published_at: Option<String>,
    /// What the app may do in the shop.
    #[serde(default)]
    pub permissions: Vec<String>,
    /// The marketplace's signature of the release statement.
    #[serde(default)]
    pub signature: Option<ReleaseSignature>,
    /// The vendor's signature of the ZIP, or of a hosted app's manifest.
    #[serde(default)]
    pub vendor_signature: Option<ReleaseSignature>,
}

/// How an app comes into the shop.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AppKind {
    /// A ZIP that the shop downloads and runs.
    #[default]
    Plugin,
    /// Pages and scripts only; the shop installs it without asking its vendor.
    Static,
    /// It runs on its vendor's servers.
    Hosted,
    /// One that this shop does not know.
    #[serde(other)]
    Other,
}

impl AppKind {
    /// Whether the marketplace keeps an installation of it.
    #[must_use]
    pub fn has_installation(self) -> bool {
        matches!(self, Self::Static | Self::Hosted)
    }
}

impl Product {
    /// The first paragraph of the description.
    #[must_use]
    pub fn summary(&self) -> &str {
        let description = self.manifest.get("description").and_then(Value::as_str).unwrap_or_default();
        description.split("\n\n").next().unwrap_or_default()
    }

    /// Who wrote it.
    #[must_use]
    pub fn author(&self) -> &str {
        self.manifest.get("author").and_then(Value::as_str).unwrap_or_else(|| self.marketplace_id.vendor())
    }

    /// Whether this shop knows how to install it.
    #[must_use]
    pub fn is_installable(&self) -> bool {
        match self.kind {
            AppKind::Plugin | AppKind::Static => self.download_url.is_some(),
            AppKind::Hosted => true,
            AppKind::Other => false,
        }
    }
}

/// One app with everything there is to know.
#[derive(Debug, Clone, Deserialize)]
pub struct ProductDetail {
    /// As in the feed.
    #[serde(flatten)]
    pub product: Product,
    /// The full description.
    #[serde(default)]
    pub description: String,
    /// All versions, the newest first.
    #[serde(default)]
    pub versions: Vec<Release>,
    /// The keys that the vendor signs artefacts with, old ones too.
    #[serde(default)]
    pub vendor_keys: Vec<PublicKey>,
    /// The keys that the marketplace signs releases with, old ones too.
    #[serde(default)]
    pub marketplace_keys: Vec<PublicKey>,
}

/// One version of an app.
#[derive(Debug, Clone, Deserialize)]
pub struct Release {
    /// Its number.
    pub version: Version,
    /// When it came out.
    #[serde(default)]
    pub published_at: Option<String>,
    /// Whether it has been withdrawn.
    #[serde(default)]
    pub yanked: bool,
    /// Why.
    #[serde(default)]
    pub yanked_reason: Option<String>,
    /// Where its changes are told.
    #[serde(default)]
    pub changelog_url: Option<String>,
}

/// A public key with its id.
#[derive(Debug, Clone, Deserialize)]
pub struct PublicKey {
    /// Its RFC 7638 thumbprint.
    pub key_id: String,
    /// Base64 of its 32 bytes.
    pub value: VerifyingKey,
}

#[derive(Debug, Deserialize)]
pub(super) struct Updates {
    pub(super) updates: Vec<Update>,
}

/// A newer version of an installed app.
#[derive(Debug, Clone, Deserialize)]
pub struct Update {
    /// The app.
    pub marketplace_id: MarketplaceId,
    /// What the shop runs.
    pub current: Version,
    /// What there is.
    pub latest: Version,
    /// Where its changes are told.
    #[serde(default)]
    pub changelog_url: Option<String>,
    /// Whether it asks for permissions that the installed one has not.
    #[serde(default)]
    pub requires_consent: bool,
    /// Those permissions.
    #[serde(default)]
    pub added_permissions: Vec<String>,
    /// Whether it mends a weakness.
    #[serde(default)]
    pub security: bool,
}

/// Where an artefact is, and what vouches for it.
#[derive(Debug, Clone, Deserialize)]
pub struct Download {
    /// Lives 15 minutes.
    pub url: String,
    /// The artefact's digest.
    pub sha256: ArtifactDigest,
    /// Its size in bytes.
    #[serde(default)]
    pub size: Option<u64>,
    /// The marketplace's signature of the release statement.
    pub signature: ReleaseSignature,
    /// The vendor's signature of the bytes.
    pub vendor_signature: ReleaseSignature,
}

/// An open checkout.
#[derive(Debug, Clone, Deserialize)]
pub struct CheckoutSession {
    /// `ord_…`
    pub id: String,
    /// Where the buyer pays.
    pub url: String,
    /// When it ends.
    #[serde(default)]
    pub expires_at: Option<Value>,
}

/// The answer of `license/verify` (contracts.md section 5).
#[derive(Debug, Clone, Deserialize)]
pub struct Verified {
    /// Whether the app may run.
    pub valid: bool,
    /// `VALID`, or the first reason why not.
    pub code: String,
    /// The same for people.
    #[serde(default)]
    pub detail: Option<String>,
    /// Only where the key exists and is for this app.
    #[serde(default)]
    pub license: Option<License>,
    /// Proves the answer offline.
    #[serde(default)]
    pub token: Option<String>,
    /// The question's nonce.
    #[serde(default)]
    pub nonce: Option<String>,
}

/// A licence as `verify` shows it.
#[derive(Debug, Clone, Deserialize)]
pub struct License {
    /// `lic_…`
    pub id: String,
    /// Its state.
    pub status: String,
    /// Instances it may run in.
    #[serde(default)]
    pub seats: u32,
    /// Instances it runs in.
    #[serde(default)]
    pub seats_used: u32,
}

/// The answer of `license/deactivate`; what matters is that there is one.
#[derive(Debug, Clone, Deserialize)]
pub struct Deactivated {
    /// Seats still taken.
    #[serde(default)]
    pub seats_used: Option<u32>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Licenses {
    pub(super) licenses: Vec<IssuedLicense>,
    #[serde(default)]
    pub(super) count: usize,
}

/// A licence of this shop with its key; `Debug` hides the key.
#[derive(Clone, Deserialize)]
pub struct IssuedLicense {
    /// `lic_…`
    pub id: String,
    /// Its state, such as `active`.
    pub status: String,
    /// The app.
    pub marketplace_id: MarketplaceId,
    /// The version that was bought.
    pub version: Version,
    /// `CC-…`
    pub license_key: String,
}

impl std::fmt::Debug for IssuedLicense {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("IssuedLicense")
            .field("id", &self.id)
            .field("status", &self.status)
            .field("marketplace_id", &self.marketplace_id)
            .field("version", &self.version)
            .finish_non_exhaustive()
    }
}
