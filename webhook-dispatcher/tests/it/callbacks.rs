//! What a hosted app receives, and what its answers mean (contracts.md section 4).

use std::time::Duration;

use platform::Code;
use proto::{events::CallbackSettled, webhooks::DeliveryDetail};
use sea_orm::{ConnectionTrait as _, Statement};
use testkit::receiver::{Answer, Receiver};
use webhook_dispatcher::config::DeliveryConfig;
use wire::open2b::{self, Accepted, Callback, Operation, Refusal};

use crate::{
    apps::{API_KEY, APP, HostedApp, app_secret},
    harness::{Dispatcher, On, WAIT},
};

over_both! {
    an_install_is_told_in_the_apps_form_and_settles,
    any_answer_but_200_cancels_an_install_at_once,
    an_install_without_an_answer_is_tried_again_signed_afresh,
    an_app_that_is_down_for_two_minutes_gets_its_install,
    after_a_quarter_of_an_hour_without_an_answer_an_install_is_given_up,
    an_install_that_is_held_is_given_up_when_its_time_is_over,
    updates_and_removals_are_tried_by_the_schedule,
    an_app_asks_for_patience_for_one_delivery_alone,
    the_old_secret_signs_until_it_ends_then_the_new_one,
    an_install_that_comes_before_its_app_waits_for_it,
    an_app_that_moves_is_called_where_it_is_now,
    what_has_settled_is_not_sent_again,
}

const SIX: [u16; 6] = [201, 204, 301, 500, 410, 429];

fn told(settled: &CallbackSettled) -> (&str, Option<u32>, u32, bool) {
    (settled.outcome.as_str(), settled.status, settled.attempts, settled.may_have_arrived)
}

async fn bodies(dispatcher: &Dispatcher) -> Vec<Vec<u8>> {
    let sql = Statement::from_string(dispatcher.db.backend(), "SELECT sealed_body FROM messages");
    let rows = dispatcher.db.read().query_all_raw(sql).await.unwrap();
    rows.iter().map(|row| row.try_get("", "sealed_body").unwrap()).collect()
}

async fn an_install_is_told_in_the_apps_form_and_settles(dispatcher: Dispatcher) {
    let app = dispatcher.app().await;
    app.receiver.script([Answer::status(200).body(vec![b'x'; 10 * 1024 * 1024])]);
    dispatcher.call_back("inst_1", Operation::Install, 7).await;
    let settled = dispatcher.settled("inst_1", 7).await;
    assert_eq!(told(&settled), ("delivered", Some(200), 1, false));
    let ids = (settled.installation_id.as_str(), settled.marketplace_id.as_str(), settled.operation.as_str());
    assert_eq!(ids, ("itn_1", APP, "Install"));

    let received = app.receiver.requests().remove(0);
    assert_eq!(
        (received.method.as_str(), received.uri.to_string()),
        ("POST", "/hooks?from=mercato".to_owned())
    );
    assert_eq!(received.header("content-type"), Some("application/x-www-form-urlencoded"));
    for ours in ["traceparent", "tracestate", "x-carpha-signature", "webhook-id", "cookie"] {
        assert_eq!(received.header(ours), None, "{ours}");
    }
    let asked = app.asked().remove(0);
    assert_eq!(asked.expires, dispatcher.clock.now_secs() + 600);
    let Callback::Install { shop, site_url, api, key, version } = asked.callback else {
        panic!("no Install")
    };
    assert_eq!((shop.as_str(), site_url.as_str()), ("TN81S9AUB1", "https://www.store.example/"));
    assert_eq!((key.as_str(), version.as_str()), (API_KEY, "1.7.0"));
    assert_eq!(
        (api.base_url.as_str(), api.min_version, api.max_version),
        ("https://store.example/api/", 1, 3)
    );

    let delivery = dispatcher.reaches("inst_1", "delivered").await.delivery.unwrap();
    assert_eq!(delivery.delivery_id, settled.delivery_id);
    assert_eq!(bodies(&dispatcher).await, [Vec::<u8>::new()], "the API key is wiped");
    dispatcher.all_settled(1).await;
}

