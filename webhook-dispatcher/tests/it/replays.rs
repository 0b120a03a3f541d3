//! Replays: what was given up, or lost by a shop, is sent again by a job.

use std::{collections::BTreeMap, time::Duration};

use platform::Code;
use proto::webhooks::{CreateReplayRequest, ListReplaysRequest, Replay};
use wire::open2b::Operation;

use crate::harness::{Dispatcher, Shop, WAIT};

over_both! {
    the_dead_of_one_endpoint_are_sent_again,
    all_of_a_time_are_sent_again_under_their_ids,
    a_replay_keeps_its_rate,
    a_cancelled_replay_goes_no_further,
    the_same_request_is_the_same_replay,
    what_cannot_be_sent_again_is_left_and_counted,
    bad_replays_say_what_would_be_right,
}

const DEAD: &str =
    "UPDATE deliveries SET state = 'dead', dead_reason = '6 attempts failed; the last one: timeout'";

/// All dead ones since the beginning.
fn failed() -> CreateReplayRequest {
    CreateReplayRequest { which: "failed".to_owned(), since_ms: 1, ..Default::default() }
}

impl Dispatcher {
    async fn tell(&self, instance_id: &str, count: usize) {
        let before = self.delivered(instance_id).await;
        for _ in 0..count {
            self.issue(instance_id).await;
        }
        self.all_delivered(instance_id, before + count).await;
    }

    async fn delivered(&self, instance_id: &str) -> usize {
        let all = self.deliveries_to(instance_id).await;
        all.iter().filter(|one| one.state == "delivered").count()
    }

    async fn all_delivered(&self, instance_id: &str, count: usize) {
        let delivered = || async { (self.delivered(instance_id).await == count).then_some(()) };
        testkit::eventually("all to be delivered", WAIT, delivered).await.unwrap();
    }

    async fn replay_when(&self, id: &str, what: &str, wanted: impl Fn(&Replay) -> bool) -> Replay {
        let look = || async { Some(self.get_replay(id).await.unwrap()).filter(&wanted) };
        testkit::eventually(what, WAIT, look).await.unwrap()
    }

    async fn done(&self, id: &str) -> Replay {
        self.replay_when(id, "the end of the replay", |replay| replay.state == "done").await
    }
}

/// How often each delivery came to the shop.
fn received(shop: &Shop) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::new();
    for request in shop.receiver.requests() {
        *counts.entry(request.header("webhook-id").unwrap().to_owned()).or_default() += 1;
    }
    counts
}

async fn the_dead_of_one_endpoint_are_sent_again(dispatcher: Dispatcher) {
    let (shop, other) = (dispatcher.shop("inst_1").await, dispatcher.shop("inst_2").await);
    dispatcher.tell("inst_1", 3).await;
    dispatcher.tell("inst_2", 2).await;
    dispatcher.change(DEAD).await;
    dispatcher.tell("inst_1", 1).await;

    let endpoint_id = dispatcher.endpoint("inst_1").await.map(|endpoint| endpoint.endpoint_id);
    let replay = dispatcher.create_replay(CreateReplayRequest { endpoint_id, ..failed() }).await.unwrap();
    assert_eq!((replay.state.as_str(), replay.rate_per_second), ("running", 50));
    let done = dispatcher.done(&replay.replay_id).await;
    assert_eq!((done.found, done.replayed, done.finished_at_ms.is_some()), (3, 3, true));
    dispatcher.all_delivered("inst_1", 4).await;
    let mut counts: Vec<usize> = received(&shop).into_values().collect();
    counts.sort_unstable();
    assert_eq!(counts, [1, 2, 2, 2], "what was not dead is not sent again");
    assert!(received(&other).values().all(|count| *count == 1));
    let mut dead = dispatcher.deliveries_to("inst_2").await.into_iter();
    assert!(
        dead.all(|delivery| delivery.state == "dead" && delivery.dead_class.as_deref() == Some("timeout"))
    );
}

