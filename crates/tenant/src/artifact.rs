//! Whether bytes are the release they claim to be: digest, vendor's signature, marketplace's statement
//! (contracts.md section 8), with keys that were pinned when they were first used.
//!
//! # Trust on first use
//!
//! The marketplace tells its own keys and the vendors'. If the shop asked for them anew at each installation, whoever
//! once controls the marketplace's answers could bring keys of their own along. So the keys that vouched for the first
//! installation, the marketplace's and each vendor's, are pinned in the shop's state. A later release that
//! is signed by another key is not installed until the shop's administrator has accepted that key.

use std::collections::BTreeMap;

use semver::Version;
use serde::{Deserialize, Serialize};
use thiserror::Error;
use wire::{
    keys::VerifyingKey,
    manifest::{Manifest, MarketplaceId},
    release::{self, ArtifactDigest, ReleaseError, ReleaseSignature},
};

/// What the marketplace says of a release.
#[derive(Debug, Clone, Copy)]
pub struct Claim<'a> {
    /// The app.
    pub marketplace_id: &'a MarketplaceId,
    /// The version.
    pub version: &'a Version,
    /// The digest of the artefact.
    pub sha256: &'a ArtifactDigest,
    /// The marketplace's signature of the three.
    pub signature: &'a ReleaseSignature,
    /// The vendor's signature of the bytes.
    pub vendor_signature: &'a ReleaseSignature,
}

/// The keys that must have signed: one of each.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Signers {
    /// The marketplace's.
    pub marketplace: VerifyingKey,
    /// The vendor's.
    pub vendor: VerifyingKey,
}

/// Why an artefact is not what it claims to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum ArtifactError {
    /// The bytes are not those that were announced.
    #[error(
        "the download is not the file that the marketplace announced (its SHA-256 differs); nothing was installed"
    )]
    Digest,
    /// The vendor did not sign these bytes.
    #[error("the vendor's signature doesn't fit this release; nothing was installed")]
    Vendor,
    /// The marketplace did not publish these bytes under this name and version.
    #[error("the marketplace's signature doesn't fit this app and version; nothing was installed")]
    Marketplace,
    /// A signature is missing.
    #[error("the marketplace shows this release without both signatures; nothing was installed")]
    Unsigned,
    /// The manifest is no valid one, or that of another app or version.
    #[error("the marketplace shows a manifest that is not this app's and version's; nothing was installed")]
    Manifest,
}

/// Checks digest and both signatures.
pub fn verify(bytes: &[u8], claim: &Claim<'_>, signers: &Signers) -> Result<(), ArtifactError> {
    if ArtifactDigest::of(bytes) != *claim.sha256 {
        return Err(ArtifactError::Digest);
    }
    release::verify_vendor_signature(&[signers.vendor], bytes, &claim.vendor_signature.value)
        .map_err(|_| ArtifactError::Vendor)?;
    verify_statement(claim, &signers.marketplace)
}

/// Checks the marketplace's signature alone: what can be checked before the bytes are there.
pub fn verify_statement(claim: &Claim<'_>, marketplace: &VerifyingKey) -> Result<(), ArtifactError> {
    let Claim { marketplace_id, version, sha256, signature, .. } = *claim;
    let verified: Result<(), ReleaseError> =
        release::verify_statement(&[*marketplace], signature, marketplace_id, version, sha256);
    verified.map_err(|_| ArtifactError::Marketplace)
}

/// Checks the release of a hosted app. It has no artefact: vendor and marketplace sign its manifest, in the canonical
/// form of RFC 8785 (contracts.md section 8).
pub fn verify_hosted(
    manifest: &Manifest,
    signature: &ReleaseSignature,
    vendor_signature: &ReleaseSignature,
    signers: &Signers,
) -> Result<(), ArtifactError> {
    let canonical = manifest.canonical();
    let claim = Claim {
        marketplace_id: &manifest.marketplace_id,
        version: &manifest.version,
        sha256: &ArtifactDigest::of(&canonical),
        signature,
        vendor_signature,
    };
    verify(&canonical, &claim, signers)
}

/// Whose key it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Holder {
    /// The marketplace, which signs release statements.
    Marketplace,
    /// The vendor of this name, who signs artefacts.
    Vendor(String),
}

impl std::fmt::Display for Holder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Marketplace => f.write_str("The marketplace"),
            Self::Vendor(name) => write!(f, "The vendor @{name}"),
        }
    }
}

/// Why no key may be used to check a signature.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum TrustError {
    /// The signature names a key that the marketplace doesn't list.
    #[error("{0} signed with a key that the marketplace doesn't list; nothing was installed")]
    Unlisted(Holder),
    /// The key is listed, but it is not among the pinned ones.
    #[error("{0} signs with a key that this shop has not met before")]
    NewKey(Holder, Box<VerifyingKey>),
}

/// The keys this shop has come to trust.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Pins {
    marketplace: Vec<VerifyingKey>,
    vendors: BTreeMap<String, Vec<VerifyingKey>>,
}

impl Pins {
    /// The key of this id, if it is pinned, or if it is listed and nothing was ever pinned for its holder.
    pub fn trusted(
        &self,
        holder: &Holder,
        key_id: &str,
        listed: &[VerifyingKey],
    ) -> Result<VerifyingKey, TrustError> {
        let pinned = self.of(holder);
        let find = |keys: &[VerifyingKey]| keys.iter().find(|key| key.key_id() == key_id).copied();
        if let Some(key) = find(pinned) {
            return Ok(key);
        }
        let key = find(listed).ok_or_else(|| TrustError::Unlisted(holder.clone()))?;
        if pinned.is_empty() { Ok(key) } else { Err(TrustError::NewKey(holder.clone(), Box::new(key))) }
    }

