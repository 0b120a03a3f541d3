//! First attempts, which are made before any row tells of them: crashes, bursts, bounds, replicas.

use std::time::Duration;

use platform::db::{Db, Tx};
use sea_orm::{ConnectionTrait as _, DbBackend, Statement};
use testkit::receiver::{Answer, Receiver};
use webhook_dispatcher::config::DeliveryConfig;

use crate::{
    harness::{Dispatcher, On, Shop, WAIT},
    leases::{outcomes, states},
};

over_both! {
    an_answer_that_was_not_recorded_is_asked_for_again_under_the_same_id,
    a_shop_that_hangs_keeps_nobody_else_waiting,
    shops_that_hang_with_wide_windows_hold_no_place_of_the_consumer,
    an_attempt_that_waits_for_its_receiver_is_kept_and_recorded,
    an_attempt_that_waited_when_its_replica_died_is_made_again_after_its_lease,
    an_attempt_that_waited_and_could_not_be_kept_is_made_again_from_the_bus,
    no_more_is_taken_than_the_pipeline_holds,
    two_replicas_hold_twice_as_much,
    two_replicas_tell_a_burst_once,
    what_one_replica_disables_the_other_holds,
    a_shop_that_moved_is_told_at_its_new_url_by_every_replica,
}

/// Nothing is recorded until this is dropped.
async fn stop_the_store(db: &Db) -> Tx {
    let held = db.begin().await.unwrap();
    if db.backend() == DbBackend::Postgres {
        held.execute_unprepared("LOCK TABLE messages IN EXCLUSIVE MODE").await.unwrap();
    }
    held
}

fn patient(concurrency: usize) -> DeliveryConfig {
    DeliveryConfig {
        timeout_seconds: 20,
        lease_seconds: 40,
        concurrency,
        allow_cidrs: vec!["127.0.0.0/8".parse().unwrap()],
        ..DeliveryConfig::default()
    }
}

async fn count(db: &Db, state: &str) -> usize {
    states(db).await.iter().filter(|(each, _)| each == state).count()
}

async fn all_delivered_once(db: &Db, wanted: usize) {
    let once = ("delivered".to_owned(), 1);
    let done = || async {
        let states = states(db).await;
        (states.len() == wanted && states.iter().all(|state| *state == once)).then_some(())
    };
    testkit::eventually("each to be delivered by one attempt", WAIT, done).await.unwrap();
}

async fn an_answer_that_was_not_recorded_is_asked_for_again_under_the_same_id(dispatcher: Dispatcher) {
    let shop = dispatcher.shop("inst_1").await;
    let stopped = stop_the_store(&dispatcher.db).await;
    dispatcher.issue("inst_1").await;
    shop.receiver.wait_for_count(1, WAIT).await.unwrap();
    dispatcher.kill_first();
    drop(stopped);
    dispatcher.add_replica().await;
    let requests = shop.receiver.wait_for_count(2, WAIT).await.unwrap();
    assert_eq!(requests[0].header("webhook-id"), requests[1].header("webhook-id"));
    let recorded = || async { (states(&dispatcher.db).await == [("delivered".to_owned(), 2)]).then_some(()) };
    testkit::eventually("one delivery of two attempts", WAIT, recorded).await.unwrap();
    assert_eq!(outcomes(&dispatcher.db).await, ["lost", "success"]);
}

async fn a_shop_that_hangs_keeps_nobody_else_waiting(dispatcher: Dispatcher) {
    let dispatcher = dispatcher.again(patient(8)).await;
    let (hanging, healthy) = (dispatcher.shop("inst_1").await, dispatcher.shop("inst_2").await);
    hanging.receiver.answer(Answer::hang());
    for number in 0..120 {
        dispatcher.issue(if number % 3 == 2 { "inst_2" } else { "inst_1" }).await;
    }
    healthy.receiver.wait_for_count(40, WAIT).await.unwrap();
    assert_eq!(hanging.receiver.requests().len(), 4, "as many as its window holds");
    let stored = || async {
        let counts = (count(&dispatcher.db, "delivered").await, count(&dispatcher.db, "pending").await);
        (counts == (40, 80)).then_some(())
    };
    testkit::eventually(
        "what cannot be tried now, and what waits for its receiver, to be stored",
        WAIT,
        stored,
    )
    .await
    .unwrap();
    assert_eq!(hanging.receiver.requests().len(), 4);
}

