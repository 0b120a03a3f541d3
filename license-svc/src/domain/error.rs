use platform::AppError;
use thiserror::Error;

/// What was given is not as it must be; the message says what would be right and holds nothing of what was given.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("{0}")]
pub(crate) struct Invalid(pub(crate) &'static str);

/// The state does not allow it; the message says what it does allow.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("{0}")]
pub(crate) struct Illegal(pub(crate) &'static str);

impl From<Invalid> for AppError {
    fn from(error: Invalid) -> Self {
        Self::invalid(error.0)
    }
}

impl From<Illegal> for AppError {
    fn from(error: Illegal) -> Self {
        Self::conflict(error.0)
    }
}
