//! Endpoints follow their instances; disabled ones hold.

use std::time::Duration;

use platform::Code;
use proto::events::{DeliveryDead, subject};
use testkit::receiver::{Answer, Receiver};

use crate::harness::{Dispatcher, WAIT};

const DAY: Duration = Duration::from_hours(24);

over_both! {
    an_older_revision_changes_nothing,
    a_disabled_endpoint_holds_until_it_is_enabled,
    a_disabled_instance_holds_and_only_itself_is_enabled,
    what_is_held_too_long_is_given_up_and_what_is_settled_is_forgotten,
    an_old_delivery_is_held_as_long_as_a_new_one,
}

async fn an_older_revision_changes_nothing(dispatcher: Dispatcher) {
    let (old, new) = (Receiver::start().await.unwrap(), Receiver::start().await.unwrap());
    dispatcher.tenant_changed(dispatcher.tenant("inst_1", &new.url(), 5)).await;
    let known = || async { dispatcher.endpoint("inst_1").await };
    testkit::eventually("the endpoint", WAIT, known).await.unwrap();
    dispatcher.tenant_changed(dispatcher.tenant("inst_1", &old.url(), 4)).await;
    // Known once this later change is: the older one was handed out before it.
    dispatcher.register("inst_2", &old.url()).await;
    dispatcher.issue("inst_1").await;
    dispatcher.reaches("inst_1", "delivered").await;
    assert_eq!((old.requests().len(), new.requests().len()), (0, 1));
}

async fn a_disabled_endpoint_holds_until_it_is_enabled(dispatcher: Dispatcher) {
    let shop = dispatcher.shop("inst_1").await;
    let disabled = dispatcher.set_disabled("inst_1", true).await.unwrap();
    assert_eq!((disabled.disabled, disabled.disabled_reason.as_deref()), (true, Some("operator")));
    dispatcher.issue("inst_1").await;
    let held = dispatcher.reaches("inst_1", "held").await.delivery.unwrap();
    assert_eq!((held.attempts, held.next_attempt_at_ms), (0, None));
    let refused = dispatcher.replay(&held.delivery_id).await.unwrap_err();
    assert_eq!(refused.code(), Code::Conflict);
    assert!(shop.receiver.requests().is_empty());

    dispatcher.set_disabled("inst_1", false).await.unwrap();
    dispatcher.reaches("inst_1", "delivered").await;
    assert_eq!(shop.receiver.requests().len(), 1);
}

async fn a_disabled_instance_holds_and_only_itself_is_enabled(dispatcher: Dispatcher) {
    let shop = dispatcher.shop("inst_1").await;
    let mut change = dispatcher.tenant("inst_1", &shop.receiver.url(), 2);
    change.disabled = true;
    dispatcher.tenant_changed(change).await;
    let disabled = || async { dispatcher.endpoint("inst_1").await.filter(|endpoint| endpoint.disabled) };
    let endpoint = testkit::eventually("the change", WAIT, disabled).await.unwrap();
    assert_eq!(endpoint.disabled_reason.as_deref(), Some("instance"));
    dispatcher.issue("inst_1").await;
    dispatcher.reaches("inst_1", "held").await;
    assert_eq!(dispatcher.set_disabled("inst_1", false).await.unwrap_err().code(), Code::Conflict);

    dispatcher.tenant_changed(dispatcher.tenant("inst_1", &shop.receiver.url(), 3)).await;
    dispatcher.reaches("inst_1", "delivered").await;
}

async fn what_is_held_too_long_is_given_up_and_what_is_settled_is_forgotten(dispatcher: Dispatcher) {
    let _shop = dispatcher.shop("inst_1").await;
    dispatcher.set_disabled("inst_1", true).await.unwrap();
    dispatcher.issue("inst_1").await;
    dispatcher.reaches("inst_1", "held").await;
    dispatcher.clock.advance(31 * DAY);
    let dead = dispatcher.reaches("inst_1", "dead").await.delivery.unwrap();
    assert_eq!(dead.dead_reason.as_deref(), Some("held longer than deliveries are kept"));
    let told: DeliveryDead = dispatcher.announcement(subject::DELIVERY_DEAD).await;
    assert_eq!(told.delivery_id, dead.delivery_id);

    dispatcher.clock.advance(31 * DAY);
    forgets(&dispatcher, "inst_1").await;
}

/// Each look lets an hour pass: the next round may not have been waiting yet when the days passed.
async fn forgets(dispatcher: &Dispatcher, instance_id: &str) {
    let gone = || async {
        dispatcher.clock.advance(Duration::from_hours(1));
        dispatcher.deliveries_to(instance_id).await.is_empty().then_some(())
    };
    testkit::eventually("the delivery to be forgotten", WAIT, gone).await.unwrap();
}

async fn an_old_delivery_is_held_as_long_as_a_new_one(dispatcher: Dispatcher) {
    let shop = dispatcher.shop("inst_1").await;
    dispatcher.register("inst_2", &shop.receiver.url()).await;
    for instance in ["inst_1", "inst_2"] {
        dispatcher.issue(instance).await;
        dispatcher.reaches(instance, "delivered").await;
    }
    let old = dispatcher.deliveries_to("inst_1").await.remove(0);
    dispatcher.clock.advance(29 * DAY);
    shop.receiver.answer(Answer::status(410));
    dispatcher.replay(&old.delivery_id).await.unwrap();
    dispatcher.reaches("inst_1", "held").await;

    // The round that forgets the other one has looked at what is held before.
    dispatcher.clock.advance(2 * DAY);
    forgets(&dispatcher, "inst_2").await;
    assert_eq!(dispatcher.deliveries_to("inst_1").await[0].state, "held");
    dispatcher.clock.advance(30 * DAY);
    let aged = || async {
        dispatcher.clock.advance(Duration::from_hours(1));
        (dispatcher.deliveries_to("inst_1").await[0].state == "dead").then_some(())
    };
    testkit::eventually("the delivery to age out", WAIT, aged).await.unwrap();
}
