//! Replicas that die or freeze in the middle of an attempt.

use platform::db::Db;
use sea_orm::{ConnectionTrait as _, Statement};
use testkit::receiver::{Answer, Receiver};
use webhook_dispatcher::{
    domain::delivery::State,
    store::{
        delivery,
        lease::{self, Claim, Lease},
    },
};

use crate::harness::{Dispatcher, WAIT};

over_both! {
    a_killed_replicas_work_is_taken_over,
    a_frozen_replicas_late_result_changes_nothing_and_is_recorded,
    two_replicas_share_the_work,
    a_lease_that_is_given_back_twice_takes_no_other_replicas,
}

async fn a_killed_replicas_work_is_taken_over(dispatcher: Dispatcher) {
    let shop = dispatcher.shop("inst_1").await;
    shop.receiver.script([Answer::hang()]);
    dispatcher.issue("inst_1").await;
    shop.receiver.wait_for_count(1, WAIT).await.unwrap();
    dispatcher.kill_first();
    dispatcher.add_replica().await;
    let requests = shop.receiver.wait_for_count(2, WAIT).await.unwrap();
    assert_eq!(requests[0].header("webhook-id"), requests[1].header("webhook-id"));
    let settled = || async {
        let row = states(&dispatcher.db).await;
        (row == [("delivered".to_owned(), 2)]).then_some(())
    };
    testkit::eventually("the delivery", WAIT, settled).await.unwrap();
    assert_eq!(outcomes(&dispatcher.db).await, ["lost", "success"]);
}

async fn a_frozen_replicas_late_result_changes_nothing_and_is_recorded(dispatcher: Dispatcher) {
    let shop = dispatcher.shop("inst_1").await;
    let late = Answer::status(500).after(std::time::Duration::from_secs(2));
    shop.receiver.script([Answer::status(503), late]);
    dispatcher.issue("inst_1").await;
    let failed = dispatcher.attempted("inst_1", 1).await;
    dispatcher.pass_until_due(&failed);
    shop.receiver.wait_for_count(2, WAIT).await.unwrap();
    // While the replica was frozen, its lease ran out; the change of another instance wakes the claimer.
    dispatcher.db.write().execute_unprepared("UPDATE deliveries SET lease_until_ms = 1").await.unwrap();
    dispatcher.register("inst_2", &Receiver::start().await.unwrap().url()).await;
    let taken_over = dispatcher.reaches("inst_1", "delivered").await;
    assert_eq!(taken_over.attempts[1].outcome, "lost");

    let late = dispatcher
        .newest("inst_1", "the late result", |detail| detail.attempts[1].outcome == "server_error")
        .await;
    let delivery = late.delivery.unwrap();
    assert_eq!((delivery.state.as_str(), delivery.attempts), ("delivered", 3));
    assert_eq!((late.attempts[1].status, late.attempts[2].status), (Some(500), Some(204)));
}

async fn two_replicas_share_the_work(dispatcher: Dispatcher) {
    let shop = dispatcher.shop("inst_1").await;
    dispatcher.set_disabled("inst_1", true).await.unwrap();
    dispatcher.add_replica().await;
    for _ in 0..60 {
        dispatcher.issue("inst_1").await;
    }
    let all_held = || async {
        let held = states(&dispatcher.db).await.iter().filter(|(state, _)| state == "held").count();
        (held == 60).then_some(())
    };
    testkit::eventually("60 held deliveries", WAIT, all_held).await.unwrap();
    dispatcher.set_disabled("inst_1", false).await.unwrap();
    let requests = shop.receiver.wait_for_count(60, WAIT).await.unwrap();
    let all_delivered = || async {
        let once = ("delivered".to_owned(), 1);
        states(&dispatcher.db).await.iter().all(|row| *row == once).then_some(())
    };
    testkit::eventually("60 deliveries of one attempt", WAIT, all_delivered).await.unwrap();
    let mut ids: Vec<_> = requests.iter().map(|request| request.header("webhook-id").unwrap()).collect();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!((ids.len(), shop.receiver.requests().len()), (60, 60));
}

/// The commit that gave it back was in doubt, so it is given back again; meanwhile another replica has claimed it.
async fn a_lease_that_is_given_back_twice_takes_no_other_replicas(dispatcher: Dispatcher) {
    let due_ms = dispatcher.clock.now_ms() + 3_600_000;
    delivery::create(dispatcher.db.write(), waiting(due_ms)).await.unwrap();
    let first = claim(&dispatcher.db, due_ms).await;
    assert_eq!(give_back(&dispatcher.db, &first).await, 1);
    let second = claim(&dispatcher.db, due_ms).await;
    assert_eq!((first.attempt, second.attempt), (1, 1), "the attempt that was not made has no number");
    assert!(second.token > first.token, "{first:?} {second:?}");

    assert_eq!(give_back(&dispatcher.db, &first).await, 0);
    assert!(!lease::retry(dispatcher.db.write(), &first, due_ms).await.unwrap());
    assert!(lease::retry(dispatcher.db.write(), &second, due_ms).await.unwrap());
}

async fn give_back(db: &Db, lease: &Lease) -> usize {
    lease::give_back(db.write(), std::slice::from_ref(lease)).await.unwrap()
}

async fn claim(db: &Db, now_ms: i64) -> Lease {
    let all = Claim { now_ms, lease_ms: 60_000, limit: 1, busy: &[] };
    Lease::of(&lease::claim(db.write(), &all).await.unwrap()[0])
}

/// A delivery that the running replica does not find due.
fn waiting(due_ms: i64) -> delivery::Model {
    delivery::Model {
        id: "dly_1".to_owned(),
        message_id: "msg_1".to_owned(),
        endpoint_id: "ep_1".to_owned(),
        instance_id: "inst_1".to_owned(),
        event: "license-issued".to_owned(),
        state: State::Pending.as_str().to_owned(),
        attempts: 0,
        lease_token: 0,
        failures: 0,
        next_attempt_at_ms: due_ms,
        lease_until_ms: 0,
        held_since_ms: None,
        dead_reason: None,
        created_at_ms: due_ms,
        settled_at_ms: None,
        kind: "webhook".to_owned(),
        marketplace_id: None,
        installation_id: None,
        serial: None,
        sequence: None,
        give_up_at_ms: None,
    }
}

/// State and attempts of each delivery.
pub(crate) async fn states(db: &Db) -> Vec<(String, i64)> {
    let sql = Statement::from_string(db.backend(), "SELECT state, attempts FROM deliveries");
    let rows = db.read().query_all_raw(sql).await.unwrap();
    rows.iter().map(|row| (row.try_get("", "state").unwrap(), row.try_get("", "attempts").unwrap())).collect()
}

pub(crate) async fn outcomes(db: &Db) -> Vec<String> {
    let sql = Statement::from_string(db.backend(), "SELECT outcome FROM attempts ORDER BY number");
    let rows = db.read().query_all_raw(sql).await.unwrap();
    rows.iter().map(|row| row.try_get("", "outcome").unwrap()).collect()
}
