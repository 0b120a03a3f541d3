//! Endpoints that have to take one signed request before they are told anything else.

mod waived;

use std::time::Duration;

use platform::Code;
use proto::{
    events::{DeliveryDead, subject},
    webhooks::{CreateReplayRequest, Delivery, DeliveryDetail, Endpoint, ListDeliveriesRequest},
};
use testkit::receiver::{Answer, Received, Receiver};
use webhook_dispatcher::config::{DeliveryConfig, OperationsConfig};
use wire::{standard_webhooks, timed_signature};

use crate::{
    harness::{Dispatcher, On, Shop, WAIT, secret},
    leases::states,
};

over_both! {
    a_new_shop_is_verified_before_its_first_event,
    events_wait_for_the_verification_and_then_all_come,
    a_shop_that_moves_is_verified_anew,
    a_success_at_the_old_url_verifies_nothing,
    what_one_replica_must_verify_the_other_holds,
    a_verification_that_dies_is_a_dead_letter_and_its_replay_verifies,
    a_shop_that_is_disabled_is_asked_when_it_is_enabled,
    a_verification_whose_replica_died_is_asked_again,
}

const VERIFICATION: &str = "endpoint-verification";
const ISSUED: &str = "license-issued";

fn verifying() -> DeliveryConfig {
    DeliveryConfig { verify_endpoints: true, ..trusting() }
}

fn trusting() -> DeliveryConfig {
    DeliveryConfig {
        timeout_seconds: 3,
        lease_seconds: 10,
        concurrency_per_endpoint: 1,
        allow_cidrs: vec!["127.0.0.0/8".parse().unwrap()],
        ..DeliveryConfig::default()
    }
}

/// The events of requests, in the order in which they came.
fn events(requests: &[Received]) -> Vec<&str> {
    requests.iter().map(|one| one.header("x-carpha-event").unwrap()).collect()
}

fn assert_signed(asked: &Received, shop: &Shop, now: i64) {
    let (header, key) = (|name: &str| asked.header(name).unwrap(), &shop.secret);
    timed_signature::verify(&[key.expose()], header("x-carpha-signature"), &asked.body, now, 300).unwrap();
    let (id, timestamp, signature) =
        (header("webhook-id"), header("webhook-timestamp"), header("webhook-signature"));
    standard_webhooks::verify(&[key], id, timestamp, signature, &asked.body, now, 300).unwrap();
}

/// A shop that is registered and answers this to everything, until it is told otherwise.
async fn shop_that_answers(dispatcher: &Dispatcher, answer: Answer) -> Shop {
    let shop = Shop { receiver: Receiver::start().await.unwrap(), secret: secret(1) };
    shop.receiver.answer(answer);
    dispatcher.register("inst_1", &shop.receiver.url()).await;
    shop
}

/// Waits until the endpoint is as wanted.
async fn endpoint(dispatcher: &Dispatcher, what: &str, wanted: impl Fn(&Endpoint) -> bool) -> Endpoint {
    let look = || async { dispatcher.endpoint("inst_1").await.filter(&wanted) };
    testkit::eventually(what, WAIT, look).await.unwrap()
}

async fn verified(dispatcher: &Dispatcher) -> Endpoint {
    endpoint(dispatcher, "the verification", |it| it.state == "active" && it.verified_at_ms.is_some()).await
}

/// The instance's deliveries of one event, the newest first.
async fn deliveries_of(dispatcher: &Dispatcher, event: &str) -> Vec<Delivery> {
    let ask = ListDeliveriesRequest {
        instance_id: Some("inst_1".to_owned()),
        event: Some(event.to_owned()),
        ..Default::default()
    };
    dispatcher.deliveries(ask).await.unwrap().deliveries
}

/// Waits until the newest delivery of the event is as wanted.
async fn newest(
    dispatcher: &Dispatcher,
    event: &str,
    what: &str,
    wanted: impl Fn(&DeliveryDetail) -> bool,
) -> DeliveryDetail {
    let look = || async {
        let newest = deliveries_of(dispatcher, event).await.into_iter().next()?;
        Some(dispatcher.delivery(&newest.delivery_id).await).filter(&wanted)
    };
    testkit::eventually(what, WAIT, look).await.unwrap()
}

