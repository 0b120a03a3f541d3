//! Installations of hosted and static apps: the administrator's calls (contracts.md section 2).

use std::time::Duration;

use platform::secret::Secret;
use reqwest::RequestBuilder;
use semver::Version;
use serde::{Deserialize, Serialize};
use wire::manifest::MarketplaceId;

use super::{Client, ClientError, STORE, answers::AppKind};

const PER_PAGE: u32 = 100;
/// Shorter than the client waits for an answer to begin.
const MAX_WAIT: Duration = Duration::from_secs(10);

/// An app that runs at its vendor's, or of pages alone, in this shop.
#[derive(Debug, Clone, Deserialize)]
pub struct Installation {
    /// `itn_…`; a later one of the same app has a greater id.
    pub id: String,
    /// The app.
    pub marketplace_id: MarketplaceId,
    /// `static` or `hosted`.
    pub kind: AppKind,
    /// What the shop runs; before it is installed, what is being installed.
    pub version: Version,
    /// How far it is.
    pub state: InstallationState,
    /// Whether the app may call the shop now.
    pub access: Access,
    /// What was granted for `version`.
    #[serde(default)]
    pub permissions: Vec<String>,
    /// While updating: to what.
    #[serde(default)]
    pub target_version: Option<Version>,
    /// How the last callback to the app ended.
    #[serde(default)]
    pub last_callback: Option<LastCallback>,
    /// A newer version that needs the administrator.
    #[serde(default)]
    pub pending_update: Option<PendingUpdate>,
    /// RFC 3339.
    #[serde(default)]
    pub updated_at: Option<String>,
}

/// How far an installation is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum InstallationState {
    /// Wished for.
    Requested,
    /// The app has been told, and has not answered yet.
    Installing,
    /// The app has taken it.
    Installed,
    /// A newer version has been told to the app.
    Updating,
    /// Access has ended, and the app has not answered yet.
    Removing,
    /// Gone.
    Removed,
    /// It did not come about.
    Cancelled,
    /// One that this shop does not know.
    #[serde(other)]
    Other,
}

/// Whether the app may call the shop.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Access {
    /// It may.
    Live,
    /// Its licence does not allow it now.
    Suspended,
    /// It may not any more.
    Ended,
    /// One that this shop does not know.
    #[serde(other)]
    Other,
}

/// How the last callback to the app ended.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct LastCallback {
    /// `Install`, `Update` or `Remove`.
    pub operation: String,
    /// `delivered`, `refused`, `unanswered`, `given_up` or `superseded`.
    pub outcome: String,
    /// The last answer's, if there was one.
    #[serde(default)]
    pub status: Option<u16>,
}

/// A newer version that needs the administrator.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct PendingUpdate {
    /// Its number.
    pub version: Version,
    /// Of `name`, `code`, `address`, `icon`, `permissions`: what differs.
    #[serde(default)]
    pub changes: Vec<String>,
    /// Whether it asks for permissions that the installed one has not.
    #[serde(default)]
    pub requires_consent: bool,
    /// Those permissions.
    #[serde(default)]
    pub added_permissions: Vec<String>,
    /// RFC 3339: until then the installed version keeps working.
    #[serde(default)]
    pub required_after: Option<String>,
    /// Whether it mends a weakness.
    #[serde(default)]
    pub security: bool,
    /// Where its changes are told.
    #[serde(default)]
    pub changelog_url: Option<String>,
}

/// Whose an API key is that an app called the shop with, and what it may do.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Introspection {
    /// False: the key opens nothing, and nothing more is said.
    pub active: bool,
    /// `itn_…`
    #[serde(default)]
    pub installation_id: Option<String>,
    /// The app.
    #[serde(default)]
    pub marketplace_id: Option<MarketplaceId>,
    /// The installed version.
    #[serde(default)]
    pub version: Option<Version>,
    /// The methods that it may call.
    #[serde(default)]
    pub permissions: Vec<String>,
}

#[derive(Deserialize)]
struct Page {
    installations: Vec<Installation>,
    #[serde(default)]
    count: usize,
}

#[derive(Serialize)]
struct InstallBody<'a> {
    marketplace_id: &'a MarketplaceId,
    version: &'a Version,
    granted_permissions: &'a [String],
}

#[derive(Serialize)]
struct UpdateBody<'a> {
    version: &'a Version,
    granted_permissions: &'a [String],
}

#[derive(Serialize)]
struct IntrospectBody<'a> {
    key: &'a str,
}

impl InstallationState {
    /// Whether the app is in the shop, or on its way in or out.
    #[must_use]
    pub fn is_present(self) -> bool {
        !matches!(self, Self::Removed | Self::Cancelled)
    }

    /// Whether it changes by itself.
    #[must_use]
    pub fn is_moving(self) -> bool {
        matches!(self, Self::Requested | Self::Installing | Self::Updating | Self::Removing)
    }
}

