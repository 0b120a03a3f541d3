//! What is told to every endpoint that asked for it.

use std::{collections::BTreeMap, time::Duration};

use platform::telemetry::TraceContext;
use proto::{
    events::{ReleaseChanged, subject},
    webhooks as api,
};
use sea_orm::{ConnectionTrait as _, Statement};
use testkit::receiver::{Answer, Received, Receiver};
use webhook_dispatcher::config::DeliveryConfig;

use crate::{
    harness::{Dispatcher, WAIT},
    leases::states,
};

over_both! {
    a_release_is_told_to_each_of_a_hundred_endpoints_once,
    a_release_whose_replica_dies_in_the_middle_is_one_delivery_for_each,
    two_replicas_tell_a_release_once,
    an_endpoint_that_hangs_keeps_none_of_the_others_waiting,
    who_did_not_ask_for_it_is_told_nothing,
    what_is_told_to_a_disabled_endpoint_is_held_until_it_is_enabled,
    a_release_is_kept_until_the_last_of_its_deliveries_is_forgotten,
}

const SHOPS: usize = 100;
const BODY: &str = r#"{"marketplace_id":"@acme/seo-pro","version":"2.1.0","changelog_url":"https://acme.example/2.1.0","security":true}"#;

impl Dispatcher {
    /// So many endpoints that are told of releases, told apart by their paths.
    async fn subscribers(&self, count: usize, url: &str) {
        for shop in 0..count {
            let base_url = format!("{url}/shop-{shop}");
            self.tenant_changed(self.tenant(&format!("inst_{shop}"), &base_url, 1)).await;
        }
        let ask = api::ListEndpointsRequest { limit: 100, ..Default::default() };
        let all = || async {
            let known = self.endpoints(ask.clone()).await.unwrap().endpoints;
            (known.len() == count).then_some(known)
        };
        for endpoint in testkit::eventually("the endpoints", WAIT, all).await.unwrap() {
            self.set_events(endpoint.endpoint_id, &["license-issued", "release-published"]).await;
        }
    }

    pub(crate) async fn release(&self) {
        let release = ReleaseChanged {
            marketplace_id: "@acme/seo-pro".to_owned(),
            version: "2.1.0".to_owned(),
            changelog_url: Some("https://acme.example/2.1.0".to_owned()),
            security: true,
            ..ReleaseChanged::default()
        };
        self.publish(subject::RELEASE_PUBLISHED, &release, TraceContext::default()).await;
    }

    async fn count_messages(&self) -> i64 {
        let sql = Statement::from_string(self.db.backend(), "SELECT count(*) AS messages FROM messages");
        self.db.read().query_one_raw(sql).await.unwrap().unwrap().try_get("", "messages").unwrap()
    }

    /// Waits until so many deliveries are in the store, all of them in this state.
    async fn all_are(&self, count: usize, state: &str) -> Vec<(String, i64)> {
        let all = || async {
            let states = states(&self.db).await;
            (states.len() == count && states.iter().all(|(each, _)| each == state)).then_some(states)
        };
        testkit::eventually(&format!("{count} deliveries to be {state}"), WAIT, all).await.unwrap()
    }
}

/// How often each path was told, and under how many ids.
fn told(requests: &[Received]) -> BTreeMap<String, Vec<String>> {
    let mut told: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for request in requests {
        let id = request.header("webhook-id").unwrap().to_owned();
        told.entry(request.uri.path().to_owned()).or_default().push(id);
    }
    told
}

async fn a_release_is_told_to_each_of_a_hundred_endpoints_once(dispatcher: Dispatcher) {
    let receiver = Receiver::start().await.unwrap();
    dispatcher.subscribers(SHOPS, &receiver.url()).await;
    dispatcher.release().await;
    let states = dispatcher.all_are(SHOPS, "delivered").await;
    assert!(states.iter().all(|(_, attempts)| *attempts == 1));
    assert_eq!(dispatcher.count_messages().await, 1);
    let requests = receiver.requests();
    assert!(
        requests
            .iter()
            .all(|one| one.body == BODY && one.header("x-carpha-event") == Some("release-published"))
    );
    let told = told(&requests);
    assert_eq!(told.len(), SHOPS);
    assert!(told.contains_key("/shop-7/admin/marketplace/release-published"));
    assert!(told.values().all(|ids| ids.len() == 1));
}

/// Two are worked on at once and eight are in the pipeline, so that the rest has not been begun when the replica dies.
async fn a_release_whose_replica_dies_in_the_middle_is_one_delivery_for_each(dispatcher: Dispatcher) {
    let few = DeliveryConfig {
        timeout_seconds: 3,
        lease_seconds: 10,
        concurrency: 2,
        allow_cidrs: vec!["127.0.0.0/8".parse().unwrap()],
        ..DeliveryConfig::default()
    };
    let dispatcher = dispatcher.again(few).await;
    let receiver = Receiver::start().await.unwrap();
    receiver.answer(Answer::status(204).after(Duration::from_millis(20)));
    dispatcher.subscribers(SHOPS, &receiver.url()).await;
    dispatcher.release().await;
    receiver.wait_for_count(30, WAIT).await.unwrap();
    dispatcher.kill_first();
    let before = told(&receiver.requests());
    assert!(before.len() < SHOPS, "it was in the middle");
    dispatcher.add_replica().await;
    let states = dispatcher.all_are(SHOPS, "delivered").await;
    assert_eq!(dispatcher.count_messages().await, 1);
    let told = told(&receiver.requests());
    assert_eq!(told.len(), SHOPS);
    let again = told.values().filter(|ids| ids.len() > 1).count();
    assert!(again <= 8, "no more than had no record: {again}");
    assert!(told.values().all(|ids| ids.iter().all(|id| id == &ids[0])), "under the same id");
    assert!(states.iter().any(|(_, attempts)| *attempts == 1) && before.len() >= 30 - 8);
}