async fn reaches(dispatcher: &Dispatcher, event: &str, state: &str) -> DeliveryDetail {
    newest(dispatcher, event, state, |it| it.delivery.as_ref().unwrap().state == state).await
}

/// The shop is somewhere else, a second later, so that of two questions it is clear which one is newer.
async fn move_shop(dispatcher: &Dispatcher, new: &Receiver, revision: u32) {
    dispatcher.clock.advance(Duration::from_secs(1));
    dispatcher.tenant_changed(dispatcher.tenant("inst_1", &new.url(), revision)).await;
}

/// Lets the time pass until the verification, of which so many attempts were made, is tried again.
async fn pass_until_asked_again(dispatcher: &Dispatcher, attempts: usize) {
    let failed = newest(dispatcher, VERIFICATION, "the failure", |it| it.attempts.len() == attempts).await;
    dispatcher.pass_until_due(&failed);
}

async fn a_new_shop_is_verified_before_its_first_event(dispatcher: Dispatcher) {
    let dispatcher = dispatcher.again(verifying()).await;
    let shop = shop_that_answers(&dispatcher, Answer::status(500)).await;
    let asked = shop.receiver.wait_for_count(1, WAIT).await.unwrap().remove(0);
    let unverified = dispatcher.endpoint("inst_1").await.unwrap();
    assert_eq!((unverified.state.as_str(), unverified.disabled), ("unverified", false));
    assert_eq!(
        (unverified.unverified_since_ms, unverified.verified_at_ms),
        (Some(dispatcher.clock.now_ms()), None)
    );
    assert_eq!(asked.uri.path(), "/admin/marketplace/endpoint-verification");
    let body: serde_json::Value = serde_json::from_slice(&asked.body).unwrap();
    assert_eq!(body, serde_json::json!({ "endpoint_id": unverified.endpoint_id }));
    assert_signed(&asked, &shop, dispatcher.clock.now_secs());

    dispatcher.issue("inst_1").await;
    let held = reaches(&dispatcher, ISSUED, "held").await.delivery.unwrap();
    assert_eq!((held.attempts, held.next_attempt_at_ms), (0, None));
    shop.receiver.answer(Answer::status(204));
    pass_until_asked_again(&dispatcher, 1).await;
    let told = shop.receiver.wait_for_count(3, WAIT).await.unwrap();
    assert_eq!(events(&told), [VERIFICATION, VERIFICATION, ISSUED]);
    assert_eq!(told[0].header("webhook-id"), told[1].header("webhook-id"), "a retry of the same delivery");
    let endpoint = verified(&dispatcher).await;
    assert_eq!(
        (endpoint.verified_at_ms, endpoint.unverified_since_ms),
        (Some(dispatcher.clock.now_ms()), None)
    );
    reaches(&dispatcher, ISSUED, "delivered").await;

    dispatcher.clock.advance(Duration::from_secs(1));
    dispatcher.issue("inst_1").await;
    shop.receiver.wait_for_count(4, WAIT).await.unwrap();
    assert_eq!(reaches(&dispatcher, ISSUED, "delivered").await.delivery.unwrap().attempts, 1);
    assert_eq!(deliveries_of(&dispatcher, VERIFICATION).await.len(), 1, "it was asked once");
}

