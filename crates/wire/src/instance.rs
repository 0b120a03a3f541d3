//! Instance ids, plain (`inst_…`) or sealed (`enc_…`) to the marketplace's X25519 key (contracts.md section 5).
//!
//! A sealed id is `enc_` + base64url of a libsodium sealed box (`crypto_box_seal`), so any libsodium binding makes one.

use std::fmt;
use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD, URL_SAFE_PAD_INDIFFERENT};
use crypto_box::aead::rand_core::{CryptoRng, Error as RngError, RngCore};
use serde::{Deserialize, Serialize};
use thiserror::Error;
use zeroize::{Zeroize, Zeroizing};

use crate::keys::{KeyError, decode_32};

const PLAIN_PREFIX: &str = "inst_";
const SEALED_PREFIX: &str = "enc_";
/// A ULID has 26 characters.
const MAX_ID_LEN: usize = 64;
/// A sealed id has some 110 characters.
const MAX_SEALED_LEN: usize = 256;

/// Why a text stands for no instance; no variant holds any of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum InstanceError {
    /// It is neither form.
    #[error(
        "an instance id is `inst_` and letters and digits, or `enc_` and the base64url of a sealed box of it"
    )]
    Malformed,
    /// The sealed box is for another key, or was changed.
    #[error("the sealed instance id can't be opened; seal it to the key in /.well-known/mercato.json")]
    CannotOpen,
    /// The sealed box holds something else than an instance id.
    #[error("the sealed box holds no instance id; seal the text `inst_…` alone")]
    NotAnInstanceId,
}

/// An instance id as a shop sends it. `Debug` hides it.
#[derive(Clone, PartialEq, Eq, Hash)]
pub enum InstanceRef {
    /// `inst_…`
    Plain(String),
    /// `enc_…`, not opened yet.
    Sealed(String),
}

impl InstanceRef {
    /// The plain id, opened if it is sealed (contracts.md section 5).
    pub fn reveal(&self, key: &SealingKey) -> Result<String, InstanceError> {
        match self {
            Self::Plain(id) => Ok(id.clone()),
            Self::Sealed(sealed) => open(key, sealed),
        }
    }

    /// The text as it was sent.
    #[must_use]
    pub fn as_str(&self) -> &str {
        let (Self::Plain(text) | Self::Sealed(text)) = self;
        text
    }
}

impl FromStr for InstanceRef {
    type Err = InstanceError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if is_plain_id(text) {
            return Ok(Self::Plain(text.to_owned()));
        }
        decode_sealed(text).map(|_| Self::Sealed(text.to_owned()))
    }
}

impl fmt::Debug for InstanceRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Plain(_) => "InstanceRef::Plain(redacted)",
            Self::Sealed(_) => "InstanceRef::Sealed(redacted)",
        })
    }
}

/// The marketplace's X25519 key that opens sealed ids; never printed.
#[derive(Clone)]
pub struct SealingKey(crypto_box::SecretKey);

impl SealingKey {
    /// The key of a 32-byte seed.
    #[must_use]
    pub fn from_seed(seed: &[u8; 32]) -> Self {
        Self(crypto_box::SecretKey::from_bytes(*seed))
    }

    /// The half that shops seal to.
    #[must_use]
    pub fn public_key(&self) -> SealingPublicKey {
        SealingPublicKey(self.0.public_key())
    }
}

impl FromStr for SealingKey {
    type Err = KeyError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        decode_32(text).map(|seed| Self::from_seed(&seed))
    }
}

impl fmt::Debug for SealingKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SealingKey(redacted)")
    }
}

/// The X25519 key that shops seal to, written as the base64 of its 32 bytes.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct SealingPublicKey(crypto_box::PublicKey);

impl SealingPublicKey {
    /// The bytes of the key.
    #[must_use]
    pub fn to_bytes(&self) -> [u8; 32] {
        self.0.to_bytes()
    }
}

impl FromStr for SealingPublicKey {
    type Err = KeyError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        decode_32(text).map(|bytes| Self(crypto_box::PublicKey::from_bytes(*bytes)))
    }
}

impl TryFrom<String> for SealingPublicKey {
    type Error = KeyError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<SealingPublicKey> for String {
    fn from(key: SealingPublicKey) -> Self {
        key.to_string()
    }
}

impl fmt::Display for SealingPublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&STANDARD.encode(self.to_bytes()))
    }
}

impl fmt::Debug for SealingPublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SealingPublicKey({self})")
    }
}

/// Seals an instance id to the marketplace (contracts.md section 5).
///
/// `ephemeral` are 32 fresh random bytes, the box's one-time secret key; using them twice links the two boxes.
pub fn seal(to: &SealingPublicKey, instance_id: &str, ephemeral: [u8; 32]) -> Result<String, InstanceError> {
    if !is_plain_id(instance_id) {
        return Err(InstanceError::Malformed);
    }
    let mut rng = OneKey(Zeroizing::new(ephemeral));
    let sealed = to.0.seal(&mut rng, instance_id.as_bytes()).map_err(|_| InstanceError::Malformed)?;
    Ok(format!("{SEALED_PREFIX}{}", URL_SAFE_NO_PAD.encode(sealed)))
}

/// Opens a sealed instance id (contracts.md section 5).
pub fn open(key: &SealingKey, sealed: &str) -> Result<String, InstanceError> {
    let ciphertext = decode_sealed(sealed)?;
    let opened = key.0.unseal(&ciphertext).map(Zeroizing::new).map_err(|_| InstanceError::CannotOpen)?;
    match std::str::from_utf8(&opened) {
        Ok(id) if is_plain_id(id) => Ok(id.to_owned()),
        _ => Err(InstanceError::NotAnInstanceId),
    }
}

