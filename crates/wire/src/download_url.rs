//! Download links that end after 15 minutes: `path?expires=<unix>&sig=<base64url>` (contracts.md section 2).
//!
//! `sig` is the HMAC-SHA256 over `mercato-download-v1\n{path}\n{expires}`.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use thiserror::Error;

use crate::mac::{fits, hmac_sha256};

/// How long a link lives (contracts.md section 2).
pub const LIFETIME_SECS: i64 = 900;

/// Why a link is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum DownloadUrlError {
    /// It was a good link, once.
    #[error("this download link has expired; ask for the download again")]
    Expired,
    /// It was not made here, or was changed.
    #[error("this download link is not valid; use it exactly as it was given")]
    Mismatch,
}

/// `path` with its end and its signature (contracts.md section 2). `path` is the raw path, without a query.
#[must_use]
pub fn sign(key: &[u8], path: &str, expires_at: i64) -> String {
    let signature = URL_SAFE_NO_PAD.encode(mac(key, path, expires_at));
    format!("{path}?expires={expires_at}&sig={signature}")
}

/// Checks a link against the live keys, the newest and during a rotation the one before (contracts.md section 2).
///
/// The end is inclusive of `expires - 1`: at `expires` the link is dead.
pub fn verify(keys: &[&[u8]], path: &str, expires: i64, sig: &str, now: i64) -> Result<(), DownloadUrlError> {
    let given = URL_SAFE_NO_PAD.decode(sig).map_err(|_| DownloadUrlError::Mismatch)?;
    let authentic = keys.iter().any(|key| fits(&given, &mac(key, path, expires)));
    if !authentic {
        Err(DownloadUrlError::Mismatch)
    } else if now >= expires {
        Err(DownloadUrlError::Expired)
    } else {
        Ok(())
    }
}

fn mac(key: &[u8], path: &str, expires: i64) -> [u8; 32] {
    let message = format!("mercato-download-v1\n{path}\n{expires}");
    hmac_sha256(key, &[message.as_bytes()])
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use proptest::prelude::*;

    use super::*;

    const PATH: &str = "/dl/rel_01/app-1.0.0.zip";

    fn parts(link: &str) -> (&str, i64, &str) {
        let (path, query) = link.split_once("?expires=").unwrap();
        let (expires, sig) = query.split_once("&sig=").unwrap();
        (path, expires.parse().unwrap(), sig)
    }

    #[test]
    fn it_ends_on_time_and_a_forged_one_is_not_called_expired() {
        let link = sign(b"key", PATH, 1900);
        let (path, expires, sig) = parts(&link);
        assert_eq!(verify(&[b"key"], path, expires, sig, 1899), Ok(()));
        assert_eq!(verify(&[b"key"], path, expires, sig, 1900), Err(DownloadUrlError::Expired));
        assert_eq!(verify(&[b"key"], path, 9999, sig, 1899), Err(DownloadUrlError::Mismatch));
        assert_eq!(verify(&[b"key"], path, 1, sig, 1899), Err(DownloadUrlError::Mismatch));
        assert_eq!(
            verify(&[b"key"], "/dl/rel_02/app-1.0.0.zip", expires, sig, 1),
            Err(DownloadUrlError::Mismatch)
        );
    }

    #[test]
    fn both_keys_of_a_rotation_verify() {
        let link = sign(b"old", PATH, 1900);
        let (path, expires, sig) = parts(&link);
        assert_eq!(verify(&[b"new", b"old"], path, expires, sig, 1), Ok(()));
        assert_eq!(verify(&[b"new"], path, expires, sig, 1), Err(DownloadUrlError::Mismatch));
        assert_eq!(verify(&[], path, expires, sig, 1), Err(DownloadUrlError::Mismatch));
    }

    proptest! {
        #[test]
        fn every_link_verifies_and_no_other_signature_does(key: [u8; 32], path in "/[a-z0-9/._-]{0,60}", expires in 1..4_000_000_000_i64, other in ".{0,60}") {
            let link = sign(&key, &path, expires);
            let (path, expires, sig) = parts(&link);
            prop_assert_eq!(verify(&[&key], path, expires, sig, 0), Ok(()));
            prop_assume!(other != sig);
            prop_assert_eq!(verify(&[&key], path, expires, &other, 0), Err(DownloadUrlError::Mismatch));
        }
    }
}