async fn events_wait_for_the_verification_and_then_all_come(dispatcher: Dispatcher) {
    let dispatcher = dispatcher.again(verifying()).await;
    let shop = shop_that_answers(&dispatcher, Answer::status(500)).await;
    shop.receiver.wait_for_count(1, WAIT).await.unwrap();
    for waiting in 1..=5 {
        dispatcher.clock.advance(Duration::from_millis(10));
        dispatcher.issue("inst_1").await;
        let held = || async {
            let held = deliveries_of(&dispatcher, ISSUED).await;
            (held.len() == waiting && held.iter().all(|one| one.state == "held")).then_some(())
        };
        testkit::eventually("the event to be held", WAIT, held).await.unwrap();
    }
    assert_eq!(events(&shop.receiver.requests()), [VERIFICATION], "nothing else was sent");
    shop.receiver.answer(Answer::status(204));
    pass_until_asked_again(&dispatcher, 1).await;
    let told = shop.receiver.wait_for_count(7, WAIT).await.unwrap();
    assert_eq!(events(&told[..2]), [VERIFICATION, VERIFICATION]);
    // They may overtake each other; but each comes, and comes once.
    let mut happened: Vec<_> =
        deliveries_of(&dispatcher, ISSUED).await.into_iter().map(|one| one.delivery_id).collect();
    let mut came: Vec<_> = told[2..].iter().map(|one| one.header("webhook-id").unwrap()).collect();
    happened.sort_unstable();
    came.sort_unstable();
    assert_eq!(came, happened);
}

async fn a_shop_that_moves_is_verified_anew(dispatcher: Dispatcher) {
    let dispatcher = dispatcher.again(verifying()).await;
    let old = shop_that_answers(&dispatcher, Answer::status(204)).await;
    verified(&dispatcher).await;
    let new = Receiver::start().await.unwrap();
    new.script([Answer::status(500)]);
    move_shop(&dispatcher, &new, 2).await;
    let moved = endpoint(&dispatcher, "the move", |it| it.base_url == new.url()).await;
    assert_eq!((moved.state.as_str(), moved.verified_at_ms), ("unverified", None));
    // Asked once the replica's memory knows of the move, too.
    new.wait_for_count(1, WAIT).await.unwrap();
    dispatcher.issue("inst_1").await;
    reaches(&dispatcher, ISSUED, "held").await;
    pass_until_asked_again(&dispatcher, 1).await;
    let told = new.wait_for_count(3, WAIT).await.unwrap();
    assert_eq!(events(&told), [VERIFICATION, VERIFICATION, ISSUED]);
    verified(&dispatcher).await;
    assert_eq!(events(&old.receiver.requests()), [VERIFICATION]);

    // The same place under another secret is no other place.
    let mut change = dispatcher.tenant("inst_1", &new.url(), 3);
    change.secrets = vec![dispatcher.sealed(&secret(2), None)];
    dispatcher.tenant_changed(change).await;
    // Known once this later change is.
    dispatcher.register("inst_2", &old.receiver.url()).await;
    assert_eq!(dispatcher.endpoint("inst_1").await.unwrap().state, "active");
}

async fn a_success_at_the_old_url_verifies_nothing(dispatcher: Dispatcher) {
    let dispatcher = dispatcher.again(verifying()).await;
    // Long enough for the move to be taken in before the old URL has answered.
    let old = shop_that_answers(&dispatcher, Answer::status(204).after(Duration::from_secs(2))).await;
    old.receiver.wait_for_count(1, WAIT).await.unwrap();
    let first = deliveries_of(&dispatcher, VERIFICATION).await.remove(0).delivery_id;
    let new = Receiver::start().await.unwrap();
    new.answer(Answer::status(500));
    move_shop(&dispatcher, &new, 2).await;
    new.wait_for_count(1, WAIT).await.unwrap();
    let late = || async {
        let first = dispatcher.delivery(&first).await;
        first.attempts.iter().any(|one| one.outcome == "success").then_some(first)
    };
    let late = testkit::eventually("the old URL's answer", WAIT, late).await.unwrap();
    assert_eq!(late.delivery.unwrap().state, "superseded");
    assert_eq!(dispatcher.endpoint("inst_1").await.unwrap().state, "unverified");
    new.answer(Answer::status(204));
    pass_until_asked_again(&dispatcher, 1).await;
    verified(&dispatcher).await;
    assert_eq!(deliveries_of(&dispatcher, VERIFICATION).await.len(), 2, "one for each URL");
}

