use std::{sync::atomic::Ordering, time::Duration};

use gateway::LimitsConfig;
use platform::limits::Limit;
use proto::events::{InstallationChanged, LicenseChanged, TenantChanged, subject};
use reqwest::Method;
use serde_json::{Value, json};

use crate::harness::{API_KEY, Gateway, INSTALLATION, OTHER_SECRET_KEY, SECRET_KEY};

const PATH: &str = "/store/marketplace/installations/introspect";

async fn introspect(gateway: &Gateway, shop: &str, key: &str) -> Value {
    let answer = gateway.call(Method::POST, PATH, shop).json(&json!({ "key": key })).send().await.unwrap();
    assert_eq!(answer.status(), 200);
    answer.json().await.unwrap()
}

fn asked(gateway: &Gateway) -> usize {
    gateway.script.installations.introspected.load(Ordering::SeqCst)
}

#[tokio::test]
async fn a_live_key_is_told_with_what_it_may_do_and_from_memory_the_second_time() {
    let gateway = Gateway::start().await;
    let expected = json!({
        "active": true, "installation_id": INSTALLATION, "marketplace_id": "@acme/hosted", "version": "1.0.0",
        "permissions": ["api:orders.read"],
    });
    assert_eq!(introspect(&gateway, SECRET_KEY, API_KEY).await, expected);
    assert_eq!(introspect(&gateway, SECRET_KEY, API_KEY).await, expected);
    assert_eq!(asked(&gateway), 1);
}

#[tokio::test]
async fn another_shops_key_and_one_that_is_none_are_not_active_and_nothing_more_is_told() {
    let gateway = Gateway::start().await;
    introspect(&gateway, SECRET_KEY, API_KEY).await;
    assert_eq!(introspect(&gateway, OTHER_SECRET_KEY, API_KEY).await, json!({ "active": false }));
    assert_eq!(introspect(&gateway, SECRET_KEY, "rubbish").await, json!({ "active": false }));
    let before = asked(&gateway);
    assert_eq!(introspect(&gateway, SECRET_KEY, "rubbish").await, json!({ "active": false }));
    assert_eq!(asked(&gateway), before + 1, "what is not active may become so: it is never kept");
}

#[tokio::test]
async fn a_key_that_dies_is_known_as_soon_as_any_change_of_it_is_told() {
    let installation =
        InstallationChanged { instance_id: "inst_1".to_owned(), ..InstallationChanged::default() };
    // The licence is another instance's: this one only holds a seat of it.
    let license = LicenseChanged {
        instance_id: "inst_2".to_owned(),
        marketplace_id: "@acme/hosted".to_owned(),
        ..LicenseChanged::default()
    };
    let tenant = TenantChanged { instance_id: "inst_1".to_owned(), ..TenantChanged::default() };
    dies_with(async |gateway| gateway.publish(subject::INSTALLATION_CHANGED, installation).await).await;
    dies_with(async |gateway| gateway.publish(subject::LICENSE_CHANGED, license).await).await;
    dies_with(async |gateway| gateway.publish(subject::TENANT_CHANGED, tenant).await).await;
}

async fn dies_with(tell: impl AsyncFnOnce(&Gateway)) {
    let gateway = Gateway::start().await;
    assert_eq!(introspect(&gateway, SECRET_KEY, API_KEY).await["active"], true);
    *gateway.script.installations.key_is_live.lock().unwrap() = false;
    tell(&gateway).await;
    let deadline = tokio::time::Instant::now() + Duration::from_secs(4);
    while introspect(&gateway, SECRET_KEY, API_KEY).await["active"] == true {
        assert!(
            tokio::time::Instant::now() < deadline,
            "the cache outlived the change; it lives 5 s by itself"
        );
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn after_a_removal_by_this_gateway_the_key_is_dead_at_once() {
    let gateway = Gateway::start().await;
    assert_eq!(introspect(&gateway, SECRET_KEY, API_KEY).await["active"], true);
    let path = format!("/store/marketplace/installations/{INSTALLATION}");
    assert_eq!(gateway.call(Method::DELETE, &path, SECRET_KEY).send().await.unwrap().status(), 202);
    assert_eq!(introspect(&gateway, SECRET_KEY, API_KEY).await, json!({ "active": false }));
}

#[tokio::test]
async fn a_busy_app_does_not_use_up_what_the_administrator_may_ask_nor_he_what_it_may() {
    let limit = |requests| Limit { requests, window_seconds: 86_400 };
    let limits = LimitsConfig { key: limit(2), introspect: limit(3), ..LimitsConfig::default() };
    let gateway = Gateway::with_limits(limits).await;
    let ask = async || {
        let call = gateway.call(Method::POST, PATH, SECRET_KEY).json(&json!({ "key": API_KEY }));
        call.send().await.unwrap()
    };
    let manage = async || {
        let path = "/store/marketplace/installations";
        gateway.call(Method::GET, path, SECRET_KEY).send().await.unwrap().status()
    };
    assert_eq!(manage().await, 200);
    for _ in 0..3 {
        assert_eq!(ask().await.status(), 200);
    }
    let refused = ask().await;
    assert_eq!(
        (refused.status().as_u16(), &refused.headers()["x-ratelimit-limit"]),
        (429, &"3".parse().unwrap())
    );
    assert_eq!(manage().await, 200, "the app's calls were counted as the administrator's");
    assert_eq!(manage().await, 429);
}

#[tokio::test]
async fn introspections_from_one_address_are_limited_whatever_key_they_come_with() {
    let limit = Limit { requests: 1, window_seconds: 86_400 };
    let limits = LimitsConfig { introspect: limit, ..LimitsConfig::default() };
    let gateway = Gateway::with_limits(limits).await;
    introspect(&gateway, SECRET_KEY, API_KEY).await;
    let call = gateway.call(Method::POST, PATH, OTHER_SECRET_KEY).json(&json!({ "key": API_KEY }));
    assert_eq!(call.send().await.unwrap().status(), 429);
}

#[tokio::test]
async fn a_body_that_says_more_than_the_key_is_refused() {
    let gateway = Gateway::start().await;
    let body = json!({ "key": API_KEY, "customer": "jo@example.com" });
    let refused = gateway.call(Method::POST, PATH, SECRET_KEY).json(&body).send().await.unwrap();
    assert_eq!(refused.status(), 400);
    let told = refused.text().await.unwrap();
    assert!(!told.contains(API_KEY) && !told.contains("jo@example.com"), "{told}");
}
