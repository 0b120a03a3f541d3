//! What the domain refuses, as an answer.

use platform::AppError;
use wire::{package::PackageError, release::ReleaseError};

use crate::domain::{ImportError, PageError, ParseKindError, VendorError, YankReasonError};

/// What is wrong with the request itself.
fn invalid(error: impl std::error::Error) -> AppError {
    AppError::invalid(error.to_string())
}

pub(super) fn unsigned(error: ReleaseError) -> AppError {
    AppError::invalid(format!("the vendor's signature is refused: {error}"))
}

pub(super) fn refused_package(error: PackageError) -> AppError {
    match error {
        PackageError::ArchiveTooLarge(limit) => too_large(limit),
        error => AppError::invalid(format!("the package is refused: {error}")),
    }
}

pub(crate) fn too_large(limit: u64) -> AppError {
    AppError::new(platform::Code::TooLarge, format!("the ZIP is too large; at most {limit} bytes are taken"))
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
            ImportError::OtherVendor => invalid(error),
            ImportError::VersionTaken | ImportError::TypeChanged => Self::conflict(error.to_string()),
        }
    }
}
