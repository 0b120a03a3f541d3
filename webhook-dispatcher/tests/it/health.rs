//! The life of an endpoint that fails: left alone, cut off, disabled, enabled again; and who is told of it.

use std::time::Duration;

use platform::{AppError, AppResult, Code, Principal};
use proto::{
    events::{EndpointDisabled, EndpointEnabled, subject},
    webhooks::{
        Endpoint, ListDeliveriesRequest, ListEndpointsRequest, SetEndpointDisabledRequest,
        UpdateEndpointRequest,
    },
};
use testkit::receiver::{Answer, Receiver};
use webhook_dispatcher::config::{DeliveryConfig, OperationsConfig};
use wire::timed_signature;

use crate::harness::{Dispatcher, On, Shop, WAIT, secret};

over_both! {
    an_endpoint_that_keeps_failing_is_cut_off_and_one_probe_finds_it_well,
    a_probe_that_fails_cuts_off_for_twice_as_long,
    what_waits_for_a_circuit_loses_no_attempt,
    five_days_of_nothing_but_failure_disable_an_endpoint_and_a_move_revives_it,
    one_success_ends_the_days_of_failure,
    a_backlog_can_be_dropped_and_is_among_the_dead_letters,
    a_bound_on_the_rate_keeps_the_rest_in_the_store,
    one_503_leaves_an_endpoint_alone_for_a_minute_at_most,
}

impl Dispatcher {
    pub(crate) async fn enable_without_backlog(&self, instance_id: &str) -> AppResult<Endpoint> {
        let endpoint_id = self.endpoint(instance_id).await.unwrap().endpoint_id;
        let ask = SetEndpointDisabledRequest { endpoint_id, disabled: false, drop_backlog: true };
        let ask = self.request(&Principal::Operator, ask);
        Ok(self.client().set_endpoint_disabled(ask).await.map_err(AppError::from)?.into_inner())
    }
}

/// Enough failures for a circuit to open.
const ENOUGH: usize = 10;

async fn wait_for(dispatcher: &Dispatcher, what: &str, wanted: impl Fn(&Endpoint) -> bool) -> Endpoint {
    let look = || async { dispatcher.endpoint("inst_1").await.filter(&wanted) };
    testkit::eventually(what, WAIT, look).await.unwrap()
}

async fn circuit(dispatcher: &Dispatcher, state: &str) -> Endpoint {
    wait_for(dispatcher, state, |endpoint| endpoint.circuit == state).await
}

/// A shop whose circuit has opened.
async fn cut_off(dispatcher: &Dispatcher) -> Shop {
    let shop = dispatcher.shop("inst_1").await;
    shop.receiver.answer(Answer::status(500));
    for _ in 0..ENOUGH {
        dispatcher.issue("inst_1").await;
    }
    let open = circuit(dispatcher, "open").await;
    assert_eq!((open.state.as_str(), open.disabled), ("throttled", false));
    let all = || async { (dispatcher.deliveries_to("inst_1").await.len() == ENOUGH).then_some(()) };
    testkit::eventually("all to be recorded", WAIT, all).await.unwrap();
    shop
}

/// Lets the time pass until the cool-down is over.
async fn cool_down(dispatcher: &Dispatcher) -> Duration {
    let until = dispatcher.endpoint("inst_1").await.unwrap().circuit_until_ms.unwrap();
    let wait = Duration::from_millis(u64::try_from(until - dispatcher.clock.now_ms()).unwrap());
    dispatcher.clock.advance(wait);
    wait
}

async fn an_endpoint_that_keeps_failing_is_cut_off_and_one_probe_finds_it_well(dispatcher: Dispatcher) {
    let shop = cut_off(&dispatcher).await;
    let tried = shop.receiver.requests().len();
    dispatcher.clock.advance(Duration::from_millis(1));
    dispatcher.issue("inst_1").await;
    dispatcher.newest("inst_1", "the new one to wait", |it| it.attempts.is_empty()).await;
    assert_eq!(shop.receiver.requests().len(), tried, "nothing is sent");

    shop.receiver.script([Answer::status(200).after(Duration::from_secs(2))]);
    shop.receiver.answer(Answer::status(200));
    let waited = cool_down(&dispatcher).await;
    assert_eq!(waited, Duration::from_millis(59_999));
    shop.receiver.wait_for_count(tried + 1, WAIT).await.unwrap();
    assert_eq!(dispatcher.endpoint("inst_1").await.unwrap().circuit, "half_open");
    assert_eq!(shop.receiver.requests().len(), tried + 1, "one probes, alone");
    circuit(&dispatcher, "closed").await;
    let all = || async {
        dispatcher.clock.advance(Duration::from_secs(10));
        let all = dispatcher.deliveries_to("inst_1").await;
        all.iter().all(|delivery| delivery.state == "delivered").then_some(())
    };
    testkit::eventually("all to be delivered", WAIT, all).await.unwrap();
    let endpoint = dispatcher.endpoint("inst_1").await.unwrap();
    assert_eq!((endpoint.state.as_str(), endpoint.failing_since_ms), ("active", None));
}

