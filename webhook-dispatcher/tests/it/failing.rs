//! Shops that fail.

use std::time::Duration;

use proto::events::{DeliveryDead, EndpointDisabled, subject};
use testkit::receiver::{Answer, Receiver};
use webhook_dispatcher::config::DeliveryConfig;

use crate::harness::{Dispatcher, On, WAIT};

over_both! {
    an_address_that_is_not_public_is_refused,
    a_redirect_is_not_followed,
    a_shop_that_hangs_or_resets_is_tried_again,
    a_day_of_500s_is_death_after_the_whole_schedule_and_a_replay_revives,
    a_busy_shop_is_left_alone_as_long_as_it_asks,
    a_shop_that_is_gone_is_disabled,
}

async fn an_address_that_is_not_public_is_refused(dispatcher: Dispatcher) {
    for (instance, url) in
        [("inst_1", "https://10.0.0.1"), ("inst_2", "http://[::1]:9"), ("inst_3", "http://8.8.8.8")]
    {
        dispatcher.register(instance, url).await;
        dispatcher.issue(instance).await;
        let attempt = &dispatcher.attempted(instance, 1).await.attempts[0];
        assert_eq!((attempt.outcome.as_str(), attempt.status), ("forbidden_address", None), "{url}");
    }
}

/// Without the exception of the tests, the name of the loopback address is refused where it is connected to.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_name_of_an_address_that_is_not_public_is_refused() {
    let dispatcher = Dispatcher::start_with(On::Embedded, DeliveryConfig::default()).await;
    let receiver = Receiver::start().await.unwrap();
    for (instance, scheme) in [("inst_1", "http"), ("inst_2", "https")] {
        let url = format!("{scheme}://localhost:{}", receiver.address().port());
        dispatcher.register(instance, &url).await;
        dispatcher.issue(instance).await;
        let attempt = &dispatcher.attempted(instance, 1).await.attempts[0];
        assert_eq!(attempt.outcome, "forbidden_address", "{url}");
    }
    assert!(receiver.requests().is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_name_that_does_not_resolve_a_closed_port_and_no_tls_are_told_apart() {
    let dispatcher = Dispatcher::start(On::Embedded).await;
    let receiver = Receiver::start().await.unwrap();
    let closed = testkit::free_port().unwrap();
    let shops = [
        ("inst_1", "https://shop.invalid".to_owned(), "dns"),
        ("inst_2", format!("http://127.0.0.1:{closed}"), "refused"),
        ("inst_3", format!("https://127.0.0.1:{}", receiver.address().port()), "tls"),
    ];
    for (instance, url, outcome) in shops {
        dispatcher.register(instance, &url).await;
        dispatcher.issue(instance).await;
        assert_eq!(dispatcher.attempted(instance, 1).await.attempts[0].outcome, outcome, "{url}");
    }
}

async fn a_redirect_is_not_followed(dispatcher: Dispatcher) {
    let elsewhere = Receiver::start().await.unwrap();
    let shop = dispatcher.shop("inst_1").await;
    shop.receiver.answer(Answer::redirect(&elsewhere.url()));
    dispatcher.issue("inst_1").await;
    let detail = dispatcher.attempted("inst_1", 1).await;
    assert_eq!((detail.attempts[0].outcome.as_str(), detail.attempts[0].status), ("redirect", Some(302)));
    assert_eq!(detail.delivery.unwrap().state, "pending");
    assert!(elsewhere.requests().is_empty());
}

async fn a_shop_that_hangs_or_resets_is_tried_again(dispatcher: Dispatcher) {
    let shop = dispatcher.shop("inst_1").await;
    shop.receiver.script([Answer::hang(), Answer::reset()]);
    dispatcher.issue("inst_1").await;
    let hung = dispatcher.attempted("inst_1", 1).await;
    assert_eq!(hung.attempts[0].outcome, "timeout");
    assert!(hung.attempts[0].duration_ms >= 3_000);
    dispatcher.pass_until_due(&hung);
    let reset = dispatcher.attempted("inst_1", 2).await;
    assert_eq!(reset.attempts[1].outcome, "reset");
    dispatcher.pass_until_due(&reset);
    dispatcher.reaches("inst_1", "delivered").await;
    let requests = shop.receiver.requests();
    let stamps: Vec<_> =
        requests.iter().map(|request| request.header("webhook-timestamp").unwrap()).collect();
    assert_eq!(stamps.len(), 3);
    assert!(stamps.is_sorted_by(|a, b| a < b), "each attempt is signed afresh: {stamps:?}");
    let ids: Vec<_> = requests.iter().map(|request| request.header("webhook-id")).collect();
    assert!(ids.windows(2).all(|pair| pair[0] == pair[1]), "and keeps its id");
}

async fn a_day_of_500s_is_death_after_the_whole_schedule_and_a_replay_revives(dispatcher: Dispatcher) {
    let shop = dispatcher.shop("inst_1").await;
    shop.receiver.answer(Answer::status(500));
    dispatcher.issue("inst_1").await;
    for (number, seconds) in [(1, 60.0), (2, 300.0), (3, 1_800.0), (4, 7_200.0), (5, 43_200.0)] {
        let failed = dispatcher.attempted("inst_1", number).await;
        let waited = dispatcher.pass_until_due(&failed).as_secs_f64();
        assert!((seconds * 0.8..=seconds * 1.2).contains(&waited), "{waited} of {seconds}");
    }
    let dead = dispatcher.reaches("inst_1", "dead").await.delivery.unwrap();
    assert_eq!(dead.attempts, 6);
    assert_eq!(dead.dead_reason.as_deref(), Some("6 attempts failed; the last answer was 500"));
    let told: DeliveryDead = dispatcher.announcement(subject::DELIVERY_DEAD).await;
    assert_eq!((told.delivery_id.as_str(), told.instance_id.as_str()), (dead.delivery_id.as_str(), "inst_1"));

    shop.receiver.answer(Answer::status(200));
    let replayed = dispatcher.replay(&dead.delivery_id).await.unwrap();
    assert_eq!(
        (replayed.delivery_id.as_str(), replayed.state.as_str()),
        (dead.delivery_id.as_str(), "pending")
    );
    let delivered = dispatcher.reaches("inst_1", "delivered").await;
    assert_eq!(delivered.delivery.unwrap().attempts, 7);
    assert_eq!(delivered.attempts.len(), 7);
    assert_eq!(shop.receiver.requests().len(), 7);
}

async fn a_busy_shop_is_left_alone_as_long_as_it_asks(dispatcher: Dispatcher) {
    let shop = dispatcher.shop("inst_1").await;
    shop.receiver.script([Answer::status(429).header("retry-after", "100")]);
    dispatcher.issue("inst_1").await;
    let failed = dispatcher.attempted("inst_1", 1).await;
    let due = dispatcher.clock.now_ms() + 100_000;
    let endpoint = dispatcher.endpoint("inst_1").await.unwrap();
    assert_eq!((endpoint.state.as_str(), endpoint.throttled_until_ms), ("throttled", Some(due)));
    dispatcher.clock.advance(Duration::from_secs(1));
    dispatcher.issue("inst_1").await;
    let waiting =
        dispatcher.newest("inst_1", "the second", |it| it.delivery.as_ref().unwrap().attempts == 0).await;
    for detail in [&failed, &waiting] {
        assert_eq!(detail.delivery.as_ref().unwrap().next_attempt_at_ms, Some(due));
    }
    assert_eq!(shop.receiver.requests().len(), 1);
    dispatcher.clock.advance(Duration::from_secs(100));
    shop.receiver.wait_for_count(3, WAIT).await.unwrap();
}

async fn a_shop_that_is_gone_is_disabled(dispatcher: Dispatcher) {
    let shop = dispatcher.shop("inst_1").await;
    shop.receiver.answer(Answer::status(410));
    dispatcher.issue("inst_1").await;
    let held = dispatcher.reaches("inst_1", "held").await;
    assert_eq!(held.attempts[0].status, Some(410));
    let endpoint = dispatcher.endpoint("inst_1").await.unwrap();
    assert_eq!((endpoint.disabled, endpoint.disabled_reason.as_deref()), (true, Some("gone")));
    let told: EndpointDisabled = dispatcher.announcement(subject::ENDPOINT_DISABLED).await;
    assert_eq!((told.endpoint_id, told.reason), (endpoint.endpoint_id, "gone".to_owned()));
    assert_eq!((told.instance_id.as_str(), told.marketplace_id), ("inst_1", None));

    let back = Receiver::start().await.unwrap();
    dispatcher.tenant_changed(dispatcher.tenant("inst_1", &back.url(), 2)).await;
    dispatcher.reaches("inst_1", "delivered").await;
    assert_eq!(back.requests().len(), 1);
}
