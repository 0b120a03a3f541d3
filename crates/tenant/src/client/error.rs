use std::time::Duration;

use thiserror::Error;

/// Why a call of the marketplace gave nothing. No variant holds a key, an address or an id.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ClientError {
    /// There was no answer.
    #[error("the marketplace can't be reached; check the network and the marketplace's address")]
    Unreachable,
    /// The marketplace said no, and why.
    #[error("{message}")]
    Refused {
        /// The HTTP status.
        status: u16,
        /// The error's `type`, such as `payment_required`.
        kind: String,
        /// What was wrong and what would be right, in the marketplace's words.
        message: String,
        /// How long it asks to wait.
        retry_after: Option<Duration>,
    },
    /// The answer is not what the contract says.
    #[error(
        "the marketplace's answer can't be read; check that its address is that of a Mercato marketplace"
    )]
    Unreadable,
    /// The artefact is larger than announced or than is taken.
    #[error("the download is larger than announced or than this shop takes; it was not installed")]
    TooLarge,
    /// The download URL is not one to follow.
    #[error(
        "the marketplace gave a download address that this shop doesn't follow; it must be as secure as the marketplace's own"
    )]
    BadDownloadUrl,
    /// The marketplace's address or a key can't be sent as it is.
    #[error(
        "the marketplace's address or a key is malformed; copy them again from the marketplace's operator"
    )]
    BadConfiguration,
    /// This call tells the marketplace which shop asks, and the shop doesn't know.
    #[error(
        "this needs the shop's instance id; set TENANT_INSTANCE_ID to the inst_… of the marketplace's operator"
    )]
    NoInstanceId,
    /// This call is the administrator's and needs the secret key.
    #[error(
        "this needs the shop's secret key; set TENANT_SECRET_KEY to the sk_… of the marketplace's operator"
    )]
    NoSecretKey,
}

impl ClientError {
    /// Whether the same call may succeed later.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Unreachable => true,
            Self::Refused { status, .. } => *status == 429 || *status >= 500,
            _ => false,
        }
    }

    /// How long the marketplace asks to wait.
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Refused { retry_after, .. } => *retry_after,
            _ => None,
        }
    }

    /// Whether the marketplace answered with this error `type`.
    #[must_use]
    pub fn is_kind(&self, wanted: &str) -> bool {
        matches!(self, Self::Refused { kind, .. } if kind == wanted)
    }
}