async fn all_of_a_time_are_sent_again_under_their_ids(dispatcher: Dispatcher) {
    let shop = dispatcher.shop("inst_1").await;
    dispatcher.tell("inst_1", 2).await;
    dispatcher.clock.advance(Duration::from_mins(1));
    let since_ms = dispatcher.clock.now_ms();
    dispatcher.clock.advance(Duration::from_mins(1));
    let before = received(&shop);
    dispatcher.tell("inst_1", 3).await;

    let all = CreateReplayRequest { which: "all".to_owned(), since_ms, ..Default::default() };
    let replay = dispatcher.create_replay(all).await.unwrap();
    let done = dispatcher.done(&replay.replay_id).await;
    assert_eq!((done.found, done.replayed, done.until_ms), (3, 3, dispatcher.clock.now_ms() + 1));
    let again = || async { (shop.receiver.requests().len() == 8).then_some(()) };
    testkit::eventually("three more requests", WAIT, again).await.unwrap();
    for (id, count) in received(&shop) {
        assert_eq!(count, if before.contains_key(&id) { 1 } else { 2 });
    }
    dispatcher.all_delivered("inst_1", 5).await;
}

async fn a_replay_keeps_its_rate(dispatcher: Dispatcher) {
    let _shop = dispatcher.shop("inst_1").await;
    dispatcher.tell("inst_1", 5).await;
    dispatcher.change(DEAD).await;
    let slow = CreateReplayRequest { rate_per_second: Some(2), ..failed() };
    let id = dispatcher.create_replay(slow).await.unwrap().replay_id;
    for (replayed, state) in [(2, "running"), (4, "running"), (5, "done")] {
        let there = dispatcher.replay_when(&id, "the next step", |replay| replay.replayed >= replayed).await;
        assert_eq!(
            (there.replayed, there.state.as_str()),
            (replayed, state),
            "no sooner than a second later"
        );
        dispatcher.clock.advance(Duration::from_secs(1));
    }
}

async fn a_cancelled_replay_goes_no_further(dispatcher: Dispatcher) {
    let shop = dispatcher.shop("inst_1").await;
    dispatcher.tell("inst_1", 3).await;
    dispatcher.change(DEAD).await;
    let slow = CreateReplayRequest { rate_per_second: Some(1), ..failed() };
    let id = dispatcher.create_replay(slow).await.unwrap().replay_id;
    dispatcher.replay_when(&id, "the first step", |replay| replay.replayed == 1).await;
    for _ in 0..2 {
        let cancelled = dispatcher.cancel_replay(&id).await.unwrap();
        assert_eq!((cancelled.state.as_str(), cancelled.replayed), ("cancelled", 1));
    }
    dispatcher.clock.advance(Duration::from_hours(1));
    let next = dispatcher.create_replay(CreateReplayRequest { rate_per_second: Some(2), ..failed() }).await;
    let next = dispatcher.done(&next.unwrap().replay_id).await;
    assert_eq!(next.replayed, 2, "the first one has left the other two");
    dispatcher.all_delivered("inst_1", 3).await;
    assert!(received(&shop).values().all(|count| *count == 2));
    let over = dispatcher.cancel_replay(&next.replay_id).await.unwrap_err();
    assert_eq!(
        (over.code(), over.message()),
        (Code::Conflict, "this replay is done; there is nothing left to cancel")
    );
}

