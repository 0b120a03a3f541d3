//! What shops are told, byte by byte (contracts.md section 3).

use serde::Serialize;

/// The name of the event `license-issued`, in its URL and in `X-Carpha-Event`.
pub const LICENSE_ISSUED: &str = "license-issued";

/// A licence is no longer good, for good.
pub const LICENSE_REVOKED: &str = "license-revoked";
/// A licence is not good for now.
pub const LICENSE_SUSPENDED: &str = "license-suspended";
/// A suspended licence is good again.
pub const LICENSE_REINSTATED: &str = "license-reinstated";
/// An app has a new release.
pub const RELEASE_PUBLISHED: &str = "release-published";
/// An installation has moved on.
pub const INSTALLATION_CHANGED: &str = "installation-changed";

/// Every event that a shop's endpoint can be told.
pub const EVENTS: [&str; 6] = [
    LICENSE_ISSUED,
    LICENSE_REVOKED,
    LICENSE_SUSPENDED,
    LICENSE_REINSTATED,
    RELEASE_PUBLISHED,
    INSTALLATION_CHANGED,
];

/// The body of `license-issued`; its keys are written in this order.
#[derive(Serialize)]
pub struct LicenseIssued<'a> {
    /// `@vendor/name`.
    pub marketplace_id: &'a str,
    /// The version that was bought.
    pub version: &'a str,
    /// `CC-…`.
    pub license_key: &'a str,
    /// The buyer's e-mail.
    pub purchased_by: &'a str,
}

impl LicenseIssued<'_> {
    /// The bytes that are signed and sent.
    pub fn body(&self) -> Result<Vec<u8>, serde_json::Error> {
        serde_json::to_vec(self)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn the_body_has_exactly_these_keys_in_this_order() {
        let event = LicenseIssued {
            marketplace_id: "@v/p",
            version: "1.0.0",
            license_key: "CC-1",
            purchased_by: "a@b.example",
        };
        let body = r#"{"marketplace_id":"@v/p","version":"1.0.0","license_key":"CC-1","purchased_by":"a@b.example"}"#;
        assert_eq!(event.body().unwrap(), body.as_bytes());
    }
}
