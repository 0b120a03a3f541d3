use thiserror::Error;
use wire::{
    manifest::{AppType, Manifest},
    release::ReleaseSignature,
};

use super::{Artifact, Kind, Release, VendorName};

/// A ZIP that has been read, checked and found signed by its vendor.
#[derive(Debug, Clone, PartialEq)]
pub struct Candidate {
    /// The manifest in it.
    pub manifest: Manifest,
    /// How a shop runs it.
    pub kind: Kind,
    /// Its bytes.
    pub artifact: Artifact,
    /// The vendor's signature over them.
    pub vendor_signature: ReleaseSignature,
    /// Mends a security fault.
    pub security: bool,
}

/// Why a valid ZIP does not become a release.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum ImportError {
    /// The app is named as another vendor's.
    #[error("the manifest's marketplace_id names another vendor; it must be @<this vendor's name>/<app>")]
    OtherVendor,
    /// The version is taken.
    #[error("this version is published with other bytes; releases are immutable, so publish a new version")]
    VersionTaken,
    /// Shops have sorted the app by its type.
    #[error("the app is published with another type; keep the type, or publish it as another app")]
    TypeChanged,
}

/// What is to be done with a candidate.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Decision<'a> {
    /// Publish it.
    Publish,
    /// The very same bytes are published already.
    Exists(&'a Release),
}

/// Refuses an app that belongs to another vendor.
pub fn check_vendor(manifest: &Manifest, vendor: &VendorName) -> Result<(), ImportError> {
    if manifest.marketplace_id.vendor() == vendor.as_str() { Ok(()) } else { Err(ImportError::OtherVendor) }
}

/// Decides by what is published of this app so far: its type, and the release of the same version.
pub fn decide<'a>(
    app_type: Option<AppType>,
    same_version: Option<&'a Release>,
    candidate: &Candidate,
) -> Result<Decision<'a>, ImportError> {
    match same_version {
        Some(release) if release.artifact == candidate.artifact => Ok(Decision::Exists(release)),
        Some(_) => Err(ImportError::VersionTaken),
        None if app_type.is_some_and(|known| known != candidate.manifest.app_type) => {
            Err(ImportError::TypeChanged)
        }
        None => Ok(Decision::Publish),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::{
        super::release::tests::{release, yanked},
        *,
    };

    fn candidate(like: &Release) -> Candidate {
        Candidate {
            manifest: like.manifest.clone(),
            kind: like.kind,
            artifact: like.artifact,
            vendor_signature: like.vendor_signature.clone(),
            security: false,
        }
    }

    #[test]
    fn the_same_bytes_are_the_same_release_even_when_it_was_yanked() {
        for published in [release("1.0.0"), yanked("1.0.0")] {
            let again = candidate(&published);
            let decision = decide(Some(AppType::Marketing), Some(&published), &again);
            assert_eq!(decision, Ok(Decision::Exists(&published)));
        }
    }

    #[test]
    fn other_bytes_of_a_version_and_another_type_of_an_app_are_refused() {
        let (published, other) = (release("1.0.0"), candidate(&release("1.0.1")));
        assert_eq!(decide(None, Some(&published), &other), Err(ImportError::VersionTaken));
        assert_eq!(decide(Some(AppType::Payment), None, &other), Err(ImportError::TypeChanged));
        assert_eq!(decide(Some(AppType::Marketing), None, &other), Ok(Decision::Publish));
        assert_eq!(decide(None, None, &other), Ok(Decision::Publish));
    }

    #[test]
    fn an_app_carries_its_vendor_in_its_name() {
        let manifest = release("1.0.0").manifest;
        assert_eq!(check_vendor(&manifest, &"acme".parse().unwrap()), Ok(()));
        assert_eq!(check_vendor(&manifest, &"acm".parse().unwrap()), Err(ImportError::OtherVendor));
    }
}
