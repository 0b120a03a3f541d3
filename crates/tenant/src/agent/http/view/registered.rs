//! Hosted and static apps, for people.

use semver::Version;

use super::{Stands, day, in_words, link};
use crate::{
    agent::{
        app::{Consent, Registered},
        domain::added,
        http::pages::{consent_path, removal_path},
    },
    client::{Access, Installation, InstallationState, PendingUpdate},
};

/// A newer version that waits for the administrator.
pub(in super::super) struct PendingUpdateView {
    pub(in super::super) version: String,
    pub(in super::super) installed: String,
    /// `its name and its permissions`
    pub(in super::super) changes: String,
    /// What it may do and the installed one may not, in plain words.
    pub(in super::super) added: Vec<String>,
    /// Until then the installed version keeps working.
    pub(in super::super) deadline: String,
    pub(in super::super) security: bool,
    pub(in super::super) changelog: Option<String>,
    /// The page that asks first.
    pub(in super::super) path: String,
}

/// What the administrator is asked.
pub(in super::super) struct ConsentView {
    pub(in super::super) version: String,
    pub(in super::super) installed: Option<String>,
    /// What is new, in plain words; all of it where nothing is installed.
    pub(in super::super) added: Vec<String>,
    /// What has been allowed before.
    pub(in super::super) kept: Vec<String>,
    /// What the form sends back: everything that the page shows.
    pub(in super::super) allowed: String,
    /// Whose servers see what is allowed; none for a static app.
    pub(in super::super) host: Option<String>,
    pub(in super::super) update: Option<PendingUpdateView>,
}

impl Stands {
    pub(in super::super) fn of_registered(registered: &Registered) -> Self {
        let Registered { installation, address, .. } = registered;
        let (state, badge) = badge(installation);
        let is_suspended = installation.access == Access::Suspended;
        let is_settled = installation.state == InstallationState::Installed;
        Self {
            needs_you: is_suspended,
            note: note(installation),
            update: PendingUpdateView::of(installation).filter(|_| is_settled),
            open: link(address.as_deref()).filter(|_| is_open(installation)),
            remove: is_removable(installation.state).then(|| removal_path(&installation.marketplace_id)),
            ..Self::plain(state, Some(badge), None)
        }
    }
}

fn badge(installation: &Installation) -> (&'static str, String) {
    let Installation { version, state, access, target_version, .. } = installation;
    match state {
        InstallationState::Requested | InstallationState::Installing => {
            ("pending", format!("Installing {version}…"))
        }
        InstallationState::Updating => {
            ("pending", format!("Updating to {}…", target_version.as_ref().unwrap_or(version)))
        }
        InstallationState::Removing => ("pending", "Removing…".to_owned()),
        _ if *access == Access::Suspended => ("installed", format!("Paused {version}")),
        _ => ("installed", format!("Installed {version}")),
    }
}

fn is_open(installation: &Installation) -> bool {
    let is_in = matches!(installation.state, InstallationState::Installed | InstallationState::Updating);
    is_in && installation.access == Access::Live
}

fn is_removable(state: InstallationState) -> bool {
    state.is_present() && state != InstallationState::Removing
}

fn note(installation: &Installation) -> Option<String> {
    let Installation { version, state, access, last_callback, .. } = installation;
    if *access == Access::Suspended {
        return Some("Its licence does not allow it now, so it has no access to your shop.".to_owned());
    }
    match state {
        InstallationState::Installing => Some("Waiting for the app to answer.".to_owned()),
        InstallationState::Updating => {
            Some(format!("Waiting for the app to answer; {version} keeps working until then."))
        }
        InstallationState::Removing => {
            Some("It has no access to your shop any more; its vendor is being told.".to_owned())
        }
        _ => last_callback
            .as_ref()
            .filter(|last| last.operation == "Update" && last.outcome != "delivered")
            .map(|last| format!("The last update failed: {}. {version} keeps working.", answer(last.status))),
    }
}

/// Why an installation did not come about.
pub(super) fn cancellation(installation: &Installation) -> Option<String> {
    if installation.state != InstallationState::Cancelled {
        return None;
    }
    let last = installation.last_callback.as_ref();
    let why = match last.map(|last| last.outcome.as_str()) {
        Some("superseded") => "it was taken back before the app had answered".to_owned(),
        Some("refused" | "unanswered" | "given_up") => answer(last.and_then(|last| last.status)),
        _ => "the marketplace gave no reason".to_owned(),
    };
    Some(format!("The installation of {} was cancelled: {why}.", installation.version))
}

/// RFC 9110 numbers mean nothing to most shopkeepers; to the vendor's support they do.
fn answer(status: Option<u16>) -> String {
    match status {
        Some(status) if status >= 500 => format!("the app has an error of its own (status {status})"),
        Some(status) => format!("the app said no (status {status})"),
        None => "the app did not answer".to_owned(),
    }
}

/// `its name, its address and its permissions`
fn changes_in_words(changes: &[String]) -> String {
    let words: Vec<String> = changes.iter().map(|change| format!("its {change}")).collect();
    match words.split_last() {
        None => String::new(),
        Some((only, [])) => only.clone(),
        Some((last, rest)) => format!("{} and {last}", rest.join(", ")),
    }
}

