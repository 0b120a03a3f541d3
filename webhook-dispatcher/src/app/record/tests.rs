//! Two replicas that record at once on PostgreSQL. Each scenario lines both up behind the same lock and lets go: where
//! one could wait for the other, PostgreSQL ends one of them with an error.
#![allow(clippy::unwrap_used)]

mod store;

use futures::FutureExt as _;
use platform::ids::derive;
use wire::open2b::{AppSecret, Callback, Operation};

use self::store::{Store, URL, delivery_row};
use super::*;
use crate::{
    app::{CallbackRequest, EndpointChange, FOLLOW_APPS, HandedOut, Told},
    domain::{
        answer::Answer, callback::Place, delivery::State, endpoint::Owner, event::LICENSE_ISSUED,
        target::CallbackUrl,
    },
    sender::{Live, Route},
    store::{delivery, serial},
};

/// The app's endpoint, and its Install in flight.
async fn install_in_flight(store: &Store) -> (delivery::Model, CallbackUrl) {
    let (owner, url) = (Owner::App("@a/b".to_owned()), CallbackUrl::parse(URL).unwrap());
    let secrets = vec![Live { secret: AppSecret::from_bytes([1; 32]), expires_at_ms: None }];
    let route = Route::App { url: url.clone(), secrets };
    let change = EndpointChange { owner: owner.clone(), route, disabled: false, revision: 1 };
    store.app.follow(FOLLOW_APPS, "evt_1", change).await.unwrap();
    let endpoint = endpoint::find_by_owner(store.app.db.write(), &owner).await.unwrap().unwrap();
    let place = Place { serial: Place::serial("@a/b", "inst_1"), sequence: 1 };
    assert!(serial::enter(store.app.db.write(), &place).await.unwrap());
    let install = delivery::Model {
        instance_id: "inst_1".to_owned(),
        event: Operation::Install.as_str().to_owned(),
        kind: "callback".to_owned(),
        marketplace_id: Some("@a/b".to_owned()),
        installation_id: Some("itn_1".to_owned()),
        serial: Some(place.serial),
        sequence: Some(place.sequence),
        ..delivery_row("dly_1", &endpoint.id)
    };
    (install, url)
}

fn removal() -> CallbackRequest {
    CallbackRequest {
        marketplace_id: "@a/b".to_owned(),
        instance_id: "inst_1".to_owned(),
        installation_id: "itn_1".to_owned(),
        sequence: 2,
        callback: Callback::Remove { shop: "TN81S9AUB1".to_owned() },
    }
}

fn issued() -> Told {
    Told { event: LICENSE_ISSUED, body: "{}".into() }
}

fn busy() -> Answer {
    Answer::status(429, Some(Duration::from_mins(10)))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_replicas_that_one_endpoint_throttles_do_not_wait_for_each_other() {
    let store = Store::with_endpoints(&["ep_1"]).await;
    let batches = [
        vec![store.finished("dly_1", "ep_1", busy()).await],
        vec![store.finished("dly_2", "ep_1", busy()).await],
    ];
    store.record_at_once("SELECT id FROM endpoints FOR UPDATE", batches).await;
    let endpoint = endpoint::find(store.app.db.read(), "ep_1").await.unwrap().unwrap();
    // It asked for 10 minutes; twice the scheduled wait is what it gets.
    assert_eq!(endpoint.throttled_until_ms, 1_800_000_120_000);
}

/// Their deliveries name the endpoints in opposite orders, and each has its first when the others are let go.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_replicas_that_find_the_same_endpoints_gone_do_not_wait_for_each_other() {
    let store = Store::with_endpoints(&["ep_1", "ep_2", "ep_3", "ep_4"]).await;
    let gone = async |(id, endpoint_id)| store.finished(id, endpoint_id, Answer::status(410, None)).await;
    let batches = [
        vec![gone(("dly_1", "ep_1")).await, gone(("dly_2", "ep_3")).await, gone(("dly_3", "ep_2")).await],
        vec![gone(("dly_4", "ep_2")).await, gone(("dly_5", "ep_4")).await, gone(("dly_6", "ep_1")).await],
    ];
    store.record_at_once("SELECT id FROM endpoints WHERE id >= 'ep_3' FOR UPDATE", batches).await;
    for id in ["dly_1", "dly_2", "dly_3", "dly_4", "dly_5", "dly_6"] {
        assert!(store.is_in(id, State::Held).await, "{id}");
    }
}

