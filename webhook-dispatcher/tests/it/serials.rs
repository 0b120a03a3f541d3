//! The callbacks of one app and shop: one after the other, the latest wins.

use std::time::Duration;

use platform::Code;
use proto::webhooks::DeliveryDetail;
use testkit::receiver::Answer;
use wire::open2b::Operation::{self, Install, Remove, Update};

use crate::{
    apps::HostedApp,
    harness::{Dispatcher, WAIT},
};

over_both! {
    a_removal_waits_for_an_install_in_flight,
    a_removal_takes_the_place_of_an_install_that_waits,
    an_install_in_flight_that_fails_makes_room_instead_of_being_retried,
    an_answer_decides_an_install_whatever_waits_for_it,
    an_install_takes_the_place_of_a_pending_removal,
    a_callback_that_comes_after_a_later_one_is_never_made,
    shops_do_not_wait_for_each_other,
    a_killed_replicas_install_makes_room,
    a_killed_replicas_install_settles,
    of_many_at_once_over_two_replicas_the_latest_is_made_last,
}

/// Long enough for the next callback to be taken in before this one has ended.
const MEANWHILE: Duration = Duration::from_secs(2);

async fn in_flight(dispatcher: &Dispatcher, app: &HostedApp, answer: Answer) {
    app.receiver.script([answer]);
    dispatcher.call_back("inst_1", Install, 1).await;
    app.receiver.wait_for_count(1, WAIT).await.unwrap();
}

async fn outcome(dispatcher: &Dispatcher, sequence: u64) -> (String, u32, bool) {
    let settled = dispatcher.settled("inst_1", sequence).await;
    (settled.outcome, settled.attempts, settled.may_have_arrived)
}

fn ended(outcome: &str, attempts: u32, may_have_arrived: bool) -> (String, u32, bool) {
    (outcome.to_owned(), attempts, may_have_arrived)
}

async fn taken(dispatcher: &Dispatcher, operation: Operation) -> DeliveryDetail {
    dispatcher.called("inst_1", operation, "the callback to be taken in", |_| true).await
}

async fn a_removal_waits_for_an_install_in_flight(dispatcher: Dispatcher) {
    let app = dispatcher.app().await;
    in_flight(&dispatcher, &app, Answer::status(200).after(MEANWHILE)).await;
    dispatcher.call_back("inst_1", Remove, 2).await;
    let waiting = taken(&dispatcher, Remove).await.delivery.unwrap();
    assert_eq!((waiting.state.as_str(), waiting.attempts), ("pending", 0));
    assert_eq!(outcome(&dispatcher, 2).await, ended("delivered", 1, false));
    assert_eq!(outcome(&dispatcher, 1).await, ended("delivered", 1, false));
    assert_eq!(app.operations(), [Install, Remove]);
    let settled = dispatcher.all_settled(2).await;
    assert_eq!(settled.iter().map(|one| one.sequence).collect::<Vec<_>>(), [1, 2]);
}

async fn a_removal_takes_the_place_of_an_install_that_waits(dispatcher: Dispatcher) {
    let app = dispatcher.app().await;
    app.receiver.script([Answer::reset()]);
    dispatcher.call_back("inst_1", Install, 1).await;
    dispatcher.attempted("inst_1", 1).await;
    dispatcher.call_back("inst_1", Remove, 2).await;
    assert_eq!(outcome(&dispatcher, 1).await, ended("superseded", 1, true));
    assert_eq!(outcome(&dispatcher, 2).await, ended("delivered", 1, false));
    let superseded = taken(&dispatcher, Install).await.delivery.unwrap();
    assert_eq!(superseded.state, "superseded");
    let refused = dispatcher.replay(&superseded.delivery_id).await.unwrap_err();
    assert_eq!(refused.code(), Code::Conflict);
    assert!(refused.message().contains("a later callback"), "{refused}");
    dispatcher.clock.advance(Duration::from_hours(1));
    dispatcher.all_settled(2).await;
    assert_eq!(app.operations(), [Install, Remove]);
}

async fn an_install_in_flight_that_fails_makes_room_instead_of_being_retried(dispatcher: Dispatcher) {
    let app = dispatcher.app().await;
    in_flight(&dispatcher, &app, Answer::reset().after(MEANWHILE)).await;
    dispatcher.call_back("inst_1", Remove, 2).await;
    assert_eq!(outcome(&dispatcher, 2).await, ended("delivered", 1, false));
    assert_eq!(outcome(&dispatcher, 1).await, ended("superseded", 1, true));
    assert_eq!(app.operations(), [Install, Remove]);
}

