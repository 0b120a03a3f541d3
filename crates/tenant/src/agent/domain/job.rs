use std::{fmt, time::Duration};

use semver::Version;
use serde::{Deserialize, Serialize};
use wire::{keys::VerifyingKey, manifest::MarketplaceId};

use crate::artifact::Holder;

const FIRST_RETRY: Duration = Duration::from_secs(2);
const LAST_RETRY: Duration = Duration::from_mins(5);

/// An app that is to be installed or removed. It stays until that is done, or until the administrator gives it up.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Job {
    pub(crate) marketplace_id: MarketplaceId,
    /// To be installed; of a removal, the one that is there.
    pub(crate) version: Version,
    #[serde(default)]
    pub(crate) wish: Wish,
    pub(crate) requested_at_ms: i64,
    /// Permissions that the administrator has seen and allowed beyond those of the installed version.
    #[serde(default)]
    pub(crate) allowed: Vec<String>,
    /// The id of the app's newest installation when the administrator was asked, empty for none: what this wish is
    /// older than has answered it. None where that was not asked about.
    #[serde(default)]
    pub(crate) after: Option<String>,
    #[serde(default)]
    pub(crate) attempts: u32,
    #[serde(default)]
    pub(crate) problem: Option<Problem>,
}

/// What is to be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Wish {
    /// To have this version.
    #[default]
    Install,
    /// To be rid of the app. Only of one that the marketplace keeps an installation of.
    Remove,
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
    /// The version asks for more than was allowed so far.
    Consent { added: Vec<String> },
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Retrying { message, .. } | Self::Failed { message } => f.write_str(message),
            Self::NewKey { holder, .. } => {
                write!(f, "{holder} signs with a key that this shop has not met before")
            }
            Self::Consent { .. } => f.write_str("it asks for permissions that nobody here has allowed yet"),
        }
    }
}

impl Job {
    pub(crate) fn new(marketplace_id: MarketplaceId, version: Version, now_ms: i64) -> Self {
        Self {
            marketplace_id,
            version,
            wish: Wish::Install,
            requested_at_ms: now_ms,
            allowed: Vec::new(),
            after: None,
            attempts: 0,
            problem: None,
        }
    }

    pub(crate) fn removal(marketplace_id: MarketplaceId, version: Version, now_ms: i64) -> Self {
        Self { wish: Wish::Remove, ..Self::new(marketplace_id, version, now_ms) }
    }

    /// Whether the administrator has not changed their mind since.
    pub(crate) fn is_same_wish(&self, other: &Self) -> bool {
        self.wish == other.wish
            && self.version == other.version
            && self.allowed == other.allowed
            && self.after == other.after
    }

    /// Whether it was wished for before this installation, the app's newest: a form that is sent twice is one wish.
    pub(crate) fn is_older_than(&self, newest: &str) -> bool {
        self.after.as_ref().is_some_and(|after| after != newest)
    }

    /// What the administrator is asked now, for comparing it with what a page has shown. None while nothing is asked.
    pub(crate) fn question(&self) -> Option<String> {
        let asked = match self.problem.as_ref()? {
            Problem::Retrying { .. } => return None,
            Problem::Failed { .. } => "again".to_owned(),
            Problem::NewKey { holder, key } => format!("key {} {holder}", key.key_id()),
            Problem::Consent { added } => {
                let mut added = added.clone();
                added.sort();
                format!("permissions {}", added.join(" "))
            }
        };
        let wish = match self.wish {
            Wish::Install => "install",
            Wish::Remove => "remove",
        };
        Some(format!("{wish} {} {asked}", self.version))
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