async fn any_answer_but_200_cancels_an_install_at_once(dispatcher: Dispatcher) {
    let app = dispatcher.app().await;
    for status in SIX {
        let instance = format!("inst_{status}");
        let answer =
            Answer::status(status).header("retry-after", "60").header("location", &app.receiver.url());
        app.receiver.script([answer]);
        dispatcher.call_back(&instance, Operation::Install, 1).await;
        let settled = dispatcher.settled(&instance, 1).await;
        assert_eq!(told(&settled), ("refused", Some(status.into()), 1, false));
        let dead = dispatcher.reaches(&instance, "dead").await.delivery.unwrap();
        let reason = format!("the app answered {status}; only 200 installs");
        assert_eq!(dead.dead_reason, Some(reason));
    }
    assert!(!dispatcher.app_endpoint().await.unwrap().disabled, "410 is said to one shop");
    // Neither is the app left alone: the clock has not moved.
    dispatcher.call_back("inst_1", Operation::Install, 1).await;
    assert_eq!(told(&dispatcher.settled("inst_1", 1).await), ("delivered", Some(200), 1, false));
    assert_eq!(app.receiver.requests().len(), SIX.len() + 1);
    dispatcher.all_settled(SIX.len() + 1).await;
}

async fn an_install_without_an_answer_is_tried_again_signed_afresh(dispatcher: Dispatcher) {
    let app = dispatcher.app().await;
    app.receiver.script([Answer::reset(), Answer::half_a_head(), Answer::hang()]);
    dispatcher.call_back("inst_1", Operation::Install, 1).await;
    for (number, seconds, outcome) in [(1, 5.0, "reset"), (2, 10.0, "reset"), (3, 20.0, "timeout")] {
        let failed = dispatcher.attempted("inst_1", number).await;
        assert_eq!(failed.attempts.last().unwrap().outcome, outcome);
        let waited = dispatcher.pass_until_due(&failed).as_secs_f64();
        assert!((seconds * 0.8..=seconds * 1.2).contains(&waited), "{waited} of {seconds}");
    }
    assert_eq!(told(&dispatcher.settled("inst_1", 1).await), ("delivered", Some(200), 4, true));
    let asked = app.asked();
    let expires: Vec<_> = asked.iter().map(|one| one.expires).collect();
    assert!(expires.len() == 4 && expires.is_sorted_by(|a, b| a < b), "each is signed afresh: {expires:?}");
    assert!(asked.windows(2).all(|pair| pair[0].callback == pair[1].callback), "and says the same");
}

/// Lets the app fail until that much time has passed, and answers the last failure.
async fn fail_for(dispatcher: &Dispatcher, time: Duration) -> DeliveryDetail {
    let until_ms = dispatcher.clock.now_ms() + i64::try_from(time.as_millis()).unwrap();
    for number in 1.. {
        let failed = dispatcher.attempted("inst_1", number).await;
        assert_eq!(failed.attempts.last().unwrap().outcome, "refused");
        if failed.delivery.as_ref().unwrap().next_attempt_at_ms.is_none_or(|at| at >= until_ms) {
            return failed;
        }
        dispatcher.pass_until_due(&failed);
    }
    unreachable!("the numbers do not end")
}

async fn an_app_that_is_down_for_two_minutes_gets_its_install(dispatcher: Dispatcher) {
    let HostedApp { receiver, secret } = dispatcher.app().await;
    let address = receiver.address();
    drop(receiver);
    dispatcher.call_back("inst_1", Operation::Install, 1).await;
    let failed = fail_for(&dispatcher, Duration::from_mins(2)).await;
    assert!(failed.attempts.len() >= 4);
    let app = HostedApp { receiver: Receiver::start_on(address).await.unwrap(), secret };
    app.receiver.answer(Answer::status(200));
    dispatcher.pass_until_due(&failed);
    let settled = dispatcher.settled("inst_1", 1).await;
    assert_eq!((settled.outcome.as_str(), settled.status), ("delivered", Some(200)));
    assert_eq!(app.operations(), [Operation::Install]);
}

async fn after_a_quarter_of_an_hour_without_an_answer_an_install_is_given_up(dispatcher: Dispatcher) {
    let began_ms = dispatcher.clock.now_ms();
    let closed = testkit::free_port().unwrap();
    dispatcher.register_app(&format!("http://127.0.0.1:{closed}/hooks")).await;
    dispatcher.call_back("inst_1", Operation::Install, 1).await;
    let last = fail_for(&dispatcher, Duration::from_hours(1)).await;
    let attempts = u32::try_from(last.attempts.len()).unwrap();
    let settled = dispatcher.settled("inst_1", 1).await;
    assert_eq!(told(&settled), ("unanswered", None, attempts, true));
    let tried = Duration::from_millis(u64::try_from(settled.settled_at_ms - began_ms).unwrap());
    // The next attempt would have come after the quarter of an hour, and waits are at most 72 s.
    assert!((Duration::from_secs(828)..=Duration::from_mins(15)).contains(&tried), "{tried:?}");
    assert_eq!(dispatcher.reaches("inst_1", "dead").await.delivery.unwrap().attempts, attempts);
    assert_eq!(bodies(&dispatcher).await, [Vec::<u8>::new()]);
    dispatcher.all_settled(1).await;
}