async fn an_answer_decides_an_install_whatever_waits_for_it(dispatcher: Dispatcher) {
    let app = dispatcher.app().await;
    in_flight(&dispatcher, &app, Answer::status(500).after(MEANWHILE)).await;
    dispatcher.call_back("inst_1", Remove, 2).await;
    assert_eq!(outcome(&dispatcher, 1).await, ended("refused", 1, false));
    assert_eq!(outcome(&dispatcher, 2).await, ended("delivered", 1, false));
}

async fn an_install_takes_the_place_of_a_pending_removal(dispatcher: Dispatcher) {
    let app = dispatcher.app().await;
    app.receiver.script([Answer::status(500)]);
    dispatcher.call_back("inst_1", Remove, 4).await;
    dispatcher.attempted("inst_1", 1).await;
    dispatcher.call_back("inst_1", Install, 5).await;
    assert_eq!(outcome(&dispatcher, 4).await, ended("superseded", 1, false));
    assert_eq!(outcome(&dispatcher, 5).await, ended("delivered", 1, false));
    assert_eq!(app.operations(), [Remove, Install]);
}

async fn a_callback_that_comes_after_a_later_one_is_never_made(dispatcher: Dispatcher) {
    let app = dispatcher.app().await;
    dispatcher.call_back("inst_1", Remove, 9).await;
    assert_eq!(outcome(&dispatcher, 9).await, ended("delivered", 1, false));
    dispatcher.call_back("inst_1", Install, 8).await;
    assert_eq!(outcome(&dispatcher, 8).await, ended("superseded", 0, false));
    // The same one again, as another event: it has been taken.
    dispatcher.call_back("inst_1", Remove, 9).await;
    dispatcher.call_back("inst_1", Update, 10).await;
    assert_eq!(outcome(&dispatcher, 10).await, ended("delivered", 1, false));
    assert_eq!(app.operations(), [Remove, Update]);
    dispatcher.all_settled(3).await;
}

async fn shops_do_not_wait_for_each_other(dispatcher: Dispatcher) {
    let app = dispatcher.app().await;
    in_flight(&dispatcher, &app, Answer::hang()).await;
    dispatcher.call_back("inst_2", Remove, 2).await;
    assert_eq!(dispatcher.settled("inst_2", 2).await.outcome, "delivered");
    assert_eq!(taken(&dispatcher, Install).await.delivery.unwrap().state, "pending");
}

async fn a_killed_replicas_install_makes_room(dispatcher: Dispatcher) {
    let app = dispatcher.app().await;
    in_flight(&dispatcher, &app, Answer::hang()).await;
    dispatcher.kill_first();
    dispatcher.add_replica().await;
    dispatcher.call_back("inst_1", Remove, 2).await;
    assert_eq!(outcome(&dispatcher, 2).await, ended("delivered", 1, false));
    assert_eq!(outcome(&dispatcher, 1).await, ended("superseded", 1, true));
    assert_eq!(app.operations(), [Install, Remove]);
}

async fn a_killed_replicas_install_settles(dispatcher: Dispatcher) {
    let app = dispatcher.app().await;
    in_flight(&dispatcher, &app, Answer::hang()).await;
    dispatcher.kill_first();
    dispatcher.add_replica().await;
    assert_eq!(outcome(&dispatcher, 1).await, ended("delivered", 2, true));
    assert_eq!(app.operations(), [Install, Install]);
}

async fn of_many_at_once_over_two_replicas_the_latest_is_made_last(dispatcher: Dispatcher) {
    let app = dispatcher.app().await;
    app.receiver.answer(Answer::status(200).after(Duration::from_millis(50)));
    dispatcher.add_replica().await;
    let shuffled = (1..=24_u64).map(|number| (number * 7) % 25);
    futures::future::join_all(shuffled.map(|sequence| dispatcher.call_back("inst_1", Update, sequence)))
        .await;
    let settled = dispatcher.all_settled(24).await;
    let mut made: Vec<_> =
        settled.iter().filter(|one| one.outcome == "delivered").map(|one| one.sequence).collect();
    made.sort_unstable();
    assert_eq!(made.last(), Some(&24));
    assert!(settled.iter().all(|one| (one.outcome == "delivered") == (one.attempts == 1)), "{settled:?}");
    let asked = app.asked();
    let versions: Vec<_> = asked.iter().map(|asked| asked.callback.version().unwrap().to_owned()).collect();
    let in_order: Vec<_> = made.iter().map(|sequence| format!("1.{sequence}.0")).collect();
    assert_eq!(versions, in_order);
}
