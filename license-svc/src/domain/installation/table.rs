//! Every act and every settlement in every state.
#![allow(clippy::unwrap_used)]

use super::{
    ApiKey, Asked, Edition, Installation, Kind, LastCallback, Operation, Outcome, Settlement, State, Step,
    ask,
    release::tests::{edition, facts},
    state::{Update, Updating},
};
use crate::domain::Illegal;

/// Of the last callback of every installation here; the one before it is 4.
const LAST: i64 = 5;
const NEXT: i64 = 6;

pub(super) fn key() -> ApiKey {
    ApiKey { hash: [7; 32], sealed: Some(vec![1]) }
}

fn new_key() -> impl FnOnce() -> Result<ApiKey, Illegal> {
    || Ok(key())
}

/// An installation at 1.0.0 that, where it is updating, goes to 1.2.0, and went to 1.1.0 before.
pub(super) fn installation(state: &str, kind: Kind) -> Installation {
    let release = facts("1.0.0").check().unwrap();
    let asked = Installation::request("itn_1".into(), "inst_1".into(), release, 0);
    let asked = Installation { kind, sequence: LAST, ..asked };
    let update = |sequence, version| Update { sequence, edition: edition(version) };
    let updating = Updating { target: update(LAST, "1.2.0"), earlier: vec![update(4, "1.1.0")] };
    let (state, has_key) = match state {
        "requested" => (State::Requested, false),
        "installing" => (State::Installing, true),
        "installed" => (State::Installed, true),
        "updating" => (State::Updating(Box::new(updating)), true),
        "removing" => (State::Removing, false),
        "removed" => (State::Removed, false),
        "cancelled" => (State::Cancelled, false),
        other => panic!("there is no state {other}"),
    };
    let key = (has_key && kind == Kind::Hosted).then(key);
    Installation { state, key, ..asked }
}

const STATES: [&str; 7] =
    ["requested", "installing", "installed", "updating", "removing", "removed", "cancelled"];

/// `illegal`, `stays`, or the state it moves to and the callback.
fn tell(step: Result<Step, Illegal>) -> String {
    match step {
        Err(_) => "illegal".to_owned(),
        Ok(Step::Stays(_)) => "stays".to_owned(),
        Ok(Step::Moves(after, None)) => after.state.as_str().to_owned(),
        Ok(Step::Moves(after, Some(operation))) => {
            format!("{}+{}", after.state.as_str(), operation.as_str())
        }
    }
}

/// Begin; update to 1.3.0, 1.2.0, 1.0.0 and 0.9.0; remove; a release 1.0.1 that needs no update.
fn acts(of: &Installation) -> [String; 7] {
    let update = |version| tell(of.clone().update(edition(version), NEXT));
    [
        tell(of.clone().begin(NEXT, new_key())),
        update("1.3.0"),
        update("1.2.0"),
        update("1.0.0"),
        update("0.9.0"),
        tell(Ok(of.clone().remove(NEXT))),
        tell(Ok(of.clone().move_silently([edition("1.0.1")]))),
    ]
}

#[test]
fn every_act_on_every_state_of_a_hosted_app_has_its_answer() {
    const NO: &str = "illegal";
    const UPDATE: &str = "updating+Update";
    const REMOVE: &str = "removing+Remove";
    let table = [
        ("requested", ["installing+Install", NO, NO, NO, NO, "cancelled", "stays"]),
        ("installing", [NO, NO, NO, NO, NO, REMOVE, "stays"]),
        ("installed", [NO, UPDATE, UPDATE, NO, NO, REMOVE, "installed"]),
        ("updating", [NO, UPDATE, "stays", NO, NO, REMOVE, "stays"]),
        ("removing", [NO, NO, NO, NO, NO, "stays", "stays"]),
        ("removed", [NO, NO, NO, NO, NO, "stays", "stays"]),
        ("cancelled", [NO, NO, NO, NO, NO, "stays", "stays"]),
    ];
    for (state, expected) in table {
        assert_eq!(acts(&installation(state, Kind::Hosted)), expected, "{state}");
    }
}

#[test]
fn a_static_app_is_installed_updated_and_removed_without_a_word_to_anybody() {
    const NO: &str = "illegal";
    let table = [
        ("requested", ["installed", NO, NO, NO, NO, "cancelled", "stays"]),
        ("installed", [NO, "installed", "installed", NO, NO, "removed", "stays"]),
        ("removed", [NO, NO, NO, NO, NO, "stays", "stays"]),
        ("cancelled", [NO, NO, NO, NO, NO, "stays", "stays"]),
    ];
    for (state, expected) in table {
        assert_eq!(acts(&installation(state, Kind::Static)), expected, "{state}");
    }
    let no_key = || -> Result<ApiKey, Illegal> { panic!("there is no backend that could hold a key") };
    let Step::Moves(begun, None) = installation("requested", Kind::Static).begin(NEXT, no_key).unwrap()
    else {
        panic!("a static app calls nobody");
    };
    assert_eq!(begun.key, None);
}