async fn what_one_replica_must_verify_the_other_holds(dispatcher: Dispatcher) {
    let dispatcher = dispatcher.again(verifying()).await;
    let old = shop_that_answers(&dispatcher, Answer::status(204)).await;
    verified(&dispatcher).await;
    dispatcher.add_replica().await;
    for told in 2..=21 {
        dispatcher.issue("inst_1").await;
        old.receiver.wait_for_count(told, WAIT).await.unwrap();
    }
    let new = Receiver::start().await.unwrap();
    new.answer(Answer::status(500));
    move_shop(&dispatcher, &new, 2).await;
    dispatcher.changes_announced(3).await;
    dispatcher.kill_first();
    // The notice and what is told come on two ways, so one may overtake the other; but soon, all is held.
    let held = || async {
        dispatcher.issue("inst_1").await;
        states(&dispatcher.db).await.iter().any(|(state, _)| state == "held").then_some(())
    };
    testkit::eventually("a delivery to be held", WAIT, held).await.unwrap();
    assert!(events(&new.requests()).iter().all(|event| *event == VERIFICATION));
}

async fn a_verification_that_dies_is_a_dead_letter_and_its_replay_verifies(dispatcher: Dispatcher) {
    let once = DeliveryConfig { schedule_seconds: Vec::new(), ..verifying() };
    let dispatcher = dispatcher.again(once).await;
    let shop = shop_that_answers(&dispatcher, Answer::status(500)).await;
    let dead = reaches(&dispatcher, VERIFICATION, "dead").await.delivery.unwrap();
    assert_eq!(dead.dead_class.as_deref(), Some("server_error"));
    let told: DeliveryDead = dispatcher.announcement(subject::DELIVERY_DEAD).await;
    assert_eq!((told.delivery_id.as_str(), told.event.as_str()), (dead.delivery_id.as_str(), VERIFICATION));
    assert_eq!(dispatcher.endpoint("inst_1").await.unwrap().state, "unverified");

    dispatcher.issue("inst_1").await;
    let held = reaches(&dispatcher, ISSUED, "held").await.delivery.unwrap();
    let refused = dispatcher.replay(&held.delivery_id).await.unwrap_err();
    assert_eq!(refused.code(), Code::Conflict);
    assert!(refused.message().contains("not verified yet"), "{refused}");
    dispatcher.replay(&dead.delivery_id).await.unwrap();
    shop.receiver.wait_for_count(2, WAIT).await.unwrap();
    let again = |it: &DeliveryDetail| {
        it.attempts.len() == 2 && it.delivery.as_ref().is_some_and(|one| one.state == "dead")
    };
    newest(&dispatcher, VERIFICATION, "the second death", again).await;

    shop.receiver.answer(Answer::status(204));
    let all = CreateReplayRequest {
        endpoint_id: Some(dead.endpoint_id),
        since_ms: dead.created_at_ms - 1,
        which: "all".to_owned(),
        ..Default::default()
    };
    dispatcher.clock.advance(Duration::from_secs(1));
    let replay = dispatcher.create_replay(all).await.unwrap();
    verified(&dispatcher).await;
    reaches(&dispatcher, ISSUED, "delivered").await;
    let done = || async {
        let replay = dispatcher.get_replay(&replay.replay_id).await.unwrap();
        (replay.state == "done").then_some(replay)
    };
    let done = testkit::eventually("the replay", WAIT, done).await.unwrap();
    assert_eq!((done.replayed, done.skipped_disabled), (1, 1), "what is held goes on by itself");
}