fn is_plain_id(text: &str) -> bool {
    text.len() <= MAX_ID_LEN
        && text
            .strip_prefix(PLAIN_PREFIX)
            .is_some_and(|rest| !rest.is_empty() && rest.bytes().all(|b| b.is_ascii_alphanumeric()))
}

fn decode_sealed(text: &str) -> Result<Vec<u8>, InstanceError> {
    let encoded = text.strip_prefix(SEALED_PREFIX).filter(|_| text.len() <= MAX_SEALED_LEN);
    let ciphertext = encoded.and_then(|encoded| URL_SAFE_PAD_INDIFFERENT.decode(encoded).ok());
    ciphertext.filter(|bytes| bytes.len() > crypto_box::SEALBYTES).ok_or(InstanceError::Malformed)
}

/// Hands the caller's random bytes to `crypto_box`, which asks a generator for exactly one key.
struct OneKey(Zeroizing<[u8; 32]>);

impl RngCore for OneKey {
    fn next_u32(&mut self) -> u32 {
        let mut bytes = [0; 4];
        self.fill_bytes(&mut bytes);
        u32::from_le_bytes(bytes)
    }

    fn next_u64(&mut self) -> u64 {
        let mut bytes = [0; 8];
        self.fill_bytes(&mut bytes);
        u64::from_le_bytes(bytes)
    }

    fn fill_bytes(&mut self, dest: &mut [u8]) {
        assert_eq!(dest.len(), self.0.len(), "a sealed box takes one ephemeral key of 32 bytes");
        dest.copy_from_slice(self.0.as_slice());
        self.0.zeroize();
    }

    fn try_fill_bytes(&mut self, dest: &mut [u8]) -> Result<(), RngError> {
        self.fill_bytes(dest);
        Ok(())
    }
}

impl CryptoRng for OneKey {}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use proptest::prelude::*;

    use super::*;

    const ID: &str = "inst_01JAY2M3N4P5Q6R7S8T9V0W1X2";

    fn key() -> SealingKey {
        SealingKey::from_seed(&[5; 32])
    }

    #[test]
    fn both_forms_are_read_and_neither_is_printed() {
        let sealed = seal(&key().public_key(), ID, [1; 32]).unwrap();
        for text in [ID, &sealed] {
            let instance: InstanceRef = text.parse().unwrap();
            assert_eq!(instance.reveal(&key()).unwrap(), ID);
            assert_eq!(instance.as_str(), text);
            assert!(!format!("{instance:?}").contains(text));
        }
        assert_eq!(format!("{:?}", key()), "SealingKey(redacted)");
    }

    #[test]
    fn padding_is_optional() {
        let sealed = seal(&key().public_key(), ID, [1; 32]).unwrap();
        let body = &sealed[4..];
        let padded = format!("enc_{body}{}", "=".repeat((4 - body.len() % 4) % 4));
        assert_ne!(padded, sealed);
        assert_eq!(open(&key(), &padded).unwrap(), ID);
    }

    #[test]
    fn what_is_neither_form_is_malformed() {
        let long = format!("inst_{}", "A".repeat(80));
        for text in ["", "inst_", "inst_a b", "INST_01", "enc_", "enc_AAAA", "enc_***", long.as_str()] {
            assert_eq!(text.parse::<InstanceRef>(), Err(InstanceError::Malformed), "{text}");
        }
        assert_eq!(seal(&key().public_key(), "shop", [1; 32]), Err(InstanceError::Malformed));
    }

    #[test]
    fn another_key_opens_nothing() {
        let sealed = seal(&key().public_key(), ID, [1; 32]).unwrap();
        assert_eq!(open(&SealingKey::from_seed(&[6; 32]), &sealed), Err(InstanceError::CannotOpen));
    }

    #[test]
    fn a_box_of_something_else_is_refused() {
        let mut rng = OneKey(Zeroizing::new([1; 32]));
        let sealed = key().public_key().0.seal(&mut rng, b"merchant@shop.com").unwrap();
        let text = format!("enc_{}", URL_SAFE_NO_PAD.encode(sealed));
        assert_eq!(open(&key(), &text), Err(InstanceError::NotAnInstanceId));
    }

    proptest! {
        #[test]
        fn what_is_sealed_opens(seed: [u8; 32], ephemeral: [u8; 32], rest in "[0-9A-Za-z]{1,40}") {
            let (key, id) = (SealingKey::from_seed(&seed), format!("inst_{rest}"));
            let public: SealingPublicKey = key.public_key().to_string().parse().unwrap();
            prop_assert_eq!(open(&key, &seal(&public, &id, ephemeral).unwrap()), Ok(id));
        }

        #[test]
        fn one_changed_bit_is_noticed(at: prop::sample::Index, bit in 0..8_u8) {
            let sealed = seal(&key().public_key(), ID, [1; 32]).unwrap();
            let mut bytes = URL_SAFE_NO_PAD.decode(&sealed[4..]).unwrap();
            let at = at.index(bytes.len());
            // X25519 ignores the top bit of a public key (RFC 7748 section 5), but the nonce hashes it.
            bytes[at] ^= 1 << bit;
            let changed = format!("enc_{}", URL_SAFE_NO_PAD.encode(bytes));
            prop_assert_eq!(open(&key(), &changed), Err(InstanceError::CannotOpen));
        }
    }
}
