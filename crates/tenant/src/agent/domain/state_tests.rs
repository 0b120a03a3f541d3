#![allow(clippy::unwrap_used)]
use wire::keys::SigningKey;

use super::*;

const NOW: i64 = 1_790_000_000_000;

fn app() -> MarketplaceId {
    "@vendor/app".parse().unwrap()
}

fn issued(id: &str, version: &str) -> Issued {
    Issued {
        id: id.to_owned(),
        marketplace_id: app(),
        version: version.parse().unwrap(),
        license_key: format!("CC-{id}-{version}"),
    }
}

/// A shop whose administrator has gone to pay for 1.0.0.
fn paying() -> State {
    let mut state = State::new("00".to_owned());
    state.begin_checkout("key_1".to_owned(), app(), Version::new(1, 0, 0), NOW);
    state.checkout_opened("key_1", "ord_1");
    state
}

#[test]
fn what_answers_a_checkout_is_installed_once() {
    let mut state = paying();
    assert_eq!(state.take_delivery(issued("dly_1", "1.0.0"), NOW), Taken::Installing);
    assert!(state.jobs.contains_key(&app()));
    assert_eq!(state.take_delivery(issued("dly_1", "1.0.0"), NOW), Taken::Known);
    assert!(state.find_open_checkout(&app()).is_none());
}

#[test]
fn a_second_licence_for_one_checkout_is_asked_about() {
    let mut state = paying();
    state.take_delivery(issued("dly_1", "1.0.0"), NOW);
    assert_eq!(state.take_delivery(issued("dly_2", "1.0.0"), NOW), Taken::Asking);
}

#[test]
fn another_version_than_was_paid_for_is_asked_about() {
    let mut state = paying();
    assert_eq!(state.take_delivery(issued("dly_1", "0.9.0"), NOW), Taken::Asking);
    assert!(state.jobs.is_empty());
    assert!(state.licenses.is_empty());
}

#[test]
fn a_checkout_of_long_ago_is_no_wish_any_more() {
    let mut state = paying();
    assert_eq!(state.take_delivery(issued("dly_1", "1.0.0"), NOW + CHECKOUT_LIFE_MS), Taken::Asking);
}

#[test]
fn a_licence_whose_answer_to_the_checkout_call_was_lost_still_answers_it() {
    let mut state = State::new("00".to_owned());
    state.begin_checkout("key_1".to_owned(), app(), Version::new(1, 0, 0), NOW);
    assert_eq!(state.take_delivery(issued("dly_1", "1.0.0"), NOW), Taken::Installing);
}

#[test]
fn an_order_that_is_answered_again_keeps_the_version_it_was_opened_for() {
    let mut state = paying();
    state.begin_checkout("key_2".to_owned(), app(), Version::new(1, 1, 0), NOW);
    state.checkout_opened("key_2", "ord_1");
    assert_eq!(state.checkouts.len(), 1);
    assert_eq!(state.take_delivery(issued("dly_1", "1.0.0"), NOW), Taken::Installing);
}

#[test]
fn a_refused_checkout_is_no_wish() {
    let mut state = State::new("00".to_owned());
    state.begin_checkout("key_1".to_owned(), app(), Version::new(1, 0, 0), NOW);
    state.drop_checkout("key_1");
    assert_eq!(state.take_delivery(issued("dly_1", "1.0.0"), NOW), Taken::Asking);
}

#[test]
fn an_offer_is_installed_when_accepted_and_gone_when_dismissed() {
    let mut state = State::new("00".to_owned());
    state.take_delivery(issued("dly_1", "1.0.0"), NOW);
    state.take_delivery(issued("dly_2", "1.0.0"), NOW);
    assert!(state.take_offer("dly_2").is_some());
    assert!(state.accept_offer("dly_1", NOW));
    assert!(!state.accept_offer("dly_1", NOW));
    assert_eq!(state.licenses[&app()].key, "CC-dly_1-1.0.0");
    assert!(state.offers.is_empty() && state.jobs.contains_key(&app()));
}

#[test]
fn a_licence_that_is_found_again_is_known() {
    let mut state = paying();
    state.take_delivery(issued("dly_1", "1.0.0"), NOW);
    let found = Issued { id: "lic_1".to_owned(), ..issued("dly_1", "1.0.0") };
    assert_eq!(state.take_license(found, NOW), Taken::Known);
}