/// Six shops are told 16 times each at once, and 64 places are there.
async fn shops_that_hang_with_wide_windows_hold_no_place_of_the_consumer(dispatcher: Dispatcher) {
    let slow = DeliveryConfig { timeout_seconds: 40, lease_seconds: 60, ..patient(16) };
    let dispatcher = dispatcher.again(slow).await;
    let (hanging, healthy) = (dispatcher.shop("inst_0").await, dispatcher.shop("inst_9").await);
    let instances = ["inst_0", "inst_1", "inst_2", "inst_3", "inst_4", "inst_5"];
    for instance in &instances[1..] {
        dispatcher.register(instance, &hanging.receiver.url()).await;
    }
    for number in 0..6 * 12 {
        dispatcher.issue(instances[number % 6]).await;
    }
    all_delivered_once(&dispatcher.db, 72).await;
    hanging.receiver.answer(Answer::hang());
    for number in 0..6 * 16 {
        dispatcher.issue(instances[number % 6]).await;
    }
    for _ in 0..10 {
        dispatcher.issue("inst_9").await;
    }
    healthy.receiver.wait_for_count(10, Duration::from_secs(10)).await.unwrap();
    let kept = || async { (count(&dispatcher.db, "pending").await == 96).then_some(()) };
    testkit::eventually("all that waits to be kept", WAIT, kept).await.unwrap();
    assert!(hanging.receiver.requests().len() > 72 + 6 * 4, "the windows were wide");
}

/// Until when deliveries are leased that are in flight.
async fn leases(db: &Db) -> Vec<i64> {
    let sql = "SELECT lease_until_ms FROM deliveries WHERE lease_until_ms > 0";
    let rows = db.read().query_all_raw(Statement::from_string(db.backend(), sql)).await.unwrap();
    rows.iter().map(|row| row.try_get_by_index(0).unwrap()).collect()
}

async fn one_is_in_flight(db: &Db) {
    let kept = || async { (leases(db).await.len() == 1).then_some(()) };
    testkit::eventually("a lease", WAIT, kept).await.unwrap();
}

async fn an_attempt_that_waits_for_its_receiver_is_kept_and_recorded(dispatcher: Dispatcher) {
    let shop = dispatcher.shop("inst_1").await;
    let slow = |status| Answer::status(status).after(Duration::from_secs(2));
    shop.receiver.script([slow(503), slow(204)]);
    dispatcher.issue("inst_1").await;
    one_is_in_flight(&dispatcher.db).await;
    assert_eq!(states(&dispatcher.db).await, [("pending".to_owned(), 1)]);
    assert!(outcomes(&dispatcher.db).await.is_empty());
    let failed = dispatcher.attempted("inst_1", 1).await;
    assert_eq!(failed.attempts[0].outcome, "server_error");
    assert!(leases(&dispatcher.db).await.is_empty());
    dispatcher.pass_until_due(&failed);
    let told = dispatcher.reaches("inst_1", "delivered").await;
    assert_eq!(told.delivery.unwrap().attempts, 2);
    assert_eq!(shop.receiver.requests().len(), 2);
}

async fn an_attempt_that_waited_when_its_replica_died_is_made_again_after_its_lease(dispatcher: Dispatcher) {
    let shop = dispatcher.shop("inst_1").await;
    shop.receiver.script([Answer::hang()]);
    dispatcher.issue("inst_1").await;
    one_is_in_flight(&dispatcher.db).await;
    dispatcher.kill_first();
    dispatcher.add_replica().await;
    assert!(shop.receiver.wait_for_count(2, Duration::from_secs(2)).await.is_err(), "it is leased");
    let requests = shop.receiver.wait_for_count(2, WAIT).await.unwrap();
    assert_eq!(requests[0].header("webhook-id"), requests[1].header("webhook-id"));
    let recorded = || async { (states(&dispatcher.db).await == [("delivered".to_owned(), 2)]).then_some(()) };
    testkit::eventually("one delivery of two attempts", WAIT, recorded).await.unwrap();
    assert_eq!(outcomes(&dispatcher.db).await, ["lost", "success"]);
    assert_eq!(shop.receiver.requests().len(), 2);
}