fn settlement(sequence: i64, operation: Operation, outcome: Outcome, may_have_arrived: bool) -> Settlement {
    let callback = LastCallback { operation, outcome, status: None, attempts: 1, settled_at_ms: 9 };
    Settlement { sequence, callback, may_have_arrived }
}

/// The rules of contracts.md section 4, one by one.
fn expected(state: &str, settled: &Settlement) -> &'static str {
    let is_last = settled.sequence == LAST;
    let is_known_update = settled.sequence == 4;
    match (state, settled.callback.operation) {
        ("installing", Operation::Install) if is_last && settled.is_delivered() => "installed",
        ("installing", Operation::Install) if is_last => "cancelled+Remove",
        ("updating", Operation::Update) if is_last => "installed",
        ("updating", Operation::Update) if is_known_update => "updating",
        ("removing", Operation::Remove) if is_last => "removed",
        _ => "stays",
    }
}

#[test]
fn every_settlement_in_every_state_has_its_effect() {
    let mut seen = 0;
    for state in STATES {
        for operation in Operation::ALL {
            for outcome in Outcome::ALL {
                for (sequence, arrived) in
                    [3, 4, LAST, NEXT].into_iter().flat_map(|at| [(at, true), (at, false)])
                {
                    let settled = settlement(sequence, operation, outcome, arrived);
                    let step = installation(state, Kind::Hosted).settle(&settled, NEXT);
                    assert_eq!(tell(Ok(step)), expected(state, &settled), "{state} {settled:?}");
                    seen += 1;
                }
            }
        }
    }
    assert_eq!(seen, 7 * 3 * 5 * 4 * 2);
}

fn moved(step: Step) -> Installation {
    match step {
        Step::Moves(after, _) => after,
        Step::Stays(before) => panic!("it stays {}", before.state.as_str()),
    }
}

#[test]
fn a_key_lives_while_the_app_has_access_and_is_kept_sealed_until_it_is_told() {
    let begun = moved(installation("requested", Kind::Hosted).begin(LAST, new_key()).unwrap());
    assert_eq!(begun.key, Some(key()));
    let delivered = settlement(LAST, Operation::Install, Outcome::Delivered, true);
    let installed = moved(begun.clone().settle(&delivered, NEXT));
    assert_eq!(installed.key, Some(ApiKey { sealed: None, ..key() }));
    assert_eq!(installed.last_callback, Some(delivered.callback));
    assert_eq!(moved(installed.remove(NEXT)).key, None);
    for outcome in [Outcome::Refused, Outcome::Unanswered, Outcome::GivenUp, Outcome::Superseded] {
        let cancelled =
            moved(begun.clone().settle(&settlement(LAST, Operation::Install, outcome, true), NEXT));
        assert_eq!((cancelled.key, cancelled.sequence), (None, NEXT), "its Remove is the last callback");
    }
}

#[test]
fn a_refused_install_is_followed_by_remove_where_the_app_may_hold_the_shop() {
    let settle = |sequence, outcome, arrived| {
        let begun = moved(installation("requested", Kind::Hosted).begin(sequence, new_key()).unwrap());
        let settled = settlement(sequence, Operation::Install, outcome, arrived);
        tell(Ok(begun.settle(&settled, sequence + 1)))
    };
    for outcome in [Outcome::Refused, Outcome::Unanswered, Outcome::GivenUp, Outcome::Superseded] {
        assert_eq!(settle(1, outcome, false), "cancelled", "the app never heard of the shop");
        assert_eq!(settle(1, outcome, true), "cancelled+Remove", "it may have taken this one");
        assert_eq!(settle(2, outcome, false), "cancelled+Remove", "it may have taken one before");
    }
}

#[test]
fn an_update_never_goes_below_one_that_is_on_its_way() {
    let update = |version| tell(installation("updating", Kind::Hosted).update(edition(version), NEXT));
    let answers = ["1.1.0", "1.2.0", "1.2.1"].map(update);
    assert_eq!(answers, ["illegal", "stays", "updating+Update"]);
}

