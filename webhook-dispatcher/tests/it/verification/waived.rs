//! Who need not be verified, or no longer.

use std::time::Duration;

use testkit::receiver::{Answer, Receiver};
use wire::open2b::Operation;

use super::{
    ISSUED, VERIFICATION, deliveries_of, endpoint, events, newest, pass_until_asked_again, reaches,
    shop_that_answers, trusting, verified, verifying,
};
use crate::{
    apps::APP,
    harness::{Dispatcher, WAIT},
};

over_both! {
    nobody_is_asked_where_it_is_not_configured,
    who_is_there_when_it_is_turned_on_is_not_asked,
    who_still_waits_when_it_is_turned_off_is_told,
    an_operator_takes_an_endpoint_at_its_word,
    a_hosted_app_is_not_asked,
}

async fn nobody_is_asked_where_it_is_not_configured(dispatcher: Dispatcher) {
    let dispatcher = dispatcher.again(trusting()).await;
    let shop = shop_that_answers(&dispatcher, Answer::status(204)).await;
    let new = Receiver::start().await.unwrap();
    dispatcher.issue("inst_1").await;
    reaches(&dispatcher, ISSUED, "delivered").await;
    dispatcher.tenant_changed(dispatcher.tenant("inst_1", &new.url(), 2)).await;
    let moved = endpoint(&dispatcher, "the move", |it| it.base_url == new.url()).await;
    assert_eq!(
        (moved.state.as_str(), moved.unverified_since_ms, moved.verified_at_ms),
        ("active", None, None)
    );
    // The replica tells from memory, which learns of the move a moment after the store.
    let told = || async {
        dispatcher.clock.advance(Duration::from_secs(1));
        dispatcher.issue("inst_1").await;
        (!new.requests().is_empty()).then_some(())
    };
    testkit::eventually("the new URL to be told", WAIT, told).await.unwrap();
    for receiver in [&shop.receiver, &new] {
        assert!(events(&receiver.requests()).iter().all(|event| *event == ISSUED));
    }
}

async fn who_is_there_when_it_is_turned_on_is_not_asked(dispatcher: Dispatcher) {
    let mut dispatcher = dispatcher.again(trusting()).await;
    let shop = shop_that_answers(&dispatcher, Answer::status(204)).await;
    dispatcher.restart_with(verifying()).await;
    dispatcher.set_disabled("inst_1", true).await.unwrap();
    dispatcher.issue("inst_1").await;
    reaches(&dispatcher, ISSUED, "held").await;
    let enabled = dispatcher.set_disabled("inst_1", false).await.unwrap();
    assert_eq!((enabled.state.as_str(), enabled.verified_at_ms), ("active", None));
    reaches(&dispatcher, ISSUED, "delivered").await;
    assert_eq!(events(&shop.receiver.requests()), [ISSUED]);
}

async fn who_still_waits_when_it_is_turned_off_is_told(dispatcher: Dispatcher) {
    let mut dispatcher = dispatcher.again(verifying()).await;
    let shop = shop_that_answers(&dispatcher, Answer::status(404)).await;
    dispatcher.issue("inst_1").await;
    reaches(&dispatcher, ISSUED, "held").await;
    newest(&dispatcher, VERIFICATION, "the refusal", |it| it.attempts.len() == 1).await;
    shop.receiver.answer(Answer::status(204));
    dispatcher.restart_with(trusting()).await;
    let told = shop.receiver.wait_for_count(2, WAIT).await.unwrap();
    assert_eq!(events(&told), [VERIFICATION, ISSUED]);
    endpoint(&dispatcher, "nothing to wait for", |it| {
        (it.state.as_str(), it.verified_at_ms) == ("active", None)
    })
    .await;
    assert_eq!(deliveries_of(&dispatcher, VERIFICATION).await[0].state, "superseded");
}

async fn an_operator_takes_an_endpoint_at_its_word(dispatcher: Dispatcher) {
    let dispatcher = dispatcher.again(verifying()).await;
    let shop = shop_that_answers(&dispatcher, Answer::status(204)).await;
    shop.receiver
        .decide(|asked| (asked.header("x-carpha-event") == Some(VERIFICATION)).then(|| Answer::status(404)));
    dispatcher.issue("inst_1").await;
    reaches(&dispatcher, ISSUED, "held").await;
    newest(&dispatcher, VERIFICATION, "the refusal", |it| it.attempts.len() == 1).await;
    let enabled = dispatcher.set_disabled("inst_1", false).await.unwrap();
    assert_eq!((enabled.state.as_str(), enabled.verified_at_ms), ("active", None));
    reaches(&dispatcher, ISSUED, "delivered").await;
    let taken_back = reaches(&dispatcher, VERIFICATION, "superseded").await.delivery.unwrap();

    // It may be asked all the same, and nothing waits for the answer.
    dispatcher.replay(&taken_back.delivery_id).await.unwrap();
    newest(&dispatcher, VERIFICATION, "another refusal", |it| it.attempts.len() == 2).await;
    assert_eq!(dispatcher.endpoint("inst_1").await.unwrap().state, "active");
    shop.receiver.decide(|_| None);
    pass_until_asked_again(&dispatcher, 2).await;
    verified(&dispatcher).await;
}

async fn a_hosted_app_is_not_asked(dispatcher: Dispatcher) {
    let dispatcher = dispatcher.again(verifying()).await;
    let app = dispatcher.app().await;
    let endpoint = dispatcher.app_endpoint().await.unwrap();
    assert_eq!((endpoint.marketplace_id.as_deref(), endpoint.state.as_str()), (Some(APP), "active"));
    dispatcher.call_back("inst_1", Operation::Install, 1).await;
    dispatcher.settled("inst_1", 1).await;
    assert_eq!(app.operations(), [Operation::Install]);
}