async fn two_replicas_tell_a_release_once(dispatcher: Dispatcher) {
    let receiver = Receiver::start().await.unwrap();
    dispatcher.subscribers(SHOPS, &receiver.url()).await;
    // It reads all endpoints when it starts.
    dispatcher.add_replica().await;
    for _ in 0..4 {
        dispatcher.release().await;
    }
    dispatcher.all_are(4 * SHOPS, "delivered").await;
    assert_eq!(receiver.requests().len(), 4 * SHOPS);
    assert_eq!(dispatcher.count_messages().await, 4);
}

async fn an_endpoint_that_hangs_keeps_none_of_the_others_waiting(dispatcher: Dispatcher) {
    let receiver = Receiver::start().await.unwrap();
    dispatcher.subscribers(10, &receiver.url()).await;
    receiver.decide(|request| request.uri.path().starts_with("/shop-3/").then(Answer::hang));
    for _ in 0..3 {
        dispatcher.release().await;
    }
    let others = |requests: &[Received]| {
        let healthy = requests.iter().filter(|one| !one.uri.path().starts_with("/shop-3/")).count();
        (healthy == 27).then_some(())
    };
    // Sooner than any attempt times out.
    receiver.wait_until("the others to be told", Duration::from_millis(2_500), others).await.unwrap();
    let kept = || async {
        let states = states(&dispatcher.db).await;
        let count = |state| states.iter().filter(|(each, _)| each == state).count();
        (count("delivered") == 27 && count("pending") == 3).then_some(())
    };
    testkit::eventually("what hangs to be kept", WAIT, kept).await.unwrap();
}

async fn who_did_not_ask_for_it_is_told_nothing(dispatcher: Dispatcher) {
    let receiver = Receiver::start().await.unwrap();
    dispatcher.register("inst_quiet", &format!("{}/quiet", receiver.url())).await;
    dispatcher.release().await;
    // What comes later on the same way has been told, so the first has been looked at.
    let shop = dispatcher.register("inst_1", &format!("{}/shop", receiver.url())).await;
    dispatcher.set_events(shop.endpoint_id, &["release-published"]).await;
    let one_told = || async {
        dispatcher.release().await;
        (!receiver.requests().is_empty()).then_some(())
    };
    testkit::eventually("the subscriber to be told", WAIT, one_told).await.unwrap();
    assert!(
        receiver.requests().iter().all(|one| one.uri.path() == "/shop/admin/marketplace/release-published")
    );
    assert!(dispatcher.deliveries_to("inst_quiet").await.is_empty());
}

async fn what_is_told_to_a_disabled_endpoint_is_held_until_it_is_enabled(dispatcher: Dispatcher) {
    let receiver = Receiver::start().await.unwrap();
    dispatcher.subscribers(3, &receiver.url()).await;
    dispatcher.set_disabled("inst_1", true).await.unwrap();
    dispatcher.release().await;
    dispatcher.reaches("inst_1", "held").await;
    dispatcher.reaches("inst_0", "delivered").await;
    dispatcher.reaches("inst_2", "delivered").await;
    assert_eq!(told(&receiver.requests()).len(), 2);
    dispatcher.set_disabled("inst_1", false).await.unwrap();
    dispatcher.reaches("inst_1", "delivered").await;
    let requests = receiver.requests();
    assert!(requests.iter().all(|one| one.body == BODY), "the claimed one says the same");
    assert_eq!(told(&requests).len(), 3);
}

async fn a_release_is_kept_until_the_last_of_its_deliveries_is_forgotten(dispatcher: Dispatcher) {
    let delivery = DeliveryConfig {
        held_days: 365,
        allow_cidrs: vec!["127.0.0.0/8".parse().unwrap()],
        ..DeliveryConfig::default()
    };
    let retention = Duration::from_hours(24 * delivery.retention_days);
    let dispatcher = dispatcher.again(delivery).await;
    let receiver = Receiver::start().await.unwrap();
    dispatcher.subscribers(2, &receiver.url()).await;
    dispatcher.set_disabled("inst_1", true).await.unwrap();
    dispatcher.release().await;
    dispatcher.reaches("inst_1", "held").await;
    dispatcher.reaches("inst_0", "delivered").await;
    // Each look lets an hour pass, for the next round of the housekeeping.
    dispatcher.clock.advance(retention);
    let hourly = |done: bool| {
        dispatcher.clock.advance(Duration::from_hours(1));
        done.then_some(())
    };
    let forgotten = || async { hourly(dispatcher.deliveries_to("inst_0").await.is_empty()) };
    testkit::eventually("the delivered one to be forgotten", WAIT, forgotten).await.unwrap();
    assert_eq!(dispatcher.count_messages().await, 1, "the held one still says it");
    dispatcher.set_disabled("inst_1", false).await.unwrap();
    dispatcher.reaches("inst_1", "delivered").await;
    assert_eq!(receiver.requests().len(), 2);
    assert!(receiver.requests().iter().all(|one| one.body == BODY));
    dispatcher.reaches("inst_1", "delivered").await;
    dispatcher.clock.advance(retention);
    let gone = || async { hourly(dispatcher.count_messages().await == 0) };
    testkit::eventually("the message to go", WAIT, gone).await.unwrap();
    assert!(states(&dispatcher.db).await.is_empty());
}
