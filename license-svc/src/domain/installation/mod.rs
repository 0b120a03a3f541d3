//! A hosted or static app in one shop (contracts.md sections 1, 2 and 4).

mod access;
mod callback;
mod consent;
mod key;
mod release;
mod state;

use platform::{AppError, Code};
use thiserror::Error;

pub(crate) use self::{
    access::Access,
    callback::{LastCallback, Operation, Outcome, Settlement},
    consent::{
        Told, check_api, check_consent, check_identity, check_instance, check_license, check_same_app,
    },
    key::{ApiKey, mint},
    release::{Edition, Facts, Kind, Permissions, Release},
    state::{Asked, Installation, State, Step, ask},
};

/// Why an app does not go into a shop, or not at this version. The words are for the shop's administrator, and hold
/// nothing of what was given.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{words}")]
pub(crate) struct Refusal {
    code: Code,
    words: String,
}

impl Refusal {
    fn new(code: Code, words: impl Into<String>) -> Self {
        Self { code, words: words.into() }
    }

    /// What kind of refusal it is.
    #[cfg(test)]
    fn code(&self) -> Code {
        self.code
    }
}

impl From<Refusal> for AppError {
    fn from(refusal: Refusal) -> Self {
        Self::new(refusal.code, refusal.words)
    }
}

#[cfg(test)]
mod properties;
#[cfg(test)]
mod table;