    /// Pins a key that has vouched for an installation, or that the administrator has accepted.
    pub fn pin(&mut self, holder: &Holder, key: VerifyingKey) {
        let pinned = match holder {
            Holder::Marketplace => &mut self.marketplace,
            Holder::Vendor(name) => self.vendors.entry(name.clone()).or_default(),
        };
        if !pinned.contains(&key) {
            pinned.push(key);
        }
    }

    /// Whether a key is pinned.
    #[must_use]
    pub fn has(&self, holder: &Holder, key: VerifyingKey) -> bool {
        self.of(holder).contains(&key)
    }

    fn of(&self, holder: &Holder) -> &[VerifyingKey] {
        match holder {
            Holder::Marketplace => &self.marketplace,
            Holder::Vendor(name) => self.vendors.get(name).map_or(&[], Vec::as_slice),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use wire::keys::SigningKey;

    use super::*;

    fn key(seed: u8) -> SigningKey {
        SigningKey::from_seed(&[seed; 32])
    }

    fn vendor_signature(key: &SigningKey, bytes: &[u8]) -> ReleaseSignature {
        ReleaseSignature { key_id: key.key_id(), value: release::sign_artifact(key, bytes) }
    }

    #[test]
    fn bytes_vendor_and_statement_must_all_fit() {
        let (app, other) = ("@vendor/app".parse().unwrap(), "@vendor/other".parse().unwrap());
        let version = Version::new(1, 0, 0);
        let sha256 = ArtifactDigest::of(b"zip");
        let signature = release::sign_statement(&key(1), &app, &version, &sha256);
        let vendor = vendor_signature(&key(2), b"zip");
        let signers = Signers { marketplace: key(1).verifying_key(), vendor: key(2).verifying_key() };
        let claim = Claim {
            marketplace_id: &app,
            version: &version,
            sha256: &sha256,
            signature: &signature,
            vendor_signature: &vendor,
        };
        assert_eq!(verify(b"zip", &claim, &signers), Ok(()));
        assert_eq!(verify(b"zap", &claim, &signers), Err(ArtifactError::Digest));
        let renamed = Claim { marketplace_id: &other, ..claim };
        assert_eq!(verify(b"zip", &renamed, &signers), Err(ArtifactError::Marketplace));
        let swapped = Signers { marketplace: signers.vendor, vendor: signers.marketplace };
        assert_eq!(verify(b"zip", &claim, &swapped), Err(ArtifactError::Vendor));
    }

    #[test]
    fn a_hosted_app_is_its_manifest_however_that_is_written() {
        let manifest = |address: &str| {
            let text = serde_json::json!({
                "version": "1.0.0", "id": "app", "marketplace_id": "@vendor/app", "name": "App", "type": "marketing",
                "carphacom_min_version": "1.0.0", "description": "What it does.", "author": "Vendor", "price_eur": 0,
                "entry": address, "hosted": { "installation_url": "https://app.example/install" }, "of_tomorrow": [1],
            });
            Manifest::from_json(text.to_string().as_bytes()).unwrap()
        };
        let signed = manifest("https://app.example/");
        let canonical = signed.canonical();
        let statement = release::sign_statement(
            &key(1),
            &signed.marketplace_id,
            &signed.version,
            &ArtifactDigest::of(&canonical),
        );
        let vendor = vendor_signature(&key(2), &canonical);
        let signers = Signers { marketplace: key(1).verifying_key(), vendor: key(2).verifying_key() };
        assert_eq!(verify_hosted(&signed, &statement, &vendor, &signers), Ok(()));
        let moved = manifest("https://elsewhere.example/");
        assert_eq!(verify_hosted(&moved, &statement, &vendor, &signers), Err(ArtifactError::Vendor));
        let by_vendor = vendor_signature(&key(2), &moved.canonical());
        assert_eq!(verify_hosted(&moved, &statement, &by_vendor, &signers), Err(ArtifactError::Marketplace));
    }

    #[test]
    fn the_first_key_is_taken_and_a_later_one_asked_about() {
        let vendor = Holder::Vendor("acme".to_owned());
        let listed = [key(1).verifying_key(), key(2).verifying_key()];
        let mut pins = Pins::default();
        assert_eq!(pins.trusted(&vendor, &key(1).key_id(), &listed), Ok(listed[0]));
        pins.pin(&vendor, listed[0]);
        assert_eq!(pins.trusted(&vendor, &key(1).key_id(), &[]), Ok(listed[0]), "pinned is enough");
        let asked = pins.trusted(&vendor, &key(2).key_id(), &listed);
        assert_eq!(asked, Err(TrustError::NewKey(vendor.clone(), Box::new(listed[1]))));
        pins.pin(&vendor, listed[1]);
        assert_eq!(pins.trusted(&vendor, &key(2).key_id(), &listed), Ok(listed[1]));
    }

    #[test]
    fn holders_have_keys_of_their_own_and_an_unlisted_key_is_nobodys() {
        let listed = [key(1).verifying_key()];
        let mut pins = Pins::default();
        pins.pin(&Holder::Vendor("acme".to_owned()), listed[0]);
        let unlisted = pins.trusted(&Holder::Marketplace, &key(2).key_id(), &listed);
        assert_eq!(unlisted, Err(TrustError::Unlisted(Holder::Marketplace)));
        assert_eq!(pins.trusted(&Holder::Marketplace, &key(1).key_id(), &listed), Ok(listed[0]));
    }
}
