use thiserror::Error;
use wire::{
    manifest::{AppType, Manifest},
    release::ReleaseSignature,
};

use super::{Content, Kind, Release, VendorName};

/// What has been read, checked and found signed by its vendor.
#[derive(Debug, Clone, PartialEq)]
pub struct Candidate {
    /// The manifest.
    pub manifest: Manifest,
    /// How a shop runs it, and what is signed.
    pub content: Content,
    /// The vendor's signature.
    pub vendor_signature: ReleaseSignature,
    /// Mends a security fault.
    pub security: bool,
    /// When every installation shall be at least here, Unix milliseconds.
    pub required_after_ms: Option<i64>,
}

impl Candidate {
    fn has_terms_of(&self, release: &Release) -> bool {
        (self.security, self.required_after_ms) == (release.security, release.required_after_ms)
    }
}

/// What shops have taken an app for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Known {
    /// What it is for.
    pub app_type: AppType,
    /// How they run it.
    pub kind: Kind,
}

/// Why a valid package does not become a release.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum ImportError {
    /// The app is named as another vendor's.
    #[error("the manifest's marketplace_id names another vendor; it must be @<this vendor's name>/<app>")]
    OtherVendor,
    /// The version is taken.
    #[error(
        "this version is published with another content; releases are immutable, so publish a new version"
    )]
    VersionTaken,
    /// The same content, with other terms: they are immutable like the content, for shops have been told of them.
    #[error(
        "this version is published with another `security` or `required_after`; send it with those it has, or publish a new version"
    )]
    TermsChanged,
    /// Shops have sorted the app by its type.
    #[error("the app is published with another type; keep the type, or publish it as another app")]
    TypeChanged,
    /// Shops run the app in the way of its kind.
    #[error("the app is published with another kind; keep the kind, or publish it as another app")]
    KindChanged,
    /// Shops keep the app under its id: another one would come beside it, not in its place.
    #[error(
        "the app is published with another `id` in its manifest; keep that id, or publish it as another app"
    )]
    IdChanged,
    /// Not sent as a hosted app.
    #[error(
        "a manifest with `hosted` is that of a hosted app, which has no ZIP; import the manifest alone, with the kind `hosted`"
    )]
    Hosted,
    /// No hosted app.
    #[error("a hosted app names its endpoint in its manifest: `hosted` with an `installation_url`")]
    NotHosted,
}

/// What is to be done with a candidate.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Decision<'a> {
    /// Publish it.
    Publish,
    /// The very same is published already, on the same terms.
    Exists(&'a Release),
}

/// Refuses an app that belongs to another vendor.
pub fn check_vendor(manifest: &Manifest, vendor: &VendorName) -> Result<(), ImportError> {
    if manifest.marketplace_id.vendor() == vendor.as_str() { Ok(()) } else { Err(ImportError::OtherVendor) }
}

/// A manifest has `hosted` exactly where it is a hosted app's.
pub fn check_content(manifest: &Manifest, kind: Kind) -> Result<(), ImportError> {
    match (manifest.hosted.is_some(), kind) {
        (true, Kind::Plugin | Kind::Static) => Err(ImportError::Hosted),
        (false, Kind::Hosted) => Err(ImportError::NotHosted),
        _ => Ok(()),
    }
}

