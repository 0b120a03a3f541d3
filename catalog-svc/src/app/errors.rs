//! What the domain refuses, as an answer.

use platform::{AppError, Code};
use wire::{manifest::ManifestError, package::PackageError, release::ReleaseError};

use crate::domain::{
    ImportError, Kind, NoticeError, PageError, ParseKindError, RotationError, VendorError, YankReasonError,
};

/// What is wrong with the request itself.
fn invalid(error: impl std::error::Error) -> AppError {
    AppError::invalid(error.to_string())
}

pub(super) fn unsigned(error: ReleaseError) -> AppError {
    AppError::invalid(format!("the vendor's signature is refused: {error}"))
}

pub(super) fn refused_package(error: PackageError) -> AppError {
    match error {
        PackageError::ArchiveTooLarge(limit) => too_large(Kind::Plugin, limit),
        error => AppError::invalid(format!("the package is refused: {error}")),
    }
}

pub(super) fn refused_manifest(error: ManifestError) -> AppError {
    match error {
        ManifestError::TooLarge => AppError::new(Code::TooLarge, error.to_string()),
        error => AppError::invalid(format!("the manifest is refused: {error}")),
    }
}

pub(crate) fn too_large(kind: Kind, limit: u64) -> AppError {
    let what = if kind == Kind::Hosted { "manifest.json" } else { "the ZIP" };
    AppError::new(Code::TooLarge, format!("{what} is too large; at most {limit} bytes are taken"))
}

pub(super) fn unknown_app() -> AppError {
    AppError::not_found("there is no app of this name in the marketplace")
}

pub(super) fn unknown_vendor() -> AppError {
    AppError::not_found("there is no vendor of this id; list the vendors to find it")
}

pub(super) fn unknown_release() -> AppError {
    AppError::not_found("there is no release of this app and version; look at the app's versions")
}

impl From<VendorError> for AppError {
    fn from(error: VendorError) -> Self {
        invalid(error)
    }
}

impl From<PageError> for AppError {
    fn from(error: PageError) -> Self {
        invalid(error)
    }
}

impl From<ParseKindError> for AppError {
    fn from(error: ParseKindError) -> Self {
        invalid(error)
    }
}

impl From<YankReasonError> for AppError {
    fn from(error: YankReasonError) -> Self {
        invalid(error)
    }
}

impl From<ImportError> for AppError {
    fn from(error: ImportError) -> Self {
        match error {
            ImportError::OtherVendor | ImportError::Hosted | ImportError::NotHosted => invalid(error),
            ImportError::VersionTaken
            | ImportError::TermsChanged
            | ImportError::TypeChanged
            | ImportError::KindChanged
            | ImportError::IdChanged => Self::conflict(error.to_string()),
        }
    }
}

impl From<NoticeError> for AppError {
    fn from(error: NoticeError) -> Self {
        invalid(error)
    }
}

impl From<RotationError> for AppError {
    fn from(error: RotationError) -> Self {
        match error {
            RotationError::Overlap => invalid(error),
            RotationError::TooMany => Self::conflict(error.to_string()),
        }
    }
}