async fn no_more_is_taken_than_the_pipeline_holds(dispatcher: Dispatcher) {
    let dispatcher = dispatcher.again(patient(2)).await;
    let shop = dispatcher.shop("inst_1").await;
    let stopped = stop_the_store(&dispatcher.db).await;
    for _ in 0..40 {
        dispatcher.issue("inst_1").await;
    }
    shop.receiver.wait_for_count(8, WAIT).await.unwrap();
    assert!(shop.receiver.wait_for_count(9, Duration::from_secs(1)).await.is_err(), "the rest is on the bus");
    drop(stopped);
    shop.receiver.wait_for_count(40, WAIT).await.unwrap();
    all_delivered_once(&dispatcher.db, 40).await;
    assert_eq!(shop.receiver.requests().len(), 40);
}

async fn an_attempt_that_waited_and_could_not_be_kept_is_made_again_from_the_bus(dispatcher: Dispatcher) {
    let shop = dispatcher.shop("inst_1").await;
    shop.receiver.script([Answer::hang()]);
    let stopped = stop_the_store(&dispatcher.db).await;
    dispatcher.issue("inst_1").await;
    shop.receiver.wait_for_count(1, WAIT).await.unwrap();
    // Longer than until it is to be kept.
    assert!(shop.receiver.wait_for_count(2, Duration::from_secs(1)).await.is_err());
    dispatcher.kill_first();
    drop(stopped);
    dispatcher.add_replica().await;
    let requests = shop.receiver.wait_for_count(2, WAIT).await.unwrap();
    assert_eq!(requests[0].header("webhook-id"), requests[1].header("webhook-id"));
    let recorded = || async { (states(&dispatcher.db).await == [("delivered".to_owned(), 2)]).then_some(()) };
    testkit::eventually("one delivery of two attempts", WAIT, recorded).await.unwrap();
    assert_eq!(outcomes(&dispatcher.db).await, ["lost", "success"]);
}

/// Four shops with windows of four, and eight jobs from the store.
async fn two_replicas_hold_twice_as_much(dispatcher: Dispatcher) {
    let dispatcher = dispatcher.again(patient(2)).await;
    let shop = dispatcher.shop("inst_0").await;
    shop.receiver.answer(Answer::hang());
    let instances = ["inst_0", "inst_1", "inst_2", "inst_3"];
    for instance in &instances[1..] {
        dispatcher.register(instance, &shop.receiver.url()).await;
    }
    for number in 0..40 {
        dispatcher.issue(instances[number % 4]).await;
    }
    shop.receiver.wait_for_count(16, WAIT).await.unwrap();
    assert!(shop.receiver.wait_for_count(17, Duration::from_secs(1)).await.is_err(), "the windows are full");
    dispatcher.add_replica().await;
    shop.receiver.wait_for_count(24, WAIT).await.unwrap();
    assert!(shop.receiver.wait_for_count(33, Duration::from_secs(1)).await.is_err(), "so are the second's");
}

async fn two_replicas_tell_a_burst_once(dispatcher: Dispatcher) {
    let shop = dispatcher.shop("inst_1").await;
    dispatcher.add_replica().await;
    for _ in 0..200 {
        dispatcher.issue("inst_1").await;
    }
    all_delivered_once(&dispatcher.db, 200).await;
    assert_eq!(shop.receiver.requests().len(), 200);
}

/// A second replica, which knows the shop by heart; then the first one changes it and dies.
async fn knowing(dispatcher: &Dispatcher, shop: &Shop) {
    dispatcher.add_replica().await;
    for told in 1..=20 {
        dispatcher.issue("inst_1").await;
        shop.receiver.wait_for_count(told, WAIT).await.unwrap();
    }
    all_delivered_once(&dispatcher.db, 20).await;
}

