//! Shops that move while they are being told something.

use std::time::Duration;

use proto::webhooks::DeliveryDetail;
use testkit::receiver::{Answer, Receiver};

use crate::harness::{Dispatcher, Shop, WAIT};

over_both! {
    a_410_of_the_old_url_disables_nothing_and_the_new_one_is_told_at_once,
    a_retry_after_of_the_old_url_delays_nothing_at_the_new_one,
    the_last_failure_at_the_old_url_is_no_death,
    what_waits_when_a_shop_moves_is_due_at_once,
}

/// Long enough for the move to be taken in before the old URL has answered.
const MEANWHILE: Duration = Duration::from_secs(2);

/// Moves the instance's shop to a new receiver and waits until the dispatcher knows.
async fn move_shop(dispatcher: &Dispatcher) -> Receiver {
    let new = Receiver::start().await.unwrap();
    dispatcher.tenant_changed(dispatcher.tenant("inst_1", &new.url(), 2)).await;
    let moved = || async { dispatcher.endpoint("inst_1").await.filter(|it| it.base_url == new.url()) };
    testkit::eventually("the move", WAIT, moved).await.unwrap();
    new
}

/// The old URL gives this answer once the shop has moved; the clock stands still until the new one was told.
async fn answered_after_the_move(
    dispatcher: &Dispatcher,
    shop: &Shop,
    answer: Answer,
) -> (DeliveryDetail, Receiver) {
    shop.receiver.answer(answer.after(MEANWHILE));
    dispatcher.issue("inst_1").await;
    shop.receiver.wait_for_count(1, WAIT).await.unwrap();
    let new = move_shop(dispatcher).await;
    let told = dispatcher.reaches("inst_1", "delivered").await;
    assert_eq!(new.requests().len(), 1);
    (told, new)
}

fn statuses(detail: &DeliveryDetail) -> Vec<Option<u32>> {
    detail.attempts.iter().map(|attempt| attempt.status).collect()
}

async fn a_410_of_the_old_url_disables_nothing_and_the_new_one_is_told_at_once(dispatcher: Dispatcher) {
    let shop = dispatcher.shop("inst_1").await;
    let (told, _new) = answered_after_the_move(&dispatcher, &shop, Answer::status(410)).await;
    assert_eq!(statuses(&told), [Some(410), Some(204)]);
    assert!(!dispatcher.endpoint("inst_1").await.unwrap().disabled);
}

async fn a_retry_after_of_the_old_url_delays_nothing_at_the_new_one(dispatcher: Dispatcher) {
    let shop = dispatcher.shop("inst_1").await;
    let busy = Answer::status(429).header("retry-after", "3600");
    let (told, _new) = answered_after_the_move(&dispatcher, &shop, busy).await;
    assert_eq!(statuses(&told), [Some(429), Some(204)]);
    dispatcher.clock.advance(Duration::from_secs(1));
    dispatcher.issue("inst_1").await;
    let next = |it: &DeliveryDetail| {
        let delivery = it.delivery.as_ref().unwrap();
        (delivery.state.as_str(), delivery.attempts) == ("delivered", 1)
    };
    dispatcher.newest("inst_1", "the next delivery", next).await;
}

async fn the_last_failure_at_the_old_url_is_no_death(dispatcher: Dispatcher) {
    let shop = dispatcher.shop("inst_1").await;
    shop.receiver.answer(Answer::status(500));
    dispatcher.issue("inst_1").await;
    for number in 1..=4 {
        let failed = dispatcher.attempted("inst_1", number).await;
        dispatcher.pass_until_due(&failed);
    }
    let fifth = dispatcher.attempted("inst_1", 5).await;
    shop.receiver.answer(Answer::status(500).after(MEANWHILE));
    dispatcher.pass_until_due(&fifth);
    shop.receiver.wait_for_count(6, WAIT).await.unwrap();
    let _new = move_shop(&dispatcher).await;
    assert_eq!(dispatcher.reaches("inst_1", "delivered").await.attempts.len(), 7);
}

async fn what_waits_when_a_shop_moves_is_due_at_once(dispatcher: Dispatcher) {
    let shop = dispatcher.shop("inst_1").await;
    shop.receiver.answer(Answer::status(503).header("retry-after", "3600"));
    dispatcher.issue("inst_1").await;
    dispatcher.attempted("inst_1", 1).await;
    let new = move_shop(&dispatcher).await;
    dispatcher.reaches("inst_1", "delivered").await;
    assert_eq!(new.requests().len(), 1);
}
