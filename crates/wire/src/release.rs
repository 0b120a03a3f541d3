//! What binds bytes to a name and a version: the vendor's signature over the ZIP and the marketplace's over the
//! release statement (contracts.md section 8). A tenant checks the digest and both before it installs.

use std::fmt;
use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_PAD_INDIFFERENT};
use semver::Version;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use thiserror::Error;

use crate::keys::{SigningKey, VerifyingKey};
use crate::manifest::MarketplaceId;

/// Why a signature or digest does not vouch for a release.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum ReleaseError {
    /// The signature is no base64 of 64 bytes.
    #[error("a signature is the base64 of 64 bytes; send the content of the .sig file")]
    MalformedSignature,
    /// The signature names a key that is not among the known ones.
    #[error(
        "the signature's key is unknown here; load the marketplace's keys again from /.well-known/mercato.json"
    )]
    UnknownKey,
    /// No known key made this signature.
    #[error("the signature does not fit; sign exactly these bytes with a registered key")]
    Mismatch,
    /// The digest is not written as 64 lower-case hex digits.
    #[error("a digest is the SHA-256 as 64 lower-case hex digits")]
    MalformedDigest,
}

/// The SHA-256 of an artefact, written as 64 lower-case hex digits.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ArtifactDigest([u8; 32]);

impl ArtifactDigest {
    /// The digest of these bytes.
    #[must_use]
    pub fn of(bytes: &[u8]) -> Self {
        Self(Sha256::digest(bytes).into())
    }

    /// A digest that was computed elsewhere, while streaming for instance.
    #[must_use]
    pub fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The raw 32 bytes.
    #[must_use]
    pub fn to_bytes(self) -> [u8; 32] {
        self.0
    }
}

impl fmt::Display for ArtifactDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

impl fmt::Debug for ArtifactDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ArtifactDigest({self})")
    }
}

impl FromStr for ArtifactDigest {
    type Err = ReleaseError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text.bytes().any(|b| b.is_ascii_uppercase()) {
            return Err(ReleaseError::MalformedDigest);
        }
        let mut bytes = [0; 32];
        hex::decode_to_slice(text, &mut bytes).map_err(|_| ReleaseError::MalformedDigest)?;
        Ok(Self(bytes))
    }
}

impl TryFrom<String> for ArtifactDigest {
    type Error = ReleaseError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<ArtifactDigest> for String {
    fn from(digest: ArtifactDigest) -> Self {
        digest.to_string()
    }
}

/// The SHA-256 of the bytes as the feed writes it.
#[must_use]
pub fn sha256_hex(bytes: &[u8]) -> String {
    ArtifactDigest::of(bytes).to_string()
}

/// The marketplace's signature of a release statement, as the feed carries it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReleaseSignature {
    /// The id of the marketplace's key: [`VerifyingKey::key_id`].
    pub key_id: String,
    /// Base64 of the 64 bytes.
    pub value: String,
}

/// The text that the marketplace signs on publishing (contracts.md section 8).
///
/// The types leave no line break anywhere but where the form has one.
#[must_use]
pub fn statement(marketplace_id: &MarketplaceId, version: &Version, sha256: &ArtifactDigest) -> String {
    format!("mercato-release-v1\n{marketplace_id}\n{version}\n{sha256}\n")
}

/// Signs the statement of a release (contracts.md section 8).
#[must_use]
pub fn sign_statement(
    key: &SigningKey,
    marketplace_id: &MarketplaceId,
    version: &Version,
    sha256: &ArtifactDigest,
) -> ReleaseSignature {
    let signature = key.sign(statement(marketplace_id, version, sha256).as_bytes());
    ReleaseSignature { key_id: key.key_id(), value: STANDARD.encode(signature) }
}

/// Checks the marketplace's signature of a release (contracts.md section 8); `keys` are those of its JWKS.
pub fn verify_statement(
    keys: &[VerifyingKey],
    signature: &ReleaseSignature,
    marketplace_id: &MarketplaceId,
    version: &Version,
    sha256: &ArtifactDigest,
) -> Result<(), ReleaseError> {
    let bytes = decode_signature(&signature.value)?;
    let key = keys.iter().find(|key| key.key_id() == signature.key_id).ok_or(ReleaseError::UnknownKey)?;
    let statement = statement(marketplace_id, version, sha256);
    if key.verifies(statement.as_bytes(), &bytes) { Ok(()) } else { Err(ReleaseError::Mismatch) }
}

