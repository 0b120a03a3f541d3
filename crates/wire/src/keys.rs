//! Ed25519 keys: the marketplace signs releases and licence tokens with them, a vendor its ZIPs
//! (contracts.md sections 5 and 8). Public keys are published as a JWKS (RFC 7517, RFC 8037).

use std::fmt;
use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_PAD_INDIFFERENT, URL_SAFE_NO_PAD};
use ed25519_dalek::Signer as _;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use thiserror::Error;
use zeroize::Zeroizing;

/// Why a text is no key; no variant holds any of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum KeyError {
    /// It is no base64 of 32 bytes.
    #[error("a key is written as the base64 of its 32 bytes")]
    Not32Bytes,
    /// The 32 bytes are no point of the curve, or one that would accept forgeries.
    #[error("these 32 bytes are no usable public key; export the public key again from its key pair")]
    NotAKey,
    /// The JWK is of another key type, curve or use.
    #[error(
        "a verification key is a JWK with kty `OKP`, crv `Ed25519` and, if given, alg `EdDSA` and use `sig`"
    )]
    OtherKind,
}

/// Reads 32 bytes out of standard base64, padded or not.
pub(crate) fn decode_32(text: &str) -> Result<Zeroizing<[u8; 32]>, KeyError> {
    let bytes =
        STANDARD_PAD_INDIFFERENT.decode(text.trim()).map(Zeroizing::new).map_err(|_| KeyError::Not32Bytes)?;
    let bytes = <[u8; 32]>::try_from(bytes.as_slice()).map_err(|_| KeyError::Not32Bytes)?;
    Ok(Zeroizing::new(bytes))
}

/// An Ed25519 key that signs. It is wiped from memory when dropped and never printed.
#[derive(Clone)]
pub struct SigningKey(ed25519_dalek::SigningKey);

impl SigningKey {
    /// The key of a 32-byte seed (RFC 8032 calls it the private key).
    #[must_use]
    pub fn from_seed(seed: &[u8; 32]) -> Self {
        Self(ed25519_dalek::SigningKey::from_bytes(seed))
    }

    /// Its public half.
    #[must_use]
    pub fn verifying_key(&self) -> VerifyingKey {
        VerifyingKey(self.0.verifying_key())
    }

    /// The id under which its public half is published: [`VerifyingKey::key_id`].
    #[must_use]
    pub fn key_id(&self) -> String {
        self.verifying_key().key_id()
    }

    /// The Ed25519 signature of the message.
    #[must_use]
    pub fn sign(&self, message: &[u8]) -> [u8; 64] {
        self.0.sign(message).to_bytes()
    }
}

impl FromStr for SigningKey {
    type Err = KeyError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        decode_32(text).map(|seed| Self::from_seed(&seed))
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SigningKey(redacted)")
    }
}

/// An Ed25519 key that verifies; written as the base64 of its 32 bytes.
#[derive(Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct VerifyingKey(ed25519_dalek::VerifyingKey);

impl VerifyingKey {
    /// The key of these bytes; a point of small order is refused, because it accepts forgeries.
    pub fn from_bytes(bytes: &[u8; 32]) -> Result<Self, KeyError> {
        let key = ed25519_dalek::VerifyingKey::from_bytes(bytes).map_err(|_| KeyError::NotAKey)?;
        if key.is_weak() { Err(KeyError::NotAKey) } else { Ok(Self(key)) }
    }

    /// The bytes of the key.
    #[must_use]
    pub fn to_bytes(&self) -> [u8; 32] {
        self.0.to_bytes()
    }

    /// Its RFC 7638 thumbprint, the `kid` of tokens and the `key_id` of signatures.
    #[must_use]
    pub fn key_id(&self) -> String {
        // RFC 8037 appendix A.3: the required members in lexical order, without white space.
        let canonical = format!(r#"{{"crv":"Ed25519","kty":"OKP","x":"{}"}}"#, self.x());
        URL_SAFE_NO_PAD.encode(Sha256::digest(canonical))
    }

    /// Whether `signature` is this key's over `message`, by the strict rules of RFC 8032.
    #[must_use]
    pub fn verifies(&self, message: &[u8], signature: &[u8; 64]) -> bool {
        self.0.verify_strict(message, &ed25519_dalek::Signature::from_bytes(signature)).is_ok()
    }

    fn x(&self) -> String {
        URL_SAFE_NO_PAD.encode(self.to_bytes())
    }
}

impl FromStr for VerifyingKey {
    type Err = KeyError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::from_bytes(&*decode_32(text)?)
    }
}

impl TryFrom<String> for VerifyingKey {
    type Error = KeyError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<VerifyingKey> for String {
    fn from(key: VerifyingKey) -> Self {
        key.to_string()
    }
}

impl fmt::Display for VerifyingKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&STANDARD.encode(self.to_bytes()))
    }
}