async fn what_one_replica_disables_the_other_holds(dispatcher: Dispatcher) {
    let shop = dispatcher.shop("inst_1").await;
    knowing(&dispatcher, &shop).await;
    dispatcher.set_disabled("inst_1", true).await.unwrap();
    dispatcher.changes_announced(2).await;
    dispatcher.kill_first();
    // The notice and what is told come on two ways, so one may overtake the other; but soon, all is held.
    let held = || async {
        dispatcher.issue("inst_1").await;
        (count(&dispatcher.db, "held").await > 0).then_some(())
    };
    testkit::eventually("a delivery to be held", WAIT, held).await.unwrap();
}

async fn a_shop_that_moved_is_told_at_its_new_url_by_every_replica(dispatcher: Dispatcher) {
    let shop = dispatcher.shop("inst_1").await;
    knowing(&dispatcher, &shop).await;
    let new = Receiver::start().await.unwrap();
    dispatcher.tenant_changed(dispatcher.tenant("inst_1", &new.url(), 2)).await;
    dispatcher.changes_announced(2).await;
    dispatcher.kill_first();
    let told = || async {
        dispatcher.issue("inst_1").await;
        (!new.requests().is_empty()).then_some(())
    };
    testkit::eventually("the new URL to be told", WAIT, told).await.unwrap();
}

/// What has settled is listed and forgotten by the primary key, what is open by small indexes: neither reads the rest.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_read_often_is_read_by_an_index() {
    let dispatcher = Dispatcher::start(On::Servers).await;
    fill(&dispatcher.db).await;
    for (index, sql) in [
        (
            "deliveries_due",
            "SELECT id FROM deliveries AS due WHERE due.state = 'pending' AND due.next_attempt_at_ms <= 5 \
             AND due.lease_until_ms < 5 ORDER BY due.next_attempt_at_ms, due.id LIMIT 128 FOR UPDATE SKIP LOCKED",
        ),
        (
            "deliveries_open",
            "SELECT id FROM deliveries WHERE endpoint_id = 'ep_7' AND settled_at_ms IS NULL AND state = 'pending'",
        ),
        ("deliveries_held", "SELECT id FROM deliveries WHERE state = 'held' AND held_since_ms < 5"),
        ("deliveries_pkey", "SELECT * FROM deliveries ORDER BY id DESC LIMIT 20"),
        (
            "deliveries_of_instance",
            "SELECT * FROM deliveries WHERE instance_id = 'inst_7' ORDER BY id DESC LIMIT 20",
        ),
        (
            "deliveries_pkey",
            "SELECT id, message_id FROM deliveries WHERE id < 'dly_00000500' AND settled_at_ms < 5 ORDER BY id LIMIT 500",
        ),
    ] {
        let plan = explain(&dispatcher.db, sql).await;
        assert!(plan.contains(index) && !plan.contains("Seq Scan"), "{sql}\n{plan}");
    }
}

/// 20,000 deliveries, of which one in a hundred is open.
async fn fill(db: &Db) {
    let sql = "INSERT INTO deliveries (id, message_id, endpoint_id, instance_id, event, state, attempts, lease_token, \
               failures, next_attempt_at_ms, lease_until_ms, held_since_ms, created_at_ms, settled_at_ms) \
               SELECT 'dly_' || lpad(n::text, 8, '0'), 'msg_' || n, 'ep_' || n % 100, 'inst_' || n % 100, \
               'license-issued', CASE WHEN n % 200 = 0 THEN 'pending' WHEN n % 200 = 1 THEN 'held' \
               ELSE 'delivered' END, 1, 1, 0, n, 9223372036854775807, CASE WHEN n % 200 = 1 THEN n END, n, \
               CASE WHEN n % 200 > 1 THEN n END FROM generate_series(1, 20000) AS n";
    db.write().execute_unprepared(sql).await.unwrap();
    db.write().execute_unprepared("ANALYZE deliveries").await.unwrap();
}

async fn explain(db: &Db, sql: &str) -> String {
    let sql = Statement::from_string(db.backend(), format!("EXPLAIN {sql}"));
    let rows = db.read().query_all_raw(sql).await.unwrap();
    let lines: Vec<String> = rows.iter().map(|row| row.try_get_by_index(0).unwrap()).collect();
    lines.join("\n")
}
