//! Hosted and static apps, for people.

use semver::Version;

use super::{Action, Stands, day, in_words, link, unix_ms};
use crate::{
    agent::{
        app::{Consent, Registered},
        domain::{Job, added},
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
    /// The day until which the installed version keeps working; empty where there is none.
    pub(in super::super) deadline: String,
    /// Whether that day is past.
    pub(in super::super) is_overdue: bool,
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
    pub(in super::super) fn of_registered(registered: &Registered, now_ms: i64) -> Self {
        let installation = &registered.installation;
        if registered.lacks_files {
            return Self::without_files(installation);
        }
        let (state, badge) = badge(installation);
        let is_suspended = installation.access == Access::Suspended;
        let is_settled = installation.state == InstallationState::Installed;
        Self {
            needs_you: is_suspended || installation.state == InstallationState::Other,
            note: note(installation),
            update: PendingUpdateView::of(installation, now_ms).filter(|_| is_settled),
            open: open(registered),
            remove: remove(installation),
            since_ms: Some(installation.updated_at.as_deref().and_then(unix_ms).unwrap_or_default()),
            ..Self::plain(state, Some(badge), again(installation))
        }
    }

    /// A static app of which the marketplace has a record and this shop no files.
    fn without_files(installation: &Installation) -> Self {
        let note = "Its files are not in this shop; install it again to fetch them.".to_owned();
        Self {
            note: Some(note),
            remove: remove(installation),
            ..Self::plain("available", Some("Files missing".to_owned()), Some(install_again(installation)))
        }
    }

    /// A job that waits for the administrator takes nothing from what is here already.
    pub(in super::super) fn of_job_beside(job: &Job, registered: &Registered) -> Self {
        let is_usable = !job.is_moving();
        Self {
            open: open(registered).filter(|_| is_usable),
            remove: remove(&registered.installation).filter(|_| is_usable),
            ..Self::of_job(job)
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
        InstallationState::Other => ("unknown", "Needs your attention".to_owned()),
        _ if *access == Access::Suspended => ("installed", format!("Paused {version}")),
        _ => ("installed", format!("Installed {version}")),
    }
}

fn open(registered: &Registered) -> Option<String> {
    let Registered { installation, address, .. } = registered;
    let is_in = matches!(installation.state, InstallationState::Installed | InstallationState::Updating);
    link(address.as_deref()).filter(|_| is_in && installation.access == Access::Live)
}

fn remove(installation: &Installation) -> Option<String> {
    let Installation { state, marketplace_id, .. } = installation;
    (state.is_present() && *state != InstallationState::Removing).then(|| removal_path(marketplace_id))
}

/// An app that is silent may hold its removal up for hours: a new installation need not wait for it.
fn again(installation: &Installation) -> Option<Action> {
    (installation.state == InstallationState::Removing).then(|| install_again(installation))
}

fn install_again(installation: &Installation) -> Action {
    Action {
        kind: "install",
        asks: Some(consent_path(&installation.marketplace_id)),
        label: "Install again".to_owned(),
        version: installation.version.to_string(),
        allowed: String::new(),
        added: Vec::new(),
    }
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
        InstallationState::Other => Some(
            "The marketplace says something about it that this shop doesn’t understand; a newer version of its agent \
             may."
                .to_owned(),
        ),
        _ => last_callback
            .as_ref()
            .filter(|last| last.operation == "Update" && is_failure(&last.outcome))
            .map(|last| format!("The last update failed: {}. {version} keeps working.", answer(last.status))),
    }
}

/// A callback in whose place a later one went tells nothing of the app.
fn is_failure(outcome: &str) -> bool {
    matches!(outcome, "refused" | "unanswered" | "given_up")
}

/// Why an installation did not come about.
pub(super) fn cancellation(installation: &Installation) -> Option<String> {
    if installation.state != InstallationState::Cancelled {
        return None;
    }
    let last = installation.last_callback.as_ref();
    let why = match last.map(|last| last.outcome.as_str()) {
        Some("superseded") => "it was taken back before the app had answered".to_owned(),
        Some(outcome) if is_failure(outcome) => answer(last.and_then(|last| last.status)),
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
    fn of(installation: &Installation, now_ms: i64) -> Option<Self> {
        let PendingUpdate {
            version,
            changes,
            added_permissions,
            required_after,
            security,
            changelog_url,
            ..
        } = installation.pending_update.as_ref()?;
        let is_overdue = required_after.as_deref().and_then(unix_ms).is_some_and(|at_ms| at_ms <= now_ms);
        let deadline = required_after.as_deref().map(day).unwrap_or_default();
        Some(Self {
            version: version.to_string(),
            installed: installation.version.to_string(),
            changes: changes_in_words(changes),
            added: in_words(added_permissions),
            deadline,
            is_overdue,
            security: *security,
            changelog: link(changelog_url.as_deref()),
            path: consent_path(&installation.marketplace_id),
        })
    }
}

impl ConsentView {
    pub(in super::super) fn of(consent: &Consent, now_ms: i64) -> Self {
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
            update: present.as_ref().and_then(|present| PendingUpdateView::of(present, now_ms)),
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

    /// 2026-11-02T08:00:00Z
    const NOW: i64 = 1_793_606_400_000;

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
                lacks_files: false,
            };
            let stands = Stands::of_registered(&registered, NOW);
            assert_eq!(stands.badge.as_deref(), Some(badge));
            assert_eq!(
                (stands.moving_since_ms().is_some(), stands.update.is_some()),
                (moves, offers),
                "{state}"
            );
            assert_eq!(stands.remove.is_some(), state != "removing");
            assert_eq!(stands.action.is_some(), state == "removing", "{state}");
            assert_eq!(stands.open.is_some(), matches!(state, "installed" | "updating") && access == "live");
        }
    }

    #[test]
    fn a_pending_update_tells_what_changes_and_until_when_there_is_time() {
        let update = json!({ "version": "1.1.0", "changes": ["name", "address", "permissions"],
            "added_permissions": ["api:orders.write"], "required_after": "2026-12-22T08:00:00Z" });
        let view = PendingUpdateView::of(&installation(&json!({ "pending_update": update })), NOW).unwrap();
        assert_eq!(view.changes, "its name, its address and its permissions");
        assert_eq!(
            (view.added, view.deadline.as_str()),
            (vec!["Read and change your orders".to_owned()], "22 December 2026")
        );
        assert_eq!(changes_in_words(&["code".to_owned()]), "its code");
    }

    #[test]
    fn a_deadline_that_is_past_is_not_told_as_time_left() {
        let told =
            json!({ "pending_update": { "version": "1.1.0", "required_after": "2026-11-02T08:00:00Z" } });
        let is_overdue =
            |now_ms| PendingUpdateView::of(&installation(&told), now_ms).map(|view| view.is_overdue);
        assert_eq!(is_overdue(NOW - 1), Some(false));
        assert_eq!(is_overdue(NOW), Some(true));
        let without = json!({ "pending_update": { "version": "1.1.0" } });
        assert!(!PendingUpdateView::of(&installation(&without), NOW).unwrap().is_overdue);
    }

    #[test]
    fn a_state_of_tomorrow_is_not_told_as_installed() {
        let told = json!({ "state": "paused", "updated_at": "2026-11-02T08:00:00Z" });
        let registered =
            Registered { installation: installation(&told), name: None, address: None, lacks_files: false };
        let stands = Stands::of_registered(&registered, NOW);
        assert_eq!((stands.state, stands.badge.as_deref()), ("unknown", Some("Needs your attention")));
        assert!(stands.needs_you && stands.note.unwrap().contains("newer version of its agent"));
    }

    #[test]
    fn a_failed_update_is_told() {
        let last = json!({ "operation": "Update", "outcome": "given_up", "status": 503 });
        let registered = Registered {
            installation: installation(&json!({ "last_callback": last })),
            name: None,
            address: None,
            lacks_files: false,
        };
        let note = Stands::of_registered(&registered, NOW).note.unwrap();
        assert!(note.contains("status 503") & note.contains("1.0.0 keeps working"), "{note}");
    }

    #[test]
    fn an_update_in_whose_place_another_went_is_not_told_as_failed() {
        let last = json!({ "operation": "Update", "outcome": "superseded", "status": null });
        assert_eq!(note(&installation(&json!({ "last_callback": last }))), None);
    }
}