/// Each postpones what the other has delivered, and has it when the rest is let go.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_replicas_that_postpone_each_others_deliveries_do_not_wait_for_each_other() {
    let store = Store::with_endpoints(&["ep_1", "ep_2"]).await;
    let told = || Answer::status(204, None);
    let batches = [
        vec![store.finished("dly_2", "ep_2", told()).await, store.finished("dly_3", "ep_1", busy()).await],
        vec![store.finished("dly_1", "ep_1", told()).await, store.finished("dly_4", "ep_2", busy()).await],
    ];
    store.record_at_once("SELECT id FROM deliveries WHERE id >= 'dly_3' FOR UPDATE", batches).await;
    for (id, state) in [
        ("dly_1", State::Delivered),
        ("dly_2", State::Delivered),
        ("dly_3", State::Pending),
        ("dly_4", State::Pending),
    ] {
        assert!(store.is_in(id, state).await, "{id}");
    }
}

/// One of them is first, and whichever it is, nothing is retried that a later callback waits for.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_install_that_fails_while_its_removal_arrives_makes_room_for_it() {
    let store = Store::with_endpoints(&[]).await;
    let (install, url) = install_in_flight(&store).await;
    let route = Route::App { url, secrets: Vec::new() };
    let failed = vec![store.finished_by(install, route, Answer::none(Outcome::Reset)).await];
    let (recorder, consumer) = (store.app.clone(), store.app.clone());
    let recording = async move { recorder.record(&failed).await.map(drop) }.boxed();
    let taking = async move { consumer.request_callback("evt_2", removal()).await }.boxed();
    store.at_once("SELECT id FROM deliveries FOR UPDATE", [recording, taking]).await;
    assert!(store.is_in("dly_1", State::Superseded).await);
    let place = Place { serial: Place::serial("@a/b", "inst_1"), sequence: 3 };
    let open = delivery::list_earlier(store.app.db.write(), &place).await.unwrap();
    assert_eq!((open.len(), open[0].sequence), (1, Some(2)));
}

/// The second of two hand-outs of one event, as another replica's recorder sees it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_event_that_was_handed_out_twice_is_one_delivery_with_both_attempts() {
    let store = Store::with_endpoints(&["ep_1"]).await;
    let told = || Answer::status(204, None);
    store.app.record(&[store.first("evt_1", 1, told())]).await.unwrap();
    store.app.record(&[store.first("evt_1", 2, Answer::status(500, None))]).await.unwrap();
    // Both of another one at once.
    store.app.record(&[store.first("evt_2", 1, told()), store.first("evt_2", 2, told())]).await.unwrap();
    for event_id in ["evt_1", "evt_2"] {
        let id = derive("dly", event_id, "ep_1");
        let delivery = delivery::find(store.app.db.read(), &id).await.unwrap().unwrap();
        assert_eq!((delivery.state.as_str(), delivery.attempts), ("delivered", 2));
        let attempts = attempt::list(store.app.db.read(), &id).await.unwrap();
        assert_eq!(attempts.iter().map(|one| one.number).collect::<Vec<_>>(), [1, 2]);
    }
}

/// Also where its replica died between the commit and the acknowledgement, with the attempt still open.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_event_that_comes_again_after_its_record_is_not_told_again() {
    let store = Store::with_endpoints(&["ep_1"]).await;
    store.app.record(&[store.first("evt_1", 1, Answer::status(204, None))]).await.unwrap();
    store.app.record(&[store.opened("evt_2", 1)]).await.unwrap();
    for event_id in ["evt_1", "evt_2"] {
        let again = HandedOut { event_id: event_id.to_owned(), count: 2 };
        // Nobody takes jobs here: told again, it would fail.
        store.app.tell_instance(&again, "ep_1", issued()).await.unwrap();
    }
    let other = HandedOut { event_id: "evt_3".to_owned(), count: 1 };
    assert!(store.app.tell_instance(&other, "ep_1", issued()).await.is_err());
}

/// Of what is told to many, the delivery decides whether it is new and not the message: another hand-out has recorded
/// some of them.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_missing_of_a_message_to_many_is_added_and_the_rest_is_late() {
    let store = Store::with_endpoints(&["ep_1", "ep_2", "ep_3"]).await;
    let first =
        |endpoint_id, attempt| store.first_to("evt_1", endpoint_id, attempt, Answer::status(204, None));
    store.app.record(&[first("ep_1", 1)]).await.unwrap();
    let again = [first("ep_1", 2), first("ep_2", 2), first("ep_3", 2)];
    let late = store.app.record(&again).await.unwrap();
    assert_eq!(again.map(|one| late.has(&one.job)), [true, false, false]);
    for endpoint_id in ["ep_1", "ep_2", "ep_3"] {
        let id = derive("dly", "evt_1", endpoint_id);
        assert!(store.is_in(&id, State::Delivered).await);
        assert_eq!(attempt::list(store.app.db.read(), &id).await.unwrap().len(), 2, "one was lost or late");
    }
}