impl PendingUpdateView {
    fn of(installation: &Installation) -> Option<Self> {
        let PendingUpdate {
            version,
            changes,
            added_permissions,
            required_after,
            security,
            changelog_url,
            ..
        } = installation.pending_update.as_ref()?;
        Some(Self {
            version: version.to_string(),
            installed: installation.version.to_string(),
            changes: changes_in_words(changes),
            added: in_words(added_permissions),
            deadline: required_after.as_deref().map(day).unwrap_or_default(),
            security: *security,
            changelog: link(changelog_url.as_deref()),
            path: consent_path(&installation.marketplace_id),
        })
    }
}

impl ConsentView {
    pub(in super::super) fn of(consent: &Consent) -> Self {
        let Consent { detail, permissions, address, present, .. } = consent;
        let granted = present.as_ref().map_or(&[][..], |present| &present.permissions);
        let new = added(permissions, granted);
        // Of a static app whose files are gone, the version on offer may be the recorded one.
        let is_older = |version: &&Version| **version < detail.product.version;
        Self {
            version: detail.product.version.to_string(),
            installed: present
                .as_ref()
                .map(|present| &present.version)
                .filter(is_older)
                .map(Version::to_string),
            kept: in_words(&added(permissions, &new)),
            added: in_words(&new),
            allowed: permissions.join(" "),
            host: address.as_deref().and_then(host),
            update: present.as_ref().and_then(PendingUpdateView::of),
        }
    }
}

fn host(address: &str) -> Option<String> {
    Some(url::Url::parse(address).ok()?.host_str()?.to_owned())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use serde_json::{Value, json};

    use super::*;

    fn installation(changes: &Value) -> Installation {
        let mut told = json!({
            "id": "itn_1", "marketplace_id": "@v/app", "kind": "hosted", "version": "1.0.0", "state": "installed",
            "access": "live", "permissions": ["api:orders.read"],
        });
        told.as_object_mut().unwrap().extend(changes.as_object().unwrap().clone());
        serde_json::from_value(told).unwrap()
    }

    fn cancelled(outcome: &str, status: &Value) -> String {
        let last = json!({ "operation": "Install", "outcome": outcome, "status": status });
        cancellation(&installation(&json!({ "state": "cancelled", "last_callback": last }))).unwrap()
    }

    #[test]
    fn a_cancelled_installation_says_why() {
        assert!(cancelled("refused", &json!(500)).ends_with("the app has an error of its own (status 500)."));
        assert!(cancelled("refused", &json!(204)).ends_with("the app said no (status 204)."));
        assert!(cancelled("unanswered", &Value::Null).ends_with("the app did not answer."));
        assert!(cancelled("superseded", &Value::Null).contains("taken back"));
        assert_eq!(cancellation(&installation(&json!({}))), None);
    }

    #[test]
    fn each_state_has_its_badge_and_only_what_is_settled_offers_an_update() {
        let update = json!({ "version": "1.1.0", "changes": ["name", "address", "permissions"],
            "added_permissions": ["api:orders.write"], "required_after": "2026-12-22T08:00:00Z" });
        for (state, access, badge, moves, offers) in [
            ("installing", "live", "Installing 1.0.0…", true, false),
            ("installed", "live", "Installed 1.0.0", false, true),
            ("installed", "suspended", "Paused 1.0.0", false, true),
            ("updating", "live", "Updating to 1.1.0…", true, false),
            ("removing", "ended", "Removing…", true, false),
        ] {
            let told = json!({ "state": state, "access": access, "target_version": "1.1.0", "pending_update": update });
            let registered = Registered {
                installation: installation(&told),
                name: None,
                address: Some("https://a.example/".into()),
            };
            let stands = Stands::of_registered(&registered);
            assert_eq!(stands.badge.as_deref(), Some(badge));
            assert_eq!((stands.is_moving(), stands.update.is_some()), (moves, offers), "{state}");
            assert_eq!(stands.remove.is_some(), state != "removing");
            assert_eq!(stands.open.is_some(), matches!(state, "installed" | "updating") && access == "live");
        }
    }

    #[test]
    fn a_pending_update_tells_what_changes_and_until_when_there_is_time() {
        let update = json!({ "version": "1.1.0", "changes": ["name", "address", "permissions"],
            "added_permissions": ["api:orders.write"], "required_after": "2026-12-22T08:00:00Z" });
        let view = PendingUpdateView::of(&installation(&json!({ "pending_update": update }))).unwrap();
        assert_eq!(view.changes, "its name, its address and its permissions");
        assert_eq!(
            (view.added, view.deadline.as_str()),
            (vec!["Read and change your orders".to_owned()], "22 December 2026")
        );
        assert_eq!(changes_in_words(&["code".to_owned()]), "its code");
    }

    #[test]
    fn a_failed_update_is_told() {
        let last = json!({ "operation": "Update", "outcome": "given_up", "status": 503 });
        let registered = Registered {
            installation: installation(&json!({ "last_callback": last })),
            name: None,
            address: None,
        };
        let note = Stands::of_registered(&registered).note.unwrap();
        assert!(note.contains("status 503") & note.contains("1.0.0 keeps working"), "{note}");
    }
}