/// Decides by what is published of this app so far: what it is known as, its latest release, and that of the same
/// version.
pub fn decide<'a>(
    known: Option<Known>,
    latest: Option<&Release>,
    same_version: Option<&'a Release>,
    candidate: &Candidate,
) -> Result<Decision<'a>, ImportError> {
    if let Some(release) = same_version.filter(|release| release.content == candidate.content) {
        return if candidate.has_terms_of(release) {
            Ok(Decision::Exists(release))
        } else {
            Err(ImportError::TermsChanged)
        };
    }
    if known.is_some_and(|known| known.kind != candidate.content.kind()) {
        return Err(ImportError::KindChanged);
    }
    if same_version.is_some() {
        return Err(ImportError::VersionTaken);
    }
    if known.is_some_and(|known| known.app_type != candidate.manifest.app_type) {
        return Err(ImportError::TypeChanged);
    }
    if latest.is_some_and(|latest| latest.manifest.id != candidate.manifest.id) {
        return Err(ImportError::IdChanged);
    }
    Ok(Decision::Publish)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::{
        super::release::tests::{hosted, release, yanked},
        *,
    };

    fn known(app_type: AppType, kind: Kind) -> Known {
        Known { app_type, kind }
    }

    fn candidate(like: &Release) -> Candidate {
        Candidate {
            manifest: like.manifest.clone(),
            content: like.content,
            vendor_signature: like.vendor_signature.clone(),
            security: false,
            required_after_ms: None,
        }
    }

    #[test]
    fn the_same_bytes_are_the_same_release_even_when_it_was_yanked() {
        for published in [release("1.0.0"), yanked("1.0.0")] {
            let again = candidate(&published);
            let decision =
                decide(Some(known(AppType::Marketing, Kind::Plugin)), None, Some(&published), &again);
            assert_eq!(decision, Ok(Decision::Exists(&published)));
        }
    }

    #[test]
    fn the_same_bytes_on_other_terms_are_not_silently_the_release_without_them() {
        let mut published = hosted("1.0.0");
        published.required_after_ms = Some(5);
        let same = Candidate { required_after_ms: Some(5), ..candidate(&published) };
        assert_eq!(decide(None, None, Some(&published), &same), Ok(Decision::Exists(&published)));
        for required_after_ms in [None, Some(4)] {
            let other = Candidate { required_after_ms, ..same.clone() };
            assert_eq!(decide(None, None, Some(&published), &other), Err(ImportError::TermsChanged));
        }
        let urgent = Candidate { security: true, ..same };
        assert_eq!(decide(None, None, Some(&published), &urgent), Err(ImportError::TermsChanged));
    }

    #[test]
    fn other_bytes_of_a_version_and_another_type_of_an_app_are_refused() {
        let (published, other) = (release("1.0.0"), candidate(&release("1.0.1")));
        assert_eq!(decide(None, None, Some(&published), &other), Err(ImportError::VersionTaken));
        assert_eq!(
            decide(Some(known(AppType::Payment, Kind::Plugin)), None, None, &other),
            Err(ImportError::TypeChanged)
        );
        assert_eq!(
            decide(Some(known(AppType::Marketing, Kind::Plugin)), None, None, &other),
            Ok(Decision::Publish)
        );
        assert_eq!(decide(None, None, None, &other), Ok(Decision::Publish));
    }

    #[test]
    fn an_app_never_changes_its_kind() {
        let (plugin, hosted) = (candidate(&release("1.1.0")), candidate(&hosted("1.1.0")));
        let decision = decide(Some(known(AppType::Marketing, Kind::Plugin)), None, None, &hosted);
        assert_eq!(decision, Err(ImportError::KindChanged));
        let from_before = release("1.1.0");
        let decision =
            decide(Some(known(AppType::Marketing, Kind::Hosted)), None, Some(&from_before), &hosted);
        assert_eq!(decision, Err(ImportError::VersionTaken), "the row of before tells the truth");
        assert_eq!(
            decide(Some(known(AppType::Marketing, Kind::Hosted)), None, None, &plugin),
            Err(ImportError::KindChanged)
        );
        assert_eq!(
            decide(Some(known(AppType::Marketing, Kind::Hosted)), None, None, &hosted),
            Ok(Decision::Publish)
        );
    }

    #[test]
    fn a_release_that_changes_the_id_in_its_manifest_is_refused() {
        let (latest, mut renamed) = (release("1.0.0"), candidate(&release("1.1.0")));
        let as_known = Some(known(AppType::Marketing, Kind::Plugin));
        assert_eq!(decide(as_known, Some(&latest), None, &renamed), Ok(Decision::Publish));
        renamed.manifest.id = "tool-2".to_owned();
        assert_eq!(decide(as_known, Some(&latest), None, &renamed), Err(ImportError::IdChanged));
    }

    #[test]
    fn a_manifest_has_hosted_exactly_where_the_app_is() {
        let (zip, hosted) = (release("1.0.0").manifest, hosted("1.0.0").manifest);
        assert_eq!(check_content(&hosted, Kind::Hosted), Ok(()));
        assert_eq!(check_content(&zip, Kind::Hosted), Err(ImportError::NotHosted));
        for kind in [Kind::Plugin, Kind::Static] {
            assert_eq!(check_content(&zip, kind), Ok(()));
            assert_eq!(check_content(&hosted, kind), Err(ImportError::Hosted));
        }
    }

    #[test]
    fn an_app_carries_its_vendor_in_its_name() {
        let manifest = release("1.0.0").manifest;
        assert_eq!(check_vendor(&manifest, &"acme".parse().unwrap()), Ok(()));
        assert_eq!(check_vendor(&manifest, &"acm".parse().unwrap()), Err(ImportError::OtherVendor));
    }
}
