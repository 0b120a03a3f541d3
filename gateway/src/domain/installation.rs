//! What a shop is shown of an app that is installed in it.

use std::collections::BTreeMap;

use platform::{AppError, AppResult};
use proto::{catalog::Update, license::Installation};

/// The states of an installation (contracts.md section 4).
const STATES: [&str; 7] =
    ["requested", "installing", "installed", "updating", "removing", "removed", "cancelled"];

/// A state that someone asks for.
pub(crate) fn require_state(state: Option<String>) -> AppResult<Option<String>> {
    if state.as_deref().is_some_and(|state| !STATES.contains(&state)) {
        return Err(AppError::invalid(
            "state must be one of requested, installing, installed, updating, removing, removed, cancelled",
        ));
    }
    Ok(state)
}

/// Whether nothing is under way that will change its state.
pub(crate) fn is_settled(installation: &Installation) -> bool {
    !matches!(installation.state.as_str(), "requested" | "installing" | "updating" | "removing")
}

/// What to ask the catalogue for: the versions that the present ones of these installations are on.
pub(crate) fn versions(installations: &[Installation]) -> BTreeMap<String, String> {
    let present = installations.iter().filter(|installation| can_be_updated(installation));
    present.map(|installation| (installation.marketplace_id.clone(), installation.version.clone())).collect()
}

/// The update that waits for the shop's word: not one that is being made, nor one that comes by itself because nothing
/// of what a shop sees of the app differs (contracts.md section 4).
pub(crate) fn find_pending(installation: &Installation, updates: &[Update]) -> Option<Update> {
    let of_it = |update: &&Update| {
        update.marketplace_id == installation.marketplace_id && update.current == installation.version
    };
    let update = updates.iter().find(of_it).filter(|_| can_be_updated(installation))?;
    let is_under_way = installation.target_version.as_ref() == Some(&update.latest);
    (!update.changes.is_empty() && !is_under_way).then(|| update.clone())
}

fn can_be_updated(installation: &Installation) -> bool {
    matches!(installation.state.as_str(), "installed" | "updating")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn installation(state: &str) -> Installation {
        Installation {
            marketplace_id: "@v/app".to_owned(),
            version: "1.0.0".to_owned(),
            state: state.to_owned(),
            ..Installation::default()
        }
    }

    fn update(changes: &[&str]) -> Update {
        Update {
            marketplace_id: "@v/app".to_owned(),
            current: "1.0.0".to_owned(),
            latest: "1.1.0".to_owned(),
            changes: changes.iter().map(ToString::to_string).collect(),
            ..Update::default()
        }
    }

    #[test]
    fn only_what_is_installed_has_a_pending_update() {
        for state in STATES {
            let pending = find_pending(&installation(state), &[update(&["name"])]);
            assert_eq!(pending.is_some(), ["installed", "updating"].contains(&state), "{state}");
            assert_eq!(versions(&[installation(state)]).is_empty(), pending.is_none(), "{state}");
        }
    }

    #[test]
    fn what_changes_nothing_for_the_shop_is_not_pending() {
        assert_eq!(find_pending(&installation("installed"), &[update(&[])]), None);
    }

    #[test]
    fn the_update_that_is_under_way_is_not_pending_and_a_later_one_is() {
        let to = |version: &str| Installation {
            target_version: Some(version.to_owned()),
            ..installation("updating")
        };
        assert_eq!(find_pending(&to("1.1.0"), &[update(&["icon"])]), None);
        assert!(find_pending(&to("1.0.5"), &[update(&["icon"])]).is_some());
    }

    #[test]
    fn an_answer_about_another_app_or_version_is_not_taken_for_this_one() {
        let other = Update { marketplace_id: "@v/other".to_owned(), ..update(&["name"]) };
        let older = Update { current: "0.9.0".to_owned(), ..update(&["name"]) };
        assert_eq!(find_pending(&installation("installed"), &[other, older]), None);
    }

    #[test]
    fn settled_is_whatever_no_callback_will_change() {
        let settled = STATES.into_iter().filter(|state| is_settled(&installation(state)));
        assert_eq!(settled.collect::<Vec<_>>(), ["installed", "removed", "cancelled"]);
    }

    #[test]
    fn a_state_that_is_none_is_refused() {
        assert!(require_state(Some("broken".to_owned())).is_err());
        assert_eq!(require_state(Some("removed".to_owned())).unwrap().as_deref(), Some("removed"));
        assert_eq!(require_state(None).unwrap(), None);
    }
}