/// They name the messages in opposite orders, and each has its first when the others are let go.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_replicas_that_tell_the_same_to_many_do_not_wait_for_each_other() {
    let store = Store::with_endpoints(&["ep_1", "ep_2"]).await;
    let first = |(event, endpoint_id)| store.first_to(event, endpoint_id, 1, Answer::status(204, None));
    let batches = [
        [("evt_1", "ep_1"), ("evt_2", "ep_1"), ("evt_1", "ep_2"), ("evt_2", "ep_2")].map(first).into(),
        [("evt_2", "ep_2"), ("evt_1", "ep_2"), ("evt_2", "ep_1"), ("evt_1", "ep_1")].map(first).into(),
    ];
    let batches = batches.map(|mut batch: Vec<Finished>| {
        batch.sort_by(|a, b| a.job.lease.delivery_id.cmp(&b.job.lease.delivery_id));
        batch
    });
    store.record_at_once("LOCK TABLE messages IN EXCLUSIVE MODE", batches).await;
    for (event_id, endpoint_id) in
        [("evt_1", "ep_1"), ("evt_2", "ep_1"), ("evt_1", "ep_2"), ("evt_2", "ep_2")]
    {
        assert!(store.is_in(&derive("dly", event_id, endpoint_id), State::Delivered).await);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_open_attempt_is_leased_until_its_result_is_written_like_that_of_a_claimed_one() {
    let store = Store::with_endpoints(&["ep_1"]).await;
    let late = store.app.record(&[store.opened("evt_1", 1), store.opened("evt_2", 1)]).await.unwrap();
    assert!(!late.has(&store.opened("evt_1", 1).job));
    let row = async |event_id| {
        let id = derive("dly", event_id, "ep_1");
        delivery::find(store.app.db.read(), &id).await.unwrap().unwrap()
    };
    let open = row("evt_1").await;
    assert_eq!((open.state.as_str(), open.attempts, open.lease_token), ("pending", 1, 1));
    let store_now_ms = lease::store_now_ms(store.app.db.write()).await.unwrap();
    let left = open.lease_until_ms - store_now_ms;
    assert!((100_000..=120_000).contains(&left), "{left} ms");

    let results =
        [store.ended("evt_1", Answer::status(204, None)), store.ended("evt_2", Answer::status(503, None))];
    store.app.record(&results).await.unwrap();
    let (told, failed) = (row("evt_1").await, row("evt_2").await);
    assert_eq!((told.state.as_str(), told.lease_until_ms), ("delivered", 0));
    assert_eq!((failed.state.as_str(), failed.failures, failed.lease_until_ms), ("pending", 1, 0));
}

/// Another hand-out of its message was recorded before: its lease is nobody's, and its end changes nothing.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_open_attempt_that_another_hand_out_overtook_is_late() {
    let store = Store::with_endpoints(&["ep_1"]).await;
    store.app.record(&[store.opened("evt_1", 1)]).await.unwrap();
    let overtaken = store.opened("evt_1", 2);
    let late = store.app.record(std::slice::from_ref(&overtaken)).await.unwrap();
    assert!(late.has(&overtaken.job));
    store.app.record(&[store.first("evt_1", 2, Answer::status(500, None))]).await.unwrap();
    let id = derive("dly", "evt_1", "ep_1");
    let delivery = delivery::find(store.app.db.read(), &id).await.unwrap().unwrap();
    assert!(delivery.is(State::Pending) && delivery.lease_until_ms > 0);
    assert_eq!((delivery.attempts, delivery.lease_token), (2, 1));
    store.app.record(&[store.ended("evt_1", Answer::status(204, None))]).await.unwrap();
    assert!(store.is_in(&id, State::Delivered).await);
}

/// What waits for a disabled endpoint is held, and so is what is in flight to it: a replica that dies leaves it held.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_open_attempt_to_an_endpoint_that_was_disabled_meanwhile_is_held() {
    let store = Store::with_endpoints(&["ep_1"]).await;
    let mut disabled = endpoint::find(store.app.db.write(), "ep_1").await.unwrap().unwrap();
    disabled.tenant_disabled = true;
    endpoint::update(store.app.db.write(), &disabled).await.unwrap();
    store.app.record(&[store.opened("evt_1", 1)]).await.unwrap();
    let id = derive("dly", "evt_1", "ep_1");
    assert!(store.is_in(&id, State::Held).await);
    store.app.record(&[store.ended("evt_1", Answer::status(204, None))]).await.unwrap();
    assert!(store.is_in(&id, State::Delivered).await);
}
