//! The clock and the randomness: the only place that reads either.

use std::time::{SystemTime, UNIX_EPOCH};

use crate::domain::ids::Mint;

/// Milliseconds since the epoch.
#[allow(clippy::disallowed_methods, reason = "a stand-in for an outside system has no other clock")]
pub(crate) fn now_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

/// Unix time.
pub(crate) fn now() -> i64 {
    now_ms() / 1000
}

/// Calls `with` with a mint over the system's randomness.
pub(crate) fn with_mint<R>(with: impl FnOnce(&mut Mint<'_>) -> R) -> R {
    with(&mut Mint::new(&mut |bytes| fill(bytes)))
}

/// A new id with this prefix.
pub(crate) fn id(prefix: &str) -> String {
    with_mint(|mint| mint.id(prefix))
}

#[allow(clippy::disallowed_methods, reason = "a stand-in for an outside system has no other randomness")]
fn fill(bytes: &mut [u8]) {
    for byte in bytes {
        *byte = rand::random();
    }
}