#[test]
fn ids_are_forgotten_when_no_retry_can_come_any_more() {
    let mut state = State::new("00".to_owned());
    state.take_delivery(issued("dly_1", "1.0.0"), NOW);
    state.take_delivery(issued("dly_2", "1.0.0"), NOW + SEEN_LIFE_MS);
    assert_eq!(state.seen.keys().collect::<Vec<_>>(), ["dly_2"]);
}

#[test]
fn a_job_waits_for_its_time_or_for_the_administrator() {
    let mut state = State::new("00".to_owned());
    let tried = Job::new(app(), Version::new(1, 0, 0), NOW);
    state.queue(tried.clone());
    assert!(state.find_due_job(NOW).is_some());
    let retry = Problem::Retrying { message: String::new(), at_ms: NOW + 5 };
    state.change_job(&tried, |job| job.problem = Some(retry));
    assert!(state.find_due_job(NOW + 4).is_none());
    assert_eq!(state.next_due_ms(), Some(NOW + 5));
    assert!(state.find_due_job(NOW + 5).is_some());
    let failed = Problem::Failed { message: String::new() };
    state.change_job(&tried, |job| job.problem = Some(failed));
    assert_eq!(state.next_due_ms(), None);
    state.resume_job(&app(), "install 1.0.0 again");
    assert!(state.find_due_job(NOW).is_some());
}

/// Presses the button of a page that is up to date.
fn go_on(state: &mut State) {
    let shown = state.jobs[&app()].question().unwrap();
    state.resume_job(&app(), &shown);
}

#[test]
fn going_on_grants_what_was_asked() {
    let key = SigningKey::from_seed(&[1; 32]).verifying_key();
    let holder = Holder::Vendor("vendor".to_owned());
    let mut state = State::new("00".to_owned());
    let mut job = Job::new(app(), Version::new(1, 0, 0), NOW);
    job.problem = Some(Problem::NewKey { holder: holder.clone(), key });
    state.queue(job.clone());
    go_on(&mut state);
    assert!(state.pins.has(&holder, key));
    let added = vec!["api:orders.read".to_owned()];
    let asked = Problem::Consent { added: added.clone() };
    state.change_job(&job, |job| job.problem = Some(asked));
    go_on(&mut state);
    assert_eq!(state.jobs[&app()].allowed, added);
}

#[test]
fn going_on_grants_nothing_else_than_what_was_shown() {
    let key = SigningKey::from_seed(&[1; 32]).verifying_key();
    let holder = Holder::Vendor("vendor".to_owned());
    let mut state = State::new("00".to_owned());
    let mut job = Job::new(app(), Version::new(1, 0, 0), NOW);
    job.problem = Some(Problem::NewKey { holder: holder.clone(), key });
    let shown = job.question().unwrap();
    state.queue(job.clone());
    for unseen in ["", "install 1.0.0 again", "install 1.0.0 permissions api:orders.read"] {
        state.resume_job(&app(), unseen);
        assert_eq!(state.jobs[&app()], job, "{unseen}");
    }
    job.problem = Some(Problem::Consent { added: vec!["api:orders.write".to_owned()] });
    state.queue(job.clone());
    state.resume_job(&app(), &shown);
    assert_eq!(state.jobs[&app()], job, "the key was shown, and not these permissions");
    assert!(!state.pins.has(&holder, key));
    let newer = Job { version: Version::new(2, 0, 0), ..job.clone() };
    assert_ne!(newer.question(), job.question(), "those of another version are another question");
}

#[test]
fn the_end_of_an_older_wish_does_not_end_a_newer_one() {
    let mut state = State::new("00".to_owned());
    let older = Job::new(app(), Version::new(1, 0, 0), NOW);
    for newer in [
        Job::new(app(), Version::new(2, 0, 0), NOW),
        Job::removal(app(), Version::new(1, 0, 0), NOW),
        Job { allowed: vec!["api:orders.read".to_owned()], ..older.clone() },
    ] {
        state.queue(newer.clone());
        state.finish_job(&older);
        assert_eq!(state.jobs[&app()], newer);
    }
}
