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

/// An endpoint was disabled: to the operator's own endpoint.
pub const ENDPOINT_DISABLED: &str = "endpoint-disabled";
/// An endpoint was enabled.
pub const ENDPOINT_ENABLED: &str = "endpoint-enabled";
/// A delivery is dead.
pub const DELIVERY_DEAD: &str = "delivery-dead";

/// Every event that the operator's own endpoint is told.
pub const OPERATIONS: [&str; 3] = [ENDPOINT_DISABLED, ENDPOINT_ENABLED, DELIVERY_DEAD];

/// An endpoint has to show that it is there (contracts.md section 3): to a shop's, and to the operator's own. It is no event
/// that can be asked for: who is to be verified is told it, and nobody else.
pub const ENDPOINT_VERIFICATION: &str = "endpoint-verification";

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

/// The body of `license-revoked`, `license-suspended` and `license-reinstated`; its keys are written in this order.
#[derive(Serialize)]
pub struct LicenseChanged<'a> {
    /// `@vendor/name`.
    pub marketplace_id: &'a str,
    /// `CC-…`.
    pub license_key: &'a str,
    /// Why, in words for the shop.
    pub reason: Option<&'a str>,
}

/// The body of `release-published`; its keys are written in this order.
#[derive(Serialize)]
pub struct ReleasePublished<'a> {
    /// `@vendor/name`.
    pub marketplace_id: &'a str,
    /// The version that is new.
    pub version: &'a str,
    /// Where its changes are told, if anywhere.
    pub changelog_url: Option<&'a str>,
    /// Whether it mends a security fault.
    pub security: bool,
}

/// The body of `installation-changed`; its keys are written in this order.
#[derive(Serialize)]
pub struct InstallationChanged<'a> {
    /// `itn_…`.
    pub installation_id: &'a str,
    /// `@vendor/name`.
    pub marketplace_id: &'a str,
    /// The version that is installed, or is to be.
    pub version: &'a str,
    /// How it is now.
    pub state: &'a str,
}

/// The body of `endpoint-verification`. There is nothing in it to be sent back: a 2xx to what only the holder of the secret
/// can check is the whole proof, and of strangers' answers nothing but the status is read.
#[derive(Serialize)]
pub struct EndpointVerification<'a> {
    /// `ep_…`
    pub endpoint_id: &'a str,
}

/// What an event tells.
pub trait Body: Serialize {
    /// The bytes that are signed and sent.
    fn body(&self) -> Result<Vec<u8>, serde_json::Error> {
        serde_json::to_vec(self)
    }
}

impl Body for LicenseIssued<'_> {}
impl Body for LicenseChanged<'_> {}
impl Body for ReleasePublished<'_> {}
impl Body for InstallationChanged<'_> {}
impl Body for EndpointVerification<'_> {}

/// The event by which a shop is told of what was done to its licence.
#[must_use]
pub fn of_act(act: &str) -> Option<&'static str> {
    match act {
        "revoked" => Some(LICENSE_REVOKED),
        "suspended" => Some(LICENSE_SUSPENDED),
        "reinstated" => Some(LICENSE_REINSTATED),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn told(event: &impl Body) -> String {
        String::from_utf8(event.body().unwrap()).unwrap()
    }

    #[test]
    fn the_body_has_exactly_these_keys_in_this_order() {
        let event = LicenseIssued {
            marketplace_id: "@v/p",
            version: "1.0.0",
            license_key: "CC-1",
            purchased_by: "a@b.example",
        };
        let body = r#"{"marketplace_id":"@v/p","version":"1.0.0","license_key":"CC-1","purchased_by":"a@b.example"}"#;
        assert_eq!(told(&event), body);
        let event = LicenseChanged { marketplace_id: "@v/p", license_key: "CC-1", reason: Some("dispute") };
        assert_eq!(told(&event), r#"{"marketplace_id":"@v/p","license_key":"CC-1","reason":"dispute"}"#);
        let event = InstallationChanged {
            installation_id: "itn_1",
            marketplace_id: "@v/p",
            version: "1.0.0",
            state: "installed",
        };
        let body =
            r#"{"installation_id":"itn_1","marketplace_id":"@v/p","version":"1.0.0","state":"installed"}"#;
        assert_eq!(told(&event), body);
        assert_eq!(told(&EndpointVerification { endpoint_id: "ep_1" }), r#"{"endpoint_id":"ep_1"}"#);
    }

    #[test]
    fn a_release_without_a_changelog_says_null() {
        let event = ReleasePublished {
            marketplace_id: "@v/p",
            version: "1.0.1",
            changelog_url: Some("https://v.example/1.0.1"),
            security: true,
        };
        let body = r#"{"marketplace_id":"@v/p","version":"1.0.1","changelog_url":"https://v.example/1.0.1","security":true}"#;
        assert_eq!(told(&event), body);
        let body = r#"{"marketplace_id":"@v/p","version":"1.0.1","changelog_url":null,"security":false}"#;
        assert_eq!(told(&ReleasePublished { changelog_url: None, security: false, ..event }), body);
    }

    #[test]
    fn what_is_done_to_a_licence_has_its_event() {
        for act in ["revoked", "suspended", "reinstated"] {
            assert_eq!(of_act(act), Some(format!("license-{act}").as_str()));
        }
        assert_eq!(of_act("issued"), None);
    }
}
