//! `Stripe-Signature` (docs.stripe.com/webhooks#verify-manually). Written here and not shared with the code that verifies
//! it, so that one mistake cannot hide on both sides.

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

/// The header for this body at this Unix time.
pub(super) fn header(secret: &str, at: i64, body: &[u8]) -> String {
    #[expect(clippy::expect_used, reason = "HMAC takes a key of any length")]
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).expect("any key length");
    mac.update(format!("{at}.").as_bytes());
    mac.update(body);
    format!("t={at},v1={}", hex::encode(mac.finalize().into_bytes()))
}

#[cfg(test)]
mod tests {
    /// Computed with Python's `hmac` over `1492774577.{"id":"evt_1"}`.
    #[test]
    fn it_is_the_hmac_of_time_dot_body() {
        let header = super::header("whsec_test", 1_492_774_577, br#"{"id":"evt_1"}"#);
        assert_eq!(
            header,
            "t=1492774577,v1=7656fc2882a7ca0a651666b36bf2f2f22ee204f54f608f227498a2419f2890b2"
        );
    }
}
