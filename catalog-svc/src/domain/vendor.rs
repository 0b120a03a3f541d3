use std::{fmt, str::FromStr};

use thiserror::Error;
use wire::{keys::VerifyingKey, manifest::MarketplaceId};

const MAX_DISPLAY_NAME: usize = 120;
const MAX_KEYS: usize = 20;

/// Why a vendor is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum VendorError {
    /// Not of the grammar of `@vendor/name`.
    #[error(
        "a vendor's name is lower-case letters, digits and hyphens, a letter or digit at both ends, at most 64"
    )]
    Name,
    /// Empty, too long, or with control characters.
    #[error("a vendor's display name has 1 to 120 characters, none of them a control character")]
    DisplayName,
    /// No key could verify this vendor's releases.
    #[error("a vendor needs at least one public key, the base64 of 32 bytes (Ed25519)")]
    NoKey,
    /// More keys than anybody rotates.
    #[error("a vendor may have at most 20 public keys")]
    TooManyKeys,
    /// Not an Ed25519 public key.
    #[error("a public key is not usable: {0}")]
    Key(#[from] wire::keys::KeyError),
}

/// The part between `@` and `/` of a vendor's apps.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VendorName(String);

impl VendorName {
    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for VendorName {
    type Err = VendorError;

    /// What may stand in a marketplace id is a name, and nothing else.
    fn from_str(text: &str) -> Result<Self, VendorError> {
        let id: MarketplaceId = format!("@{text}/app").parse().map_err(|_| VendorError::Name)?;
        if id.vendor() == text { Ok(Self(text.to_owned())) } else { Err(VendorError::Name) }
    }
}

impl fmt::Display for VendorName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The name that people see.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DisplayName(String);

impl DisplayName {
    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for DisplayName {
    type Err = VendorError;

    fn from_str(text: &str) -> Result<Self, VendorError> {
        let text = text.trim();
        let fits = (1..=MAX_DISPLAY_NAME).contains(&text.chars().count());
        if fits && !text.chars().any(char::is_control) {
            Ok(Self(text.to_owned()))
        } else {
            Err(VendorError::DisplayName)
        }
    }
}

/// A public key under its id, which is computed once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublicKey {
    /// [`VerifyingKey::key_id`].
    pub id: String,
    /// The key.
    pub key: VerifyingKey,
}

impl From<VerifyingKey> for PublicKey {
    fn from(key: VerifyingKey) -> Self {
        Self { id: key.key_id(), key }
    }
}

/// Who publishes apps.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Vendor {
    /// `vnd_…`
    pub id: String,
    /// The name in its apps' ids.
    pub name: VendorName,
    /// The name that people see.
    pub display_name: DisplayName,
    /// Oldest first; the rotated ones keep verifying what they signed.
    pub keys: Vec<PublicKey>,
    /// Unix milliseconds.
    pub created_at_ms: i64,
}

impl Vendor {
    /// The vendor with one more key; `None` if it has it already.
    pub fn with_key(&self, key: &PublicKey) -> Result<Option<Self>, VendorError> {
        if self.keys.contains(key) {
            return Ok(None);
        }
        if self.keys.len() >= MAX_KEYS {
            return Err(VendorError::TooManyKeys);
        }
        let mut vendor = self.clone();
        vendor.keys.push(key.clone());
        Ok(Some(vendor))
    }
}

/// Reads one public key.
pub fn parse_key(text: &str) -> Result<PublicKey, VendorError> {
    Ok(text.parse::<VerifyingKey>()?.into())
}

/// Reads the keys that a vendor starts with; the same key twice is one.
pub fn parse_keys(texts: &[String]) -> Result<Vec<PublicKey>, VendorError> {
    let mut keys: Vec<PublicKey> = Vec::new();
    for text in texts {
        let key = parse_key(text)?;
        if !keys.contains(&key) {
            keys.push(key);
        }
    }
    match keys.len() {
        0 => Err(VendorError::NoKey),
        1..=MAX_KEYS => Ok(keys),
        _ => Err(VendorError::TooManyKeys),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use wire::keys::SigningKey;

    use super::*;

    fn key(seed: u8) -> String {
        SigningKey::from_seed(&[seed; 32]).verifying_key().to_string()
    }

    #[test]
    fn a_name_is_what_may_stand_in_a_marketplace_id() {
        for good in ["carphacom", "a", "a-1", "1a"] {
            assert_eq!(good.parse::<VendorName>().unwrap().as_str(), good);
        }
        for bad in ["", "-a", "a-", "A", "a b", "a/b", "@a", "é", &"a".repeat(65)] {
            assert_eq!(bad.parse::<VendorName>(), Err(VendorError::Name), "{bad}");
        }
    }

    #[test]
    fn a_display_name_is_trimmed_and_bounded() {
        assert_eq!(" Carpha Com ".parse::<DisplayName>().unwrap().as_str(), "Carpha Com");
        for bad in ["", "  ", "a\u{7}b", &"x".repeat(121)] {
            assert_eq!(bad.parse::<DisplayName>(), Err(VendorError::DisplayName));
        }
    }

    #[test]
    fn keys_are_ed25519_and_each_counts_once() {
        assert_eq!(parse_keys(&[key(1), key(1), key(2)]).unwrap().len(), 2);
        assert_eq!(parse_keys(&[]), Err(VendorError::NoKey));
        assert!(matches!(parse_keys(&["AAAA".to_owned()]), Err(VendorError::Key(_))));
        let many: Vec<_> = (0..21).map(key).collect();
        assert_eq!(parse_keys(&many), Err(VendorError::TooManyKeys));
    }

    #[test]
    fn a_key_is_added_once() {
        let vendor = Vendor {
            id: "vnd_1".into(),
            name: "a".parse().unwrap(),
            display_name: "A".parse().unwrap(),
            keys: parse_keys(&[key(1)]).unwrap(),
            created_at_ms: 0,
        };
        let second = parse_key(&key(2)).unwrap();
        let more = vendor.with_key(&second).unwrap().unwrap();
        assert_eq!(more.keys.len(), 2);
        assert_eq!(more.with_key(&second).unwrap(), None);
    }
}