/// The content of the `.sig` file beside a ZIP: base64 of the vendor's signature over its bytes
/// (contracts.md section 8).
#[must_use]
pub fn sign_artifact(key: &SigningKey, bytes: &[u8]) -> String {
    STANDARD.encode(key.sign(bytes))
}

/// Which of the vendor's keys signed these bytes (contracts.md section 8). `keys` holds the rotated ones too: they
/// keep verifying the releases they signed.
pub fn verify_vendor_signature(
    keys: &[VerifyingKey],
    bytes: &[u8],
    sig_base64: &str,
) -> Result<String, ReleaseError> {
    let signature = decode_signature(sig_base64)?;
    let key = keys.iter().find(|key| key.verifies(bytes, &signature));
    key.map(VerifyingKey::key_id).ok_or(ReleaseError::Mismatch)
}

/// A `.sig` file may end with a line break.
fn decode_signature(base64: &str) -> Result<[u8; 64], ReleaseError> {
    let bytes =
        STANDARD_PAD_INDIFFERENT.decode(base64.trim()).map_err(|_| ReleaseError::MalformedSignature)?;
    bytes.try_into().map_err(|_| ReleaseError::MalformedSignature)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use proptest::prelude::*;

    use super::*;

    fn key(seed: u8) -> SigningKey {
        SigningKey::from_seed(&[seed; 32])
    }

    fn id() -> MarketplaceId {
        "@vendor/app".parse().unwrap()
    }

    #[test]
    fn the_statement_is_the_agreed_text() {
        let digest = ArtifactDigest::of(b"");
        assert_eq!(
            statement(&id(), &Version::new(1, 2, 3), &digest),
            "mercato-release-v1\n@vendor/app\n1.2.3\ne3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855\n"
        );
    }

    #[test]
    fn a_statement_vouches_for_one_name_version_and_digest() {
        let (digest, version) = (ArtifactDigest::of(b"zip"), Version::new(1, 0, 0));
        let keys = [key(1).verifying_key(), key(2).verifying_key()];
        let signature = sign_statement(&key(2), &id(), &version, &digest);
        let check = |keys: &[_], id: &_, version: &_, digest: &_| {
            verify_statement(keys, &signature, id, version, digest)
        };
        assert_eq!(check(&keys, &id(), &version, &digest), Ok(()));
        let mismatch = Err(ReleaseError::Mismatch);
        assert_eq!(check(&keys, &"@vendor/other".parse().unwrap(), &version, &digest), mismatch);
        assert_eq!(check(&keys, &id(), &Version::new(1, 0, 1), &digest), mismatch);
        assert_eq!(check(&keys, &id(), &version, &ArtifactDigest::of(b"zap")), mismatch);
        assert_eq!(check(&keys[..1], &id(), &version, &digest), Err(ReleaseError::UnknownKey));
    }

    #[test]
    fn a_rotated_vendor_key_still_verifies_and_is_named() {
        let keys = [key(1).verifying_key(), key(2).verifying_key()];
        let signature = sign_artifact(&key(1), b"zip");
        assert_eq!(verify_vendor_signature(&keys, b"zip", &format!("{signature}\n")), Ok(key(1).key_id()));
        assert_eq!(verify_vendor_signature(&keys, b"zap", &signature), Err(ReleaseError::Mismatch));
        assert_eq!(verify_vendor_signature(&keys[1..], b"zip", &signature), Err(ReleaseError::Mismatch));
    }

    #[test]
    fn malformed_texts_are_told() {
        assert_eq!(verify_vendor_signature(&[], b"", "AAAA"), Err(ReleaseError::MalformedSignature));
        assert_eq!(verify_vendor_signature(&[], b"", "%"), Err(ReleaseError::MalformedSignature));
        let upper = sha256_hex(b"").to_uppercase();
        for text in ["", "00", upper.as_str()] {
            assert_eq!(text.parse::<ArtifactDigest>(), Err(ReleaseError::MalformedDigest));
        }
    }

    proptest! {
        #[test]
        fn a_digest_reads_back(bytes: [u8; 32]) {
            let digest = ArtifactDigest::from_bytes(bytes);
            prop_assert_eq!(digest.to_string().parse(), Ok(digest));
        }

        #[test]
        fn one_changed_bit_of_the_artifact_is_noticed(mut bytes in prop::collection::vec(any::<u8>(), 1..300), at: prop::sample::Index, bit in 0..8_u8) {
            let signature = sign_artifact(&key(1), &bytes);
            let at = at.index(bytes.len());
            bytes[at] ^= 1 << bit;
            prop_assert_eq!(verify_vendor_signature(&[key(1).verifying_key()], &bytes, &signature), Err(ReleaseError::Mismatch));
        }
    }
}