async fn the_same_request_is_the_same_replay(dispatcher: Dispatcher) {
    let _shop = dispatcher.shop("inst_1").await;
    dispatcher.tell("inst_1", 3).await;
    dispatcher.change(DEAD).await;
    let slow = CreateReplayRequest { rate_per_second: Some(1), ..failed() };
    let keyed = CreateReplayRequest { idempotency_key: Some("once".to_owned()), ..slow.clone() };
    let first = dispatcher.create_replay(keyed.clone()).await.unwrap();
    for same in [&keyed, &slow] {
        assert_eq!(dispatcher.create_replay(same.clone()).await.unwrap().replay_id, first.replay_id);
    }
    let other = CreateReplayRequest { since_ms: 2, ..keyed.clone() };
    let refused = dispatcher.create_replay(other).await.unwrap_err();
    assert_eq!(refused.code(), Code::Conflict);
    assert!(refused.message().contains("use a new key"), "{refused}");

    dispatcher.cancel_replay(&first.replay_id).await.unwrap();
    let again = dispatcher.create_replay(keyed).await.unwrap();
    assert_eq!(again.replay_id, first.replay_id, "its key outlives it");
    dispatcher.clock.advance(Duration::from_secs(1));
    let anew = dispatcher.create_replay(slow).await.unwrap();
    assert_ne!(anew.replay_id, first.replay_id);
    let state = Some("cancelled".to_owned());
    let cancelled = dispatcher.replays(ListReplaysRequest { state, ..Default::default() }).await.unwrap();
    assert_eq!((cancelled.count, &cancelled.replays[0].replay_id), (1, &first.replay_id));
    let page = ListReplaysRequest { limit: 1, ..Default::default() };
    let newest = dispatcher.replays(page.clone()).await.unwrap();
    let after = newest.stretch.unwrap().next;
    let older = dispatcher.replays(ListReplaysRequest { after, ..page }).await.unwrap();
    assert_eq!(newest.replays[0].replay_id, anew.replay_id);
    assert_eq!((&older.replays[0].replay_id, older.stretch.unwrap().next), (&first.replay_id, None));
}

async fn what_cannot_be_sent_again_is_left_and_counted(dispatcher: Dispatcher) {
    let (_app, _shop, _off) =
        (dispatcher.app().await, dispatcher.shop("inst_1").await, dispatcher.shop("inst_2").await);
    dispatcher.tell("inst_1", 2).await;
    dispatcher.tell("inst_2", 1).await;
    dispatcher.call_back("inst_1", Operation::Install, 1).await;
    dispatcher.settled("inst_1", 1).await;
    dispatcher.set_disabled("inst_2", true).await.unwrap();
    dispatcher.change(DEAD).await;
    let gone = dispatcher.deliveries_to("inst_1").await;
    let gone = gone.iter().find(|delivery| delivery.kind == "webhook").unwrap();
    let wiped = format!("UPDATE messages SET sealed_body = '' WHERE id = '{}'", gone.message_id);
    dispatcher.change(&wiped).await;

    let id = dispatcher.create_replay(failed()).await.unwrap().replay_id;
    let done = dispatcher.done(&id).await;
    assert_eq!((done.found, done.replayed, done.skipped_disabled), (4, 1, 1));
    assert_eq!((done.skipped_settled, done.skipped_in_flight, done.skipped_body_gone), (1, 0, 1));
    let one = dispatcher.replay(&gone.delivery_id).await.unwrap_err();
    assert_eq!(one.code(), Code::Conflict);
    assert!(one.message().contains("was kept for 30 days and is gone"), "{one}");
}

async fn bad_replays_say_what_would_be_right(dispatcher: Dispatcher) {
    let future = dispatcher.clock.now_ms() + 1_000;
    let bad = [
        (CreateReplayRequest { which: "some".to_owned(), ..failed() }, "failed (the dead ones) or all"),
        (CreateReplayRequest { rate_per_second: Some(1_001), ..failed() }, "from 1 to 1000"),
        (CreateReplayRequest { rate_per_second: Some(0), ..failed() }, "from 1 to 1000"),
        (CreateReplayRequest { since_ms: future, ..failed() }, "since must be before until, and in the past"),
        (CreateReplayRequest { since_ms: 5, until_ms: Some(5), ..failed() }, "since must be before until"),
        (CreateReplayRequest { idempotency_key: Some("k".repeat(256)), ..failed() }, "1 to 255 characters"),
    ];
    for (ask, right) in bad {
        let error = dispatcher.create_replay(ask).await.unwrap_err();
        assert_eq!(error.code(), Code::InvalidData);
        assert!(error.message().contains(right), "{error}");
    }
    let nowhere = CreateReplayRequest { endpoint_id: Some("ep_none".to_owned()), ..failed() };
    assert_eq!(dispatcher.create_replay(nowhere).await.unwrap_err().code(), Code::NotFound);
    assert_eq!(dispatcher.get_replay("rpl_none").await.unwrap_err().code(), Code::NotFound);
    assert_eq!(dispatcher.cancel_replay("rpl_none").await.unwrap_err().code(), Code::NotFound);
}
