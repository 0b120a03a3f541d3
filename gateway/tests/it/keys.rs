use std::{sync::atomic::Ordering, time::Duration};

use gateway::LimitsConfig;
use platform::limits::Limit;
use proto::events::{TenantChanged, subject};
use serde_json::{Value, json};

use crate::harness::{ADMIN_KEY, Gateway, SECRET_KEY, SHOP_KEY};

async fn own_licenses(gateway: &Gateway, key: &str) -> reqwest::Response {
    let url = format!("{}/store/marketplace/licenses", gateway.url);
    gateway.http.get(url).bearer_auth(key).send().await.unwrap()
}

#[tokio::test]
async fn a_key_is_looked_up_once_and_forgotten_when_its_shop_changes() {
    let gateway = Gateway::start().await;
    assert_eq!(own_licenses(&gateway, SECRET_KEY).await.status(), 200);
    assert_eq!(own_licenses(&gateway, SECRET_KEY).await.status(), 200);
    assert_eq!(gateway.script.resolved.load(Ordering::SeqCst), 1);
    *gateway.script.disabled.lock().unwrap() = true;
    let changed =
        TenantChanged { instance_id: "inst_1".to_owned(), disabled: true, ..TenantChanged::default() };
    gateway.publish(subject::TENANT_CHANGED, changed).await;
    let deadline = tokio::time::Instant::now() + Duration::from_secs(5);
    while own_licenses(&gateway, SECRET_KEY).await.status() != 401 {
        assert!(tokio::time::Instant::now() < deadline, "a disabled shop's key was still taken");
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_key_whose_end_has_come_is_not_taken_from_memory() {
    let gateway = Gateway::start().await;
    *gateway.script.key_ends_at_ms.lock().unwrap() = Some(1);
    assert_eq!(own_licenses(&gateway, SECRET_KEY).await.status(), 200, "license-svc answered while it lived");
    *gateway.script.disabled.lock().unwrap() = true;
    assert_eq!(own_licenses(&gateway, SECRET_KEY).await.status(), 401);
}

#[tokio::test]
async fn an_unknown_key_a_key_of_the_wrong_kind_and_none_are_each_told_what_to_send() {
    let gateway = Gateway::start().await;
    for (key, says) in
        [("sk_unknown", "not known"), (SHOP_KEY, "sk_"), (ADMIN_KEY, "sk_"), ("rubbish", "sk_")]
    {
        let refused = own_licenses(&gateway, key).await;
        assert_eq!(refused.status(), 401, "{key}");
        let body: Value = refused.json().await.unwrap();
        assert_eq!(body["type"], "unauthorized");
        assert!(body["message"].as_str().unwrap().contains(says), "{body}");
        assert!(body["request_id"].as_str().unwrap().starts_with("req_"));
    }
    let feed = gateway.http.get(format!("{}/store/marketplace/feed", gateway.url)).send().await.unwrap();
    assert_eq!(feed.status(), 401);
}

#[tokio::test]
async fn the_operator_is_known_by_the_whole_key_only() {
    let gateway = Gateway::start().await;
    let url = format!("{}/admin/instances", gateway.url);
    let almost = &ADMIN_KEY[..ADMIN_KEY.len() - 1];
    assert_eq!(gateway.http.get(&url).bearer_auth(almost).send().await.unwrap().status(), 401);
    let through = gateway.http.get(&url).bearer_auth(ADMIN_KEY).send().await.unwrap();
    assert_ne!(through.status(), 401, "the script answers what it answers, but the key is taken");
}

#[tokio::test]
async fn a_question_without_a_key_has_the_tighter_limit() {
    let limits = LimitsConfig {
        key: Limit { requests: 100, window_seconds: 3600 },
        address: Limit { requests: 100, window_seconds: 3600 },
        verify_without_key: Limit { requests: 1, window_seconds: 3600 },
        ..LimitsConfig::default()
    };
    let gateway = Gateway::with_limits(limits).await;
    let question = json!({ "license_key": "CC-1", "marketplace_id": "@v/app", "instance_id": "inst_1" });
    assert_eq!(gateway.verify(None, question.clone()).await.status(), 200);
    let refused = gateway.verify(None, question.clone()).await;
    assert_eq!(refused.status(), 429);
    assert!(refused.headers().contains_key("retry-after"));
    assert_eq!(refused.headers()["x-ratelimit-limit"], "1");
    assert_eq!(refused.headers()["x-ratelimit-remaining"], "0");
    assert_eq!(refused.json::<Value>().await.unwrap()["type"], "rate_limited");
    assert_eq!(gateway.verify(Some(SHOP_KEY), question).await.status(), 200, "a key has its own limit");
}