async fn a_shop_that_is_disabled_is_asked_when_it_is_enabled(dispatcher: Dispatcher) {
    let dispatcher = dispatcher.again(verifying()).await;
    let receiver = Receiver::start().await.unwrap();
    let change = dispatcher.tenant("inst_1", &receiver.url(), 1);
    dispatcher.tenant_changed(proto::events::TenantChanged { disabled: true, ..change }).await;
    endpoint(&dispatcher, "the endpoint", |it| it.state == "disabled").await;
    dispatcher.issue("inst_1").await;
    reaches(&dispatcher, ISSUED, "held").await;
    assert!(deliveries_of(&dispatcher, VERIFICATION).await.is_empty());

    receiver.script([Answer::status(410)]);
    dispatcher.tenant_changed(dispatcher.tenant("inst_1", &receiver.url(), 2)).await;
    let gone =
        endpoint(&dispatcher, "the 410", |it| it.state == "disabled" && !receiver.requests().is_empty());
    assert_eq!(gone.await.disabled_reason.as_deref(), Some("gone"));
    reaches(&dispatcher, VERIFICATION, "held").await;

    // Another URL lifts that, and is asked itself.
    let new = Receiver::start().await.unwrap();
    move_shop(&dispatcher, &new, 3).await;
    verified(&dispatcher).await;
    reaches(&dispatcher, ISSUED, "delivered").await;
    assert_eq!(events(&new.requests()), [VERIFICATION, ISSUED]);
    assert_eq!(events(&receiver.requests()), [VERIFICATION]);
    let states: Vec<_> =
        deliveries_of(&dispatcher, VERIFICATION).await.into_iter().map(|one| one.state).collect();
    assert_eq!(states, ["delivered", "superseded"]);
}

async fn a_verification_whose_replica_died_is_asked_again(dispatcher: Dispatcher) {
    let dispatcher = dispatcher.again(verifying()).await;
    let receiver = Receiver::start().await.unwrap();
    receiver.script([Answer::hang()]);
    dispatcher.register("inst_1", &receiver.url()).await;
    receiver.wait_for_count(1, WAIT).await.unwrap();
    dispatcher.issue("inst_1").await;
    reaches(&dispatcher, ISSUED, "held").await;
    dispatcher.kill_first();
    dispatcher.add_replica().await;
    let told = receiver.wait_for_count(3, WAIT).await.unwrap();
    assert_eq!(events(&told), [VERIFICATION, VERIFICATION, ISSUED]);
    assert_eq!(told[0].header("webhook-id"), told[1].header("webhook-id"));
    let settled = || async {
        let mut states = states(&dispatcher.db).await;
        states.sort_unstable();
        (states == [("delivered".to_owned(), 1), ("delivered".to_owned(), 2)]).then_some(())
    };
    testkit::eventually("both deliveries", WAIT, settled).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_operators_own_endpoint_is_verified_before_it_is_told_and_not_told_of_that() {
    let own = Receiver::start().await.unwrap();
    own.answer(Answer::status(500));
    let operations = OperationsConfig {
        url: Some(format!("{}/hooks", own.url())),
        secret: Some(platform::secret::Secret::new(secret(9).expose().to_owned())),
    };
    let once = DeliveryConfig { schedule_seconds: Vec::new(), ..verifying() };
    let dispatcher = Dispatcher::start_operated(On::Embedded, once, operations).await;
    let asked = own.wait_for_count(1, WAIT).await.unwrap().remove(0);
    assert_eq!(asked.uri.path(), "/hooks");
    let newest = async |event: &str, state: &str| {
        let look = || async {
            let (kind, event) = (Some("operator".to_owned()), Some(event.to_owned()));
            let ask = ListDeliveriesRequest { kind, event, ..Default::default() };
            let all = dispatcher.deliveries(ask).await.unwrap().deliveries;
            all.into_iter().next().filter(|newest| newest.state == state)
        };
        testkit::eventually(state, WAIT, look).await.unwrap()
    };
    let dead = newest(VERIFICATION, "dead").await;
    let _shop = shop_that_answers(&dispatcher, Answer::status(204)).await;
    dispatcher.set_disabled("inst_1", true).await.unwrap();
    newest("endpoint-disabled", "held").await;
    own.answer(Answer::status(204));
    dispatcher.replay(&dead.delivery_id).await.unwrap();
    newest("endpoint-disabled", "delivered").await;
    assert_eq!(events(&own.requests()), [VERIFICATION, VERIFICATION, "endpoint-disabled"]);
}