impl Client {
    /// Installs a hosted or static app. What is granted must be what the release asks for, no more and no less.
    ///
    /// The answer is held for `wait` at most, until the app has answered.
    pub async fn install(
        &self,
        app: &MarketplaceId,
        version: &Version,
        granted: &[String],
        wait: Duration,
    ) -> Result<Installation, ClientError> {
        let body = InstallBody { marketplace_id: app, version, granted_permissions: granted };
        self.act(self.transport.post(&format!("{STORE}/installations"), &body)?, wait).await
    }

    /// Moves an installation to a newer version.
    pub async fn update_installation(
        &self,
        id: &str,
        version: &Version,
        granted: &[String],
        wait: Duration,
    ) -> Result<Installation, ClientError> {
        let body = UpdateBody { version, granted_permissions: granted };
        self.act(self.transport.post(&format!("{STORE}/installations/{id}/update"), &body)?, wait).await
    }

    /// Removes an installation: the app's access ends at once.
    pub async fn remove_installation(&self, id: &str, wait: Duration) -> Result<Installation, ClientError> {
        self.act(self.transport.delete(&format!("{STORE}/installations/{id}"))?, wait).await
    }

    /// One installation.
    pub async fn installation(&self, id: &str) -> Result<Installation, ClientError> {
        let request = self.transport.get(&format!("{STORE}/installations/{id}"))?;
        self.transport.json(self.transport.as_administrator(request)?).await
    }

    /// All installations of this shop, those of the past too; or those of one app.
    pub async fn installations(&self, of: Option<&MarketplaceId>) -> Result<Vec<Installation>, ClientError> {
        let mut all: Vec<Installation> = Vec::new();
        loop {
            let page = [("limit", PER_PAGE.to_string()), ("offset", all.len().to_string())];
            let request = self.transport.get(&format!("{STORE}/installations"))?.query(&page);
            let request = match of {
                Some(app) => request.query(&[("marketplace_id", app.as_str())]),
                None => request,
            };
            let answer: Page = self.transport.json(self.transport.as_administrator(request)?).await?;
            let was_last = answer.installations.is_empty();
            all.extend(answer.installations);
            if was_last || all.len() >= answer.count {
                return Ok(all);
            }
        }
    }

    /// Whether the key that an app calls the shop with is live, whose it is, and what it may do. The shop need not
    /// store the key.
    pub async fn introspect(&self, key: &Secret) -> Result<Introspection, ClientError> {
        let body = IntrospectBody { key: key.expose() };
        let request = self.transport.post(&format!("{STORE}/installations/introspect"), &body)?;
        self.transport.json(self.transport.as_administrator(request)?).await
    }

    /// RFC 7240: `Prefer: wait`.
    async fn act(&self, request: RequestBuilder, wait: Duration) -> Result<Installation, ClientError> {
        let request = self.transport.as_administrator(request)?;
        let seconds = wait.min(MAX_WAIT).as_secs();
        let request =
            if seconds == 0 { request } else { request.header("prefer", format!("wait={seconds}")) };
        self.transport.json(request).await
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn an_answer_of_the_contract_is_read_and_what_is_new_is_passed_over() {
        let told = serde_json::json!({
            "id": "itn_01", "marketplace_id": "@v/app", "kind": "hosted", "version": "1.0.0", "state": "installed",
            "access": "suspended", "permissions": ["api:orders.read"], "target_version": null, "some_day": 1,
            "last_callback": { "operation": "Install", "outcome": "delivered", "status": 200, "attempts": 1,
                "settled_at": "2026-11-02T08:00:00Z" },
            "pending_update": { "version": "1.1.0", "changes": ["permissions"], "requires_consent": true,
                "added_permissions": ["api:orders.write"], "required_after": "2026-12-22T08:00:00Z",
                "security": false, "changelog_url": null },
            "created_at": "2026-11-02T08:00:00Z", "updated_at": "2026-11-02T08:00:00Z",
        });
        let read: Installation = serde_json::from_value(told).unwrap();
        assert_eq!(
            (read.kind, read.state, read.access),
            (AppKind::Hosted, InstallationState::Installed, Access::Suspended)
        );
        assert_eq!(read.pending_update.unwrap().added_permissions, ["api:orders.write"]);
        assert_eq!(read.last_callback.unwrap().status, Some(200));
    }

    #[test]
    fn a_state_of_tomorrow_does_not_make_the_list_unreadable() {
        let state: InstallationState = serde_json::from_str("\"paused\"").unwrap();
        assert_eq!(state, InstallationState::Other);
        assert!(state.is_present() && !state.is_moving());
    }

    #[test]
    fn a_key_that_opens_nothing_tells_nothing() {
        let told: Introspection = serde_json::from_str(r#"{"active":false}"#).unwrap();
        assert!(!told.active && told.marketplace_id.is_none() && told.permissions.is_empty());
    }
}
