//! What the marketplace tells a hosted app.

use std::fmt;
use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::AppSecret;
use crate::mac::hmac_sha256;

/// Which of the three callbacks one is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Operation {
    /// A shop installs the app.
    Install,
    /// A shop moves to another version.
    Update,
    /// A shop removes the app.
    Remove,
}

/// A text that is no [`Operation`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("an operation is one of Install, Update, Remove")]
pub struct UnknownOperation;

impl Operation {
    /// All operations.
    pub const ALL: [Self; 3] = [Self::Install, Self::Update, Self::Remove];

    /// The text in the JSON.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Install => "Install",
            Self::Update => "Update",
            Self::Remove => "Remove",
        }
    }
}

impl FromStr for Operation {
    type Err = UnknownOperation;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::ALL.into_iter().find(|operation| operation.as_str() == text).ok_or(UnknownOperation)
    }
}

impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Where the shop's API is, and which versions of it the shop speaks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ShopApi {
    /// The address that the API's paths are added to.
    #[serde(rename = "baseURL")]
    pub base_url: String,
    /// The newest version that the shop speaks.
    #[serde(rename = "maxVersion")]
    pub max_version: u32,
    /// The oldest version that the shop speaks.
    #[serde(rename = "minVersion")]
    pub min_version: u32,
}

/// One callback (contracts.md section 4).
///
/// Its serde form is the JSON of the contract without `expires`, in the contract's order. It holds the API key:
/// whoever stores it seals it.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "operation")]
pub enum Callback {
    /// A shop installs the app.
    Install {
        /// The shop's identifier, the name to know it by in every later callback.
        shop: String,
        /// The shop's site.
        #[serde(rename = "siteURL")]
        site_url: String,
        /// The shop's API.
        api: ShopApi,
        /// The API key that this installation calls the shop with. It is told this once.
        key: String,
        /// The version of the app that the shop installs.
        version: String,
    },
    /// A shop moves to another version.
    Update {
        /// The shop's identifier.
        shop: String,
        /// The shop's site.
        #[serde(rename = "siteURL")]
        site_url: String,
        /// The shop's API.
        api: ShopApi,
        /// The version of the app that the shop moves to.
        version: String,
    },
    /// A shop removes the app; its API key is dead already.
    Remove {
        /// The shop's identifier.
        shop: String,
    },
}

/// What is signed: the callback, and `expires` as the last key.
#[derive(Serialize)]
struct Signed<'a> {
    #[serde(flatten)]
    callback: &'a Callback,
    expires: i64,
}

impl Callback {
    /// Which of the three it is.
    #[must_use]
    pub fn operation(&self) -> Operation {
        match self {
            Self::Install { .. } => Operation::Install,
            Self::Update { .. } => Operation::Update,
            Self::Remove { .. } => Operation::Remove,
        }
    }

    /// The shop it comes from.
    #[must_use]
    pub fn shop(&self) -> &str {
        match self {
            Self::Install { shop, .. } | Self::Update { shop, .. } | Self::Remove { shop } => shop,
        }
    }

    /// The version that the shop is to have afterwards, if any.
    #[must_use]
    pub fn version(&self) -> Option<&str> {
        match self {
            Self::Install { version, .. } | Self::Update { version, .. } => Some(version),
            Self::Remove { .. } => None,
        }
    }

    /// The `auth` value, good up to the Unix time `expires` (contracts.md section 4). No padding is written.
    #[must_use]
    pub fn sign(&self, secret: &AppSecret, expires: i64) -> String {
        let data = encode(&Signed { callback: self, expires });
        let signature = hmac_sha256(secret.key(), &[data.as_bytes()]);
        format!("{}.{data}", URL_SAFE_NO_PAD.encode(signature))
    }
}

#[expect(clippy::expect_used, reason = "texts and numbers always serialize")]
fn encode(signed: &Signed) -> String {
    URL_SAFE_NO_PAD.encode(serde_json::to_vec(signed).expect("plain data"))
}

/// Neither the API key nor the shop belongs into a log.
impl fmt::Debug for Callback {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Callback({}", self.operation())?;
        if let Some(version) = self.version() {
            write!(f, ", version {version:?}")?;
        }
        f.write_str(")")
    }
}