async fn a_probe_that_fails_cuts_off_for_twice_as_long(dispatcher: Dispatcher) {
    let shop = cut_off(&dispatcher).await;
    let tried = shop.receiver.requests().len();
    cool_down(&dispatcher).await;
    shop.receiver.wait_for_count(tried + 1, WAIT).await.unwrap();
    let open = circuit(&dispatcher, "open").await;
    assert_eq!(open.circuit_until_ms, Some(dispatcher.clock.now_ms() + 120_000));
    assert_eq!(shop.receiver.requests().len(), tried + 1);
    // A replica that starts now knows of it.
    let _second = dispatcher.add_replica().await;
    dispatcher.issue("inst_1").await;
    let waiting = dispatcher.newest("inst_1", "the new one", |it| it.attempts.is_empty()).await;
    assert_eq!(waiting.delivery.unwrap().next_attempt_at_ms, open.circuit_until_ms);
}

async fn what_waits_for_a_circuit_loses_no_attempt(dispatcher: Dispatcher) {
    let _shop = cut_off(&dispatcher).await;
    for _ in 0..3 {
        cool_down(&dispatcher).await;
        let until = dispatcher.clock.now_ms() + 1;
        wait_for(&dispatcher, "the probe to fail", |it| {
            it.circuit == "open" && it.circuit_until_ms.is_some_and(|at| at > until)
        })
        .await;
    }
    let all = dispatcher.deliveries_to("inst_1").await;
    let attempts: u32 = all.iter().map(|delivery| delivery.attempts).sum();
    assert_eq!(usize::try_from(attempts).unwrap(), ENOUGH + 3, "one attempt for each probe");
    assert!(all.iter().all(|delivery| delivery.state == "pending"));
}

async fn five_days_of_nothing_but_failure_disable_an_endpoint_and_a_move_revives_it(dispatcher: Dispatcher) {
    let shop = dispatcher.shop("inst_1").await;
    shop.receiver.answer(Answer::status(500));
    dispatcher.issue("inst_1").await;
    dispatcher.attempted("inst_1", 1).await;
    let failing = dispatcher.endpoint("inst_1").await.unwrap();
    assert_eq!(failing.failing_since_ms, Some(dispatcher.clock.now_ms()));
    dispatcher.clock.advance(Duration::from_hours(5 * 24));
    let held = dispatcher.reaches("inst_1", "held").await;
    assert_eq!(held.attempts.len(), 2);
    let disabled = dispatcher.endpoint("inst_1").await.unwrap();
    assert_eq!((disabled.state.as_str(), disabled.disabled_reason.as_deref()), ("disabled", Some("failing")));
    let told: EndpointDisabled = dispatcher.announcement(subject::ENDPOINT_DISABLED).await;
    assert_eq!((told.instance_id.as_str(), told.reason.as_str()), ("inst_1", "failing"));

    let back = Receiver::start().await.unwrap();
    dispatcher.tenant_changed(dispatcher.tenant("inst_1", &back.url(), 2)).await;
    dispatcher.reaches("inst_1", "delivered").await;
    let told: EndpointEnabled = dispatcher.announcement(subject::ENDPOINT_ENABLED).await;
    assert_eq!(told.instance_id, "inst_1");
    assert_eq!(dispatcher.endpoint("inst_1").await.unwrap().failing_since_ms, None);
}

