//! HMAC-SHA256, the one keyed hash of all signed messages here.

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use subtle::ConstantTimeEq;

/// HMAC-SHA256 over the parts one after the other.
#[expect(clippy::expect_used, reason = "RFC 2104: HMAC takes a key of any length")]
pub(crate) fn hmac_sha256(key: &[u8], parts: &[&[u8]]) -> [u8; 32] {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("any key length");
    for part in parts {
        mac.update(part);
    }
    mac.finalize().into_bytes().into()
}

/// Whether a signature that came with a message is the expected one, compared in constant time.
pub(crate) fn fits(given: &[u8], expected: &[u8; 32]) -> bool {
    given.ct_eq(expected).into()
}