async fn an_install_that_is_held_is_given_up_when_its_time_is_over(dispatcher: Dispatcher) {
    let app = dispatcher.app().await;
    dispatcher.set_app_disabled(true).await.unwrap();
    dispatcher.call_back("inst_1", Operation::Install, 1).await;
    dispatcher.call_back("inst_2", Operation::Remove, 1).await;
    for instance in ["inst_1", "inst_2"] {
        dispatcher.reaches(instance, "held").await;
    }
    dispatcher.clock.advance(Duration::from_mins(15));
    assert_eq!(told(&dispatcher.settled("inst_1", 1).await), ("unanswered", None, 0, false));
    let dead = dispatcher.reaches("inst_1", "dead").await.delivery.unwrap();
    assert_eq!(dead.dead_reason.as_deref(), Some("its time was over before the app had answered"));

    dispatcher.set_app_disabled(false).await.unwrap();
    assert_eq!(told(&dispatcher.settled("inst_2", 1).await), ("delivered", Some(200), 1, false));
    assert_eq!(app.operations(), [Operation::Remove]);
}

/// It was leased in time and waited for its turn behind another of the app's callbacks.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_install_whose_turn_comes_after_its_time_is_not_begun() {
    let delivery = DeliveryConfig {
        concurrency_per_endpoint: 1,
        timeout_seconds: 10,
        lease_seconds: 60,
        allow_cidrs: vec!["127.0.0.0/8".parse().unwrap()],
        ..DeliveryConfig::default()
    };
    let dispatcher = Dispatcher::start_with(On::Embedded, delivery).await;
    let app = dispatcher.app().await;
    app.receiver.script([Answer::status(200).after(Duration::from_secs(4))]);
    dispatcher.call_back("inst_1", Operation::Install, 1).await;
    app.receiver.wait_for_count(1, WAIT).await.unwrap();
    dispatcher.call_back("inst_2", Operation::Install, 1).await;
    let leased = |it: &DeliveryDetail| it.delivery.as_ref().unwrap().attempts == 1;
    dispatcher.called("inst_2", Operation::Install, "its turn to be awaited", leased).await;
    dispatcher.clock.advance(Duration::from_mins(15));
    assert_eq!(told(&dispatcher.settled("inst_2", 1).await), ("unanswered", None, 0, false));
    assert_eq!(told(&dispatcher.settled("inst_1", 1).await), ("delivered", Some(200), 1, false));
    assert_eq!(app.receiver.requests().len(), 1);
}

async fn updates_and_removals_are_tried_by_the_schedule(dispatcher: Dispatcher) {
    let app = dispatcher.app().await;
    for (operation, sequence) in [(Operation::Update, 1), (Operation::Remove, 2)] {
        app.receiver.script([204, 410, 301, 404, 500, 429].map(Answer::status));
        dispatcher.call_back("inst_1", operation, sequence).await;
        for (number, seconds) in [(1, 60.0), (2, 300.0), (3, 1_800.0), (4, 7_200.0), (5, 43_200.0)] {
            let tried = |it: &DeliveryDetail| it.attempts.len() == number;
            let failed = dispatcher.called("inst_1", operation, "an attempt", tried).await;
            let waited = dispatcher.pass_until_due(&failed).as_secs_f64();
            assert!((seconds * 0.8..=seconds * 1.2).contains(&waited), "{waited} of {seconds}");
        }
        let settled = dispatcher.settled("inst_1", sequence).await;
        assert_eq!(told(&settled), ("given_up", Some(429), 6, false));
        let dead = |it: &DeliveryDetail| it.delivery.as_ref().unwrap().state == "dead";
        let dead = dispatcher.called("inst_1", operation, "the end", dead).await;
        assert_eq!(dead.attempts[0].outcome, "not_ok");
    }
    assert!(!dispatcher.app_endpoint().await.unwrap().disabled);
    dispatcher.all_settled(2).await;
}

