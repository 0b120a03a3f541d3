//! The secret that the marketplace and one app share.

use std::fmt;
use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::{URL_SAFE_NO_PAD, URL_SAFE_PAD_INDIFFERENT};
use thiserror::Error;
use zeroize::Zeroizing;

const MIN_KEY_LEN: usize = 24;
/// A longer key of HMAC-SHA256 is hashed first and gains nothing.
const MAX_KEY_LEN: usize = 64;

/// An app's secret: base64url of 32 random bytes (contracts.md section 4). The key of its signatures is what the text
/// decodes to.
#[derive(Clone, PartialEq, Eq)]
pub struct AppSecret {
    text: Zeroizing<String>,
    key: Zeroizing<Vec<u8>>,
}

/// Why a text is no app secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum AppSecretError {
    /// It is no base64url.
    #[error("an app secret is base64url: letters, digits, `-` and `_`, as the marketplace showed it")]
    NotBase64,
    /// The key is too short or too long.
    #[error("an app secret must hold 24 to 64 bytes; use the whole text that the marketplace showed")]
    Length,
}

impl AppSecret {
    /// A fresh secret out of 32 random bytes, written without padding.
    #[must_use]
    pub fn from_bytes(bytes: [u8; 32]) -> Self {
        let bytes = Zeroizing::new(bytes);
        Self { text: Zeroizing::new(URL_SAFE_NO_PAD.encode(*bytes)), key: Zeroizing::new(bytes.to_vec()) }
    }

    /// The text, to be shown once to the app's author or stored sealed.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.text
    }

    pub(super) fn key(&self) -> &[u8] {
        &self.key
    }
}

impl FromStr for AppSecret {
    type Err = AppSecretError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let key = URL_SAFE_PAD_INDIFFERENT.decode(text).map_err(|_| AppSecretError::NotBase64)?;
        let key = Zeroizing::new(key);
        if !(MIN_KEY_LEN..=MAX_KEY_LEN).contains(&key.len()) {
            return Err(AppSecretError::Length);
        }
        Ok(Self { text: Zeroizing::new(text.to_owned()), key })
    }
}

impl fmt::Debug for AppSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AppSecret(redacted)")
    }
}

/// A secret that an app takes, and until when: during a rotation it takes two.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Accepted {
    /// The secret.
    pub secret: AppSecret,
    /// The Unix time from which it is no longer taken; `None` for the one that stays.
    pub until: Option<i64>,
}

impl Accepted {
    /// A secret with no end in sight.
    #[must_use]
    pub fn always(secret: AppSecret) -> Self {
        Self { secret, until: None }
    }

    /// The old secret of a rotation.
    #[must_use]
    pub fn until(secret: AppSecret, end: i64) -> Self {
        Self { secret, until: Some(end) }
    }

    pub(super) fn is_live(&self, now: i64) -> bool {
        self.until.is_none_or(|until| now < until)
    }
}