impl fmt::Debug for VerifyingKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "VerifyingKey({self})")
    }
}

/// One public key as `/.well-known/mercato.json` lists it (contracts.md section 2; RFC 8037).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Jwk {
    /// `OKP`
    pub kty: String,
    /// `Ed25519`
    pub crv: String,
    /// The 32 bytes as base64url.
    pub x: String,
    /// The key's id, its thumbprint.
    pub kid: String,
    /// `EdDSA`
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub alg: Option<String>,
    /// `sig`
    #[serde(default, rename = "use", skip_serializing_if = "Option::is_none")]
    pub key_use: Option<String>,
}

impl From<&VerifyingKey> for Jwk {
    fn from(key: &VerifyingKey) -> Self {
        Self {
            kty: "OKP".to_owned(),
            crv: "Ed25519".to_owned(),
            x: key.x(),
            kid: key.key_id(),
            alg: Some("EdDSA".to_owned()),
            key_use: Some("sig".to_owned()),
        }
    }
}

impl TryFrom<&Jwk> for VerifyingKey {
    type Error = KeyError;

    fn try_from(jwk: &Jwk) -> Result<Self, Self::Error> {
        let for_tokens = jwk.alg.as_deref().is_none_or(|alg| matches!(alg, "EdDSA" | "Ed25519"))
            && jwk.key_use.as_deref().is_none_or(|key_use| key_use == "sig");
        if jwk.kty != "OKP" || jwk.crv != "Ed25519" || !for_tokens {
            return Err(KeyError::OtherKind);
        }
        let x = URL_SAFE_NO_PAD.decode(&jwk.x).map_err(|_| KeyError::Not32Bytes)?;
        Self::from_bytes(&x.try_into().map_err(|_| KeyError::Not32Bytes)?)
    }
}

/// The public keys of an issuer: the present one and those whose signatures may still be met.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Jwks {
    /// The keys, in no particular order.
    pub keys: Vec<Jwk>,
}

impl Jwks {
    /// The set of these keys.
    #[must_use]
    pub fn new<'a>(keys: impl IntoIterator<Item = &'a VerifyingKey>) -> Self {
        Self { keys: keys.into_iter().map(Jwk::from).collect() }
    }

    /// The entry of this id.
    #[must_use]
    pub fn find(&self, kid: &str) -> Option<&Jwk> {
        self.keys.iter().find(|jwk| jwk.kid == kid)
    }

    /// All usable verification keys; entries of other kinds are passed over, as RFC 7517 section 5 asks.
    #[must_use]
    pub fn verifying_keys(&self) -> Vec<VerifyingKey> {
        self.keys.iter().filter_map(|jwk| VerifyingKey::try_from(jwk).ok()).collect()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use proptest::prelude::*;

    use super::*;

    /// RFC 8037 appendix A.
    const RFC_SEED: &str = "nWGxne/9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A=";
    const RFC_THUMBPRINT: &str = "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k";

    #[test]
    fn the_thumbprint_is_that_of_rfc_8037() {
        let key: SigningKey = RFC_SEED.parse().unwrap();
        assert_eq!(key.key_id(), RFC_THUMBPRINT);
        assert_eq!(Jwk::from(&key.verifying_key()).x, "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo");
    }

    #[test]
    fn a_seed_is_never_printed() {
        assert_eq!(format!("{:?}", SigningKey::from_seed(&[1; 32])), "SigningKey(redacted)");
    }

    #[test]
    fn what_is_no_key_is_refused() {
        for text in ["", "!", "AAAA", "nWGxne/9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2Bm"] {
            assert_eq!(text.parse::<VerifyingKey>(), Err(KeyError::Not32Bytes));
        }
        let small_order = STANDARD.encode([0; 32]);
        assert_eq!(small_order.parse::<VerifyingKey>(), Err(KeyError::NotAKey));
    }

    #[test]
    fn a_jwk_of_another_kind_is_passed_over() {
        let key = SigningKey::from_seed(&[1; 32]).verifying_key();
        let mut jwks = Jwks::new([&key]);
        let mut other = jwks.keys[0].clone();
        other.crv = "X25519".to_owned();
        assert_eq!(VerifyingKey::try_from(&other), Err(KeyError::OtherKind));
        jwks.keys.push(other);
        assert_eq!(jwks.verifying_keys(), [key]);
    }

    proptest! {
        #[test]
        fn keys_and_jwks_read_back(seed: [u8; 32]) {
            let key = SigningKey::from_seed(&seed).verifying_key();
            prop_assert_eq!(key.to_string().parse(), Ok(key));
            let json = serde_json::to_string(&Jwks::new([&key])).unwrap();
            let jwks: Jwks = serde_json::from_str(&json).unwrap();
            prop_assert_eq!(VerifyingKey::try_from(jwks.find(&key.key_id()).unwrap()), Ok(key));
        }
    }
}
