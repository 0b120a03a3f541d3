use std::{fmt, time::Duration};

use semver::Version;
use serde::{Deserialize, Serialize};
use wire::{keys::VerifyingKey, manifest::MarketplaceId};

use crate::artifact::Holder;

const FIRST_RETRY: Duration = Duration::from_secs(2);
const LAST_RETRY: Duration = Duration::from_mins(5);

/// An app that is to be installed. It stays until it is, or until the administrator gives it up.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Job {
    pub(crate) marketplace_id: MarketplaceId,
    pub(crate) version: Version,
    pub(crate) requested_at_ms: i64,
    /// Permissions that the administrator has seen and allowed beyond those of the installed version.
    #[serde(default)]
    pub(crate) allowed: Vec<String>,
    #[serde(default)]
    pub(crate) attempts: u32,
    #[serde(default)]
    pub(crate) problem: Option<Problem>,
}

/// Why a job waits.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub(crate) enum Problem {
    /// It will be tried again by itself.
    Retrying { message: String, at_ms: i64 },
    /// It won't help to try again unchanged.
    Failed { message: String },
    /// A signature was made by a key that this shop has not met.
    NewKey { holder: Holder, key: VerifyingKey },
    /// The new version asks for more than the installed one.
    Consent { added: Vec<String> },
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Retrying { message, .. } | Self::Failed { message } => f.write_str(message),
            Self::NewKey { holder, .. } => {
                write!(f, "{holder} signs with a key that this shop has not met before")
            }
            Self::Consent { .. } => {
                f.write_str("the new version asks for more permissions than the installed one")
            }
        }
    }
}

impl Job {
    pub(crate) fn new(marketplace_id: MarketplaceId, version: Version, now_ms: i64) -> Self {
        Self {
            marketplace_id,
            version,
            requested_at_ms: now_ms,
            allowed: Vec::new(),
            attempts: 0,
            problem: None,
        }
    }

    /// When it may be tried, unless it waits for the administrator.
    pub(crate) fn due_at_ms(&self) -> Option<i64> {
        match &self.problem {
            None => Some(i64::MIN),
            Some(Problem::Retrying { at_ms, .. }) => Some(*at_ms),
            Some(_) => None,
        }
    }

    /// Whether it goes on without the administrator.
    pub(crate) fn is_moving(&self) -> bool {
        self.due_at_ms().is_some()
    }
}

/// How long to wait after so many failed attempts: twice as long each time, within bounds.
pub(crate) fn retry_delay(attempts: u32) -> Duration {
    FIRST_RETRY.saturating_mul(2_u32.saturating_pow(attempts.saturating_sub(1))).min(LAST_RETRY)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_wait_doubles_and_is_bounded() {
        let waits: Vec<u64> = [1, 2, 3, 8, 9, 100].map(|attempts| retry_delay(attempts).as_secs()).to_vec();
        assert_eq!(waits, [2, 4, 8, 256, 300, 300]);
    }
}