async fn an_app_asks_for_patience_for_one_delivery_alone(dispatcher: Dispatcher) {
    let app = dispatcher.app().await;
    app.receiver.script([Answer::status(503).header("retry-after", "3600")]);
    dispatcher.call_back("inst_1", Operation::Update, 1).await;
    let failed = dispatcher.attempted("inst_1", 1).await;
    dispatcher.call_back("inst_2", Operation::Update, 1).await;
    assert_eq!(told(&dispatcher.settled("inst_2", 1).await), ("delivered", Some(200), 1, false));
    assert_eq!(dispatcher.pass_until_due(&failed), Duration::from_mins(2));
    assert_eq!(told(&dispatcher.settled("inst_1", 1).await), ("delivered", Some(200), 2, false));
}

async fn the_old_secret_signs_until_it_ends_then_the_new_one(dispatcher: Dispatcher) {
    let app = dispatcher.app().await;
    let ends_ms = dispatcher.clock.now_ms() + 60_000;
    let url = format!("{}/v2", app.receiver.url());
    let both = vec![(app_secret(1), Some(ends_ms)), (app_secret(2), None)];
    dispatcher.app_changed(&url, both, 2).await;
    dispatcher.call_back("inst_1", Operation::Update, 1).await;
    dispatcher.settled("inst_1", 1).await;
    dispatcher.clock.advance(Duration::from_mins(1));
    dispatcher.call_back("inst_1", Operation::Update, 2).await;
    dispatcher.settled("inst_1", 2).await;

    let received = app.receiver.requests();
    let now = dispatcher.clock.now_secs();
    let read = |number: usize, byte| {
        let secrets = [Accepted::always(app_secret(byte))];
        open2b::parse_form(&received[number].body, &secrets, now).map(|request| request.callback.operation())
    };
    assert_eq!((read(0, 1), read(0, 2)), (Ok(Operation::Update), Err(Refusal::Signature)));
    assert_eq!((read(1, 1), read(1, 2)), (Err(Refusal::Signature), Ok(Operation::Update)));
}

async fn an_install_that_comes_before_its_app_waits_for_it(dispatcher: Dispatcher) {
    dispatcher.call_back("inst_1", Operation::Install, 1).await;
    let app = dispatcher.app().await;
    assert_eq!(dispatcher.settled("inst_1", 1).await.outcome, "delivered");
    assert_eq!(app.operations(), [Operation::Install]);
}

async fn an_app_that_moves_is_called_where_it_is_now(dispatcher: Dispatcher) {
    let old = dispatcher.app().await;
    old.receiver.script([Answer::reset()]);
    dispatcher.call_back("inst_1", Operation::Install, 1).await;
    dispatcher.attempted("inst_1", 1).await;
    let new = Receiver::start().await.unwrap();
    new.answer(Answer::status(200));
    dispatcher.app_changed(&format!("{}/install", new.url()), vec![(app_secret(1), None)], 2).await;
    new.wait_for_count(1, WAIT).await.unwrap();
    assert_eq!(told(&dispatcher.settled("inst_1", 1).await), ("delivered", Some(200), 2, true));
}

async fn what_has_settled_is_not_sent_again(dispatcher: Dispatcher) {
    let app = dispatcher.app().await;
    dispatcher.call_back("inst_1", Operation::Install, 1).await;
    let install = dispatcher.settled("inst_1", 1).await;
    app.receiver.script([Answer::status(500)]);
    dispatcher.call_back("inst_1", Operation::Remove, 2).await;
    let tried = |it: &DeliveryDetail| it.attempts.len() == 1;
    let waiting = dispatcher.called("inst_1", Operation::Remove, "an attempt", tried).await;
    // What waits is sent at once; what has settled is not.
    let remove = waiting.delivery.unwrap().delivery_id;
    dispatcher.replay(&remove).await.unwrap();
    assert_eq!(told(&dispatcher.settled("inst_1", 2).await), ("delivered", Some(200), 2, false));
    for (id, right) in [(install.delivery_id, "install the app again"), (remove, "ask for it again")] {
        let refused = dispatcher.replay(&id).await.unwrap_err();
        assert_eq!(refused.code(), Code::Conflict);
        assert!(refused.message().contains(right), "{refused}");
    }
    assert_eq!(app.receiver.requests().len(), 3);
}