async fn one_success_ends_the_days_of_failure(dispatcher: Dispatcher) {
    let shop = dispatcher.shop("inst_1").await;
    shop.receiver.answer(Answer::status(500));
    dispatcher.issue("inst_1").await;
    dispatcher.attempted("inst_1", 1).await;
    dispatcher.clock.advance(Duration::from_hours(24));
    dispatcher.attempted("inst_1", 2).await;
    shop.receiver.script([Answer::status(200)]);
    dispatcher.issue("inst_1").await;
    dispatcher.reaches("inst_1", "delivered").await;
    wait_for(&dispatcher, "the end of the failing", |it| it.failing_since_ms.is_none()).await;
    dispatcher.clock.advance(Duration::from_hours(4 * 24));
    wait_for(&dispatcher, "the failing to begin again", |it| it.failing_since_ms.is_some()).await;
    assert_eq!(dispatcher.endpoint("inst_1").await.unwrap().disabled_reason, None);
}

async fn a_backlog_can_be_dropped_and_is_among_the_dead_letters(dispatcher: Dispatcher) {
    let shop = dispatcher.shop("inst_1").await;
    dispatcher.set_disabled("inst_1", true).await.unwrap();
    dispatcher.issue("inst_1").await;
    dispatcher.reaches("inst_1", "held").await;
    let enabled = dispatcher.enable_without_backlog("inst_1").await.unwrap();
    assert_eq!((enabled.state.as_str(), enabled.disabled), ("active", false));
    let ask = ListDeliveriesRequest { state: Some("dead".to_owned()), ..Default::default() };
    let dead = dispatcher.deliveries(ask).await.unwrap().deliveries.remove(0);
    let reason = "dropped by the operator, who enabled the endpoint without its backlog";
    assert_eq!((dead.dead_reason.as_deref(), dead.attempts), (Some(reason), 0));
    let told: EndpointEnabled = dispatcher.announcement(subject::ENDPOINT_ENABLED).await;
    assert_eq!(told.endpoint_id, enabled.endpoint_id);

    dispatcher.clock.advance(Duration::from_secs(1));
    dispatcher.issue("inst_1").await;
    dispatcher.reaches("inst_1", "delivered").await;
    assert_eq!(shop.receiver.requests().len(), 1);
    dispatcher.replay(&dead.delivery_id).await.unwrap();
    shop.receiver.wait_for_count(2, WAIT).await.unwrap();
}

async fn a_bound_on_the_rate_keeps_the_rest_in_the_store(dispatcher: Dispatcher) {
    let shop = dispatcher.shop("inst_1").await;
    let rate = UpdateEndpointRequest { rate_per_second: Some(2), ..Default::default() };
    dispatcher.set("inst_1", rate).await.unwrap();
    for count in 1..=4 {
        dispatcher.issue("inst_1").await;
        let kept = || async { (dispatcher.deliveries_to("inst_1").await.len() == count).then_some(()) };
        testkit::eventually("the delivery to be kept", WAIT, kept).await.unwrap();
    }
    assert_eq!(shop.receiver.requests().len(), 1);
    for count in 2..=4 {
        dispatcher.clock.advance(Duration::from_millis(501));
        shop.receiver.wait_for_count(count, WAIT).await.unwrap();
        assert_eq!(shop.receiver.requests().len(), count);
    }
    let all = || async {
        let all = dispatcher.deliveries_to("inst_1").await;
        all.iter().all(|it| (it.state.as_str(), it.attempts) == ("delivered", 1)).then_some(())
    };
    testkit::eventually("all to be delivered at the first attempt", WAIT, all).await.unwrap();
}

async fn one_503_leaves_an_endpoint_alone_for_a_minute_at_most(dispatcher: Dispatcher) {
    let shop = dispatcher.shop("inst_1").await;
    shop.receiver.script([Answer::status(503)]);
    dispatcher.issue("inst_1").await;
    dispatcher.attempted("inst_1", 1).await;
    let throttled = dispatcher.endpoint("inst_1").await.unwrap();
    let wait = throttled.throttled_until_ms.unwrap() - dispatcher.clock.now_ms();
    assert!((48_000..=60_000).contains(&wait), "{wait}");
    dispatcher.clock.advance(Duration::from_mins(1));
    wait_for(&dispatcher, "the end of it", |it| it.state == "active").await;
}