#[test]
fn an_earlier_update_that_the_app_has_not_taken_is_forgotten() {
    for outcome in [Outcome::GivenUp, Outcome::Superseded] {
        let settled = settlement(4, Operation::Update, outcome, false);
        let after = moved(installation("updating", Kind::Hosted).settle(&settled, NEXT));
        let State::Updating(updating) = &after.state else { panic!("it is updating") };
        assert_eq!((updating.target.sequence, updating.earlier.as_slice()), (LAST, [].as_slice()));
        assert_eq!((after.edition.clone(), after.last_callback), (edition("1.0.0"), None));
        assert_eq!(after.clone().settle(&settled, NEXT), Step::Stays(after), "once is enough");
    }
}

#[test]
fn an_update_that_is_taken_is_what_the_shop_runs_and_one_that_is_not_leaves_the_old_one() {
    let version = |of: &Installation| of.edition.version.to_string();
    let settle = |sequence, outcome| {
        moved(
            installation("updating", Kind::Hosted)
                .settle(&settlement(sequence, Operation::Update, outcome, false), NEXT),
        )
    };
    assert_eq!(version(&settle(LAST, Outcome::Delivered)), "1.2.0");
    assert_eq!(version(&settle(LAST, Outcome::GivenUp)), "1.0.0");
    let earlier = settle(4, Outcome::Delivered);
    assert_eq!((version(&earlier).as_str(), earlier.state.as_str()), ("1.1.0", "updating"));
    let again = settlement(4, Operation::Update, Outcome::Delivered, false);
    assert_eq!(earlier.clone().settle(&again, NEXT), Step::Stays(earlier.clone()), "once is enough");
    let given_up = settlement(LAST, Operation::Update, Outcome::GivenUp, true);
    assert_eq!(version(&moved(earlier.settle(&given_up, NEXT))), "1.1.0");
}

#[test]
fn another_update_takes_the_place_of_the_one_on_its_way() {
    let State::Updating(updating) =
        moved(installation("updating", Kind::Hosted).update(edition("1.3.0"), NEXT).unwrap()).state
    else {
        panic!("it is updating");
    };
    assert_eq!(
        (updating.target.sequence, updating.target.edition.version.to_string()),
        (NEXT, "1.3.0".into())
    );
    assert_eq!(updating.earlier.iter().map(|update| update.sequence).collect::<Vec<_>>(), [4, LAST]);
}

#[test]
fn only_finished_releases_of_the_same_surface_come_silently() {
    let installed = || installation("installed", Kind::Hosted);
    let stays = |to| matches!(installed().move_silently([to]), Step::Stays(_));
    assert!(stays(edition("1.1.0-rc.1")) && stays(edition("1.0.0")) && stays(edition("0.9.0")));
    assert!(stays(Edition { surface: "two".into(), ..edition("1.1.0") }));
    let editions = ["1.1.0", "1.10.0", "1.9.0", "2.0.0-rc.1"].map(edition);
    let after = moved(installed().move_silently(editions));
    assert_eq!((after.edition, after.sequence), (edition("1.10.0"), LAST), "the newest");
}

/// At 1.0.0, 1.2.0 and 1.3.0.
fn asked(state: &str) -> [&'static str; 3] {
    ["1.0.0", "1.2.0", "1.3.0"].map(|version| {
        match ask(Some(installation(state, Kind::Hosted)), &edition(version)) {
            Err(_) => "conflict",
            Ok(Asked::AsItIs(_)) => "as it is",
            Ok(Asked::Anew { removed: None }) => "anew",
            Ok(Asked::Anew { removed: Some(removed) }) => {
                assert_eq!((removed.state, removed.key), (State::Removed, None));
                "in its place"
            }
        }
    })
}

#[test]
fn an_app_is_in_a_shop_once() {
    let table = [
        ("requested", ["as it is", "conflict", "conflict"]),
        ("installing", ["as it is", "conflict", "conflict"]),
        ("installed", ["as it is", "conflict", "conflict"]),
        ("updating", ["as it is", "as it is", "conflict"]),
        ("removing", ["in its place"; 3]),
        ("removed", ["anew"; 3]),
        ("cancelled", ["anew"; 3]),
    ];
    for (state, expected) in table {
        assert_eq!(asked(state), expected, "{state}");
    }
    assert_eq!(ask(None, &edition("1.0.0")), Ok(Asked::Anew { removed: None }));
}

#[test]
fn a_state_is_asked_for_by_its_name() {
    for state in STATES {
        assert_eq!(State::name(state), Ok(state));
        assert_eq!(installation(state, Kind::Hosted).state.as_str(), state);
    }
    assert!(State::name("Installed").is_err());
}
