//! Sealing of secrets, at rest and on the bus: XChaCha20-Poly1305, with a key id so that keys can be rotated.

use std::{collections::BTreeMap, fmt, sync::Arc};

use base64::{Engine as _, prelude::BASE64_STANDARD};
use chacha20poly1305::{
    Key, KeyInit as _, XChaCha20Poly1305, XNonce,
    aead::{Aead as _, Payload},
};
use serde::Deserialize;

use crate::{AppError, AppResult, Random, secret::Secret};

const FORM: u8 = 1;
const NONCE: usize = 24;

/// Keys by configuration: `id:base64 of 32 bytes`, separated by commas; the first one seals, all of them open.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SealingConfig {
    /// For example `2026-11:q83v…=`.
    pub keys: Secret,
}

impl SealingConfig {
    /// A ring of one key with the id `1`.
    #[must_use]
    pub fn single(key: &[u8; 32]) -> Self {
        Self { keys: Secret::new(format!("1:{}", BASE64_STANDARD.encode(key))) }
    }
}

/// Why a sealed value could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum SealError {
    /// The keys of the configuration are not of the form that is taken.
    #[error("sealing keys must be `id:base64` pairs of 32 bytes, separated by commas; the first one seals")]
    BadKeys,
    /// Sealed with a key that this service does not have.
    #[error("the value is sealed with a key that is not configured")]
    UnknownKey,
    /// Changed since, or sealed for another purpose.
    #[error("the sealed value is damaged or was sealed for another purpose")]
    Damaged,
}

impl From<SealError> for AppError {
    fn from(error: SealError) -> Self {
        Self::unexpected(error)
    }
}

/// Seals and opens with the ring of keys; cheap to clone.
#[derive(Clone)]
pub struct Sealer {
    current: Arc<str>,
    keys: Arc<BTreeMap<String, XChaCha20Poly1305>>,
    random: Random,
}

impl fmt::Debug for Sealer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sealer").field("current", &self.current).finish_non_exhaustive()
    }
}

impl Sealer {
    /// A sealer over the configured keys.
    pub fn new(config: &SealingConfig, random: Random) -> Result<Self, SealError> {
        let mut current = None;
        let mut keys = BTreeMap::new();
        for pair in config.keys.split(',') {
            let (id, key) = parse_key(pair.trim())?;
            current.get_or_insert_with(|| id.clone());
            keys.insert(id, key);
        }
        let current = current.ok_or(SealError::BadKeys)?;
        Ok(Self { current: current.into(), keys: Arc::new(keys), random })
    }

    /// Seals `plain` for one purpose (for example `order.email`); the purpose must be named again to open it.
    pub fn seal(&self, purpose: &str, plain: &[u8]) -> AppResult<Vec<u8>> {
        let key = self.keys.get(&*self.current).ok_or(SealError::UnknownKey)?;
        let nonce: [u8; NONCE] = self.random.bytes();
        let payload = Payload { msg: plain, aad: purpose.as_bytes() };
        let sealed = key.encrypt(XNonce::from_slice(&nonce), payload).map_err(|_| SealError::Damaged)?;
        let id_len = u8::try_from(self.current.len()).map_err(|_| SealError::BadKeys)?;
        Ok([&[FORM, id_len], self.current.as_bytes(), &nonce, &sealed].concat())
    }

    /// Opens what was sealed for the same purpose by any key of the ring.
    pub fn open(&self, purpose: &str, sealed: &[u8]) -> Result<Vec<u8>, SealError> {
        let [FORM, id_len, rest @ ..] = sealed else { return Err(SealError::Damaged) };
        let (id, rest) = rest.split_at_checked(usize::from(*id_len)).ok_or(SealError::Damaged)?;
        let (nonce, cipher) = rest.split_at_checked(NONCE).ok_or(SealError::Damaged)?;
        let id = std::str::from_utf8(id).map_err(|_| SealError::Damaged)?;
        let key = self.keys.get(id).ok_or(SealError::UnknownKey)?;
        let payload = Payload { msg: cipher, aad: purpose.as_bytes() };
        key.decrypt(XNonce::from_slice(nonce), payload).map_err(|_| SealError::Damaged)
    }

    /// Opens text.
    pub fn open_text(&self, purpose: &str, sealed: &[u8]) -> Result<Secret, SealError> {
        String::from_utf8(self.open(purpose, sealed)?).map(Secret::new).map_err(|_| SealError::Damaged)
    }
}

fn parse_key(pair: &str) -> Result<(String, XChaCha20Poly1305), SealError> {
    let (id, key) = pair.split_once(':').ok_or(SealError::BadKeys)?;
    let bytes = BASE64_STANDARD.decode(key).map_err(|_| SealError::BadKeys)?;
    if id.is_empty() || id.len() > 255 || bytes.len() != 32 {
        return Err(SealError::BadKeys);
    }
    Ok((id.to_owned(), XChaCha20Poly1305::new(Key::from_slice(&bytes))))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ring(keys: &[(&str, u8)]) -> Sealer {
        let keys: Vec<String> =
            keys.iter().map(|(id, byte)| format!("{id}:{}", BASE64_STANDARD.encode([*byte; 32]))).collect();
        Sealer::new(&SealingConfig { keys: Secret::new(keys.join(",")) }, Random::seeded(1)).unwrap()
    }

    #[test]
    fn what_was_sealed_before_a_rotation_still_opens_after_it() {
        let sealed = ring(&[("old", 1)]).seal("order.email", b"a@b.c").unwrap();
        assert_eq!(ring(&[("new", 2), ("old", 1)]).open("order.email", &sealed).unwrap(), b"a@b.c");
        assert!(matches!(ring(&[("new", 2)]).open("order.email", &sealed), Err(SealError::UnknownKey)));
    }

    #[test]
    fn a_value_opens_only_for_its_purpose_and_unchanged() {
        let ring = ring(&[("k", 1)]);
        let mut sealed = ring.seal("order.email", b"a@b.c").unwrap();
        assert!(matches!(ring.open("license.key", &sealed), Err(SealError::Damaged)));
        *sealed.last_mut().unwrap() ^= 1;
        assert!(matches!(ring.open("order.email", &sealed), Err(SealError::Damaged)));
    }

    #[test]
    fn no_prefix_of_a_sealed_value_makes_it_panic() {
        let ring = ring(&[("k", 1)]);
        let sealed = ring.seal("p", b"text").unwrap();
        for end in 0..sealed.len() {
            assert!(ring.open("p", &sealed[..end]).is_err());
        }
    }

    #[test]
    fn bad_keys_are_refused_before_anything_is_sealed() {
        for keys in ["", "k", "k:short", ":AAAA"] {
            let config = SealingConfig { keys: Secret::new(keys) };
            assert!(Sealer::new(&config, Random::seeded(1)).is_err(), "{keys}");
        }
    }
}