/// What an app answers says nothing about its endpoint: its other shops' Installs must not wait for a circuit.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hosted_app_that_refuses_every_install_is_never_cut_off() {
    let dispatcher = Dispatcher::start(On::Embedded).await;
    let app = dispatcher.app().await;
    app.receiver.answer(Answer::status(503));
    for shop in 1..=2 * ENOUGH {
        dispatcher.call_back(&format!("inst_{shop}"), wire::open2b::Operation::Install, 1).await;
    }
    app.receiver.wait_for_count(2 * ENOUGH, WAIT).await.unwrap();
    let of_apps = ListEndpointsRequest { kind: Some("callback".to_owned()), ..Default::default() };
    let endpoint = dispatcher.endpoints(of_apps).await.unwrap().endpoints.remove(0);
    assert_eq!((endpoint.circuit.as_str(), endpoint.state.as_str()), ("closed", "active"));
    assert_eq!(endpoint.failing_since_ms, None);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_operators_own_endpoint_is_told_and_never_of_itself() {
    let own = Receiver::start().await.unwrap();
    let operations = OperationsConfig {
        url: Some(format!("{}/hooks?from=mercato", own.url())),
        secret: Some(platform::secret::Secret::new(secret(9).expose().to_owned())),
    };
    let delivery = DeliveryConfig {
        allow_cidrs: vec!["127.0.0.0/8".parse().unwrap()],
        schedule_seconds: Vec::new(),
        ..DeliveryConfig::default()
    };
    let dispatcher = Dispatcher::start_operated(On::Embedded, delivery, operations).await;
    let shop = dispatcher.shop("inst_1").await;
    shop.receiver.script([Answer::status(500), Answer::status(410)]);
    dispatcher.issue("inst_1").await;
    dispatcher.reaches("inst_1", "dead").await;
    dispatcher.clock.advance(Duration::from_secs(1));
    dispatcher.issue("inst_1").await;
    dispatcher.reaches("inst_1", "held").await;
    dispatcher.set_disabled("inst_1", false).await.unwrap();

    let told = own.wait_for_count(3, WAIT).await.unwrap();
    let mut events: Vec<_> = told.iter().map(|it| it.header("x-carpha-event").unwrap()).collect();
    events.sort_unstable();
    assert_eq!(events, ["delivery-dead", "endpoint-disabled", "endpoint-enabled"]);
    for request in &told {
        let header = request.header("x-carpha-signature").unwrap();
        let key = secret(9);
        timed_signature::verify(&[key.expose()], header, &request.body, dispatcher.clock.now_secs(), 300)
            .unwrap();
        assert_eq!(request.uri.path(), "/hooks");
    }
    let of_operator = || ListEndpointsRequest { kind: Some("operator".to_owned()), ..Default::default() };
    let endpoint = dispatcher.endpoints(of_operator()).await.unwrap().endpoints.remove(0);
    assert_eq!(endpoint.events, ["endpoint-disabled", "endpoint-enabled", "delivery-dead"]);

    // Another replica finds it as it is.
    dispatcher.add_replica().await;
    // Its own failures, and its own end, are told to nobody.
    own.script([Answer::status(500), Answer::status(410)]);
    let newest = || async {
        let ask = ListDeliveriesRequest { kind: Some("operator".to_owned()), limit: 1, ..Default::default() };
        Some(dispatcher.deliveries(ask).await.unwrap().deliveries.remove(0).state)
    };
    for (disabled, end) in [(true, "dead"), (false, "held")] {
        dispatcher.clock.advance(Duration::from_secs(1));
        dispatcher.set_disabled("inst_1", disabled).await.unwrap();
        own.wait_for_count(if disabled { 4 } else { 5 }, WAIT).await.unwrap();
        // Recorded before the next: what fails beside a 410 is held with it.
        let recorded = || async { newest().await.filter(|state| state == end) };
        testkit::eventually("its record", WAIT, recorded).await.unwrap();
    }
    let gone = || async {
        let endpoint = dispatcher.endpoints(of_operator()).await.unwrap().endpoints.remove(0);
        (endpoint.disabled_reason.as_deref() == Some("gone")).then_some(())
    };
    testkit::eventually("its own end", WAIT, gone).await.unwrap();
    let ask = ListDeliveriesRequest { kind: Some("operator".to_owned()), ..Default::default() };
    let states: Vec<_> =
        dispatcher.deliveries(ask).await.unwrap().deliveries.into_iter().map(|it| it.state).collect();
    assert_eq!(states, ["held", "dead", "delivered", "delivered", "delivered"]);
    let taken = dispatcher.set("inst_1", UpdateEndpointRequest::default()).await;
    assert!(taken.is_ok_and(|endpoint| endpoint.state == "active"));
    let refused = dispatcher.set_endpoint_disabled("ep_none".to_owned(), true).await.unwrap_err();
    assert_eq!(refused.code(), Code::NotFound);
}
