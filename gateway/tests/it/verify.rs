use std::sync::atomic::Ordering;

use proto::events::{LicenseChanged, subject};
use serde_json::{Value, json};

use crate::harness::{Gateway, OTHER_KEY, SHOP_KEY};

fn question() -> Value {
    json!({ "license_key": "CC-1", "marketplace_id": "@v/app", "instance_id": "inst_1" })
}

async fn answer(gateway: &Gateway, question: Value) -> Value {
    gateway.verify(Some(SHOP_KEY), question).await.json().await.unwrap()
}

#[tokio::test]
async fn a_valid_answer_is_told_from_memory_and_one_with_a_nonce_never() {
    let gateway = Gateway::start().await;
    let first = answer(&gateway, question()).await;
    assert_eq!(answer(&gateway, question()).await, first, "the same bytes that were signed");
    assert_eq!(gateway.script.verified.load(Ordering::SeqCst), 1);
    let mut with_nonce = question();
    with_nonce["nonce"] = json!("n1");
    let fresh = answer(&gateway, with_nonce).await;
    assert_eq!(fresh["nonce"], "n1");
    assert_ne!(fresh["token"], first["token"]);
}

#[tokio::test]
async fn a_revoked_licence_is_known_as_soon_as_the_change_is_told() {
    let gateway = Gateway::start().await;
    assert_eq!(answer(&gateway, question()).await["code"], "VALID");
    *gateway.script.revoked.lock().unwrap() = true;
    let changed = LicenseChanged { license_id: "lic_1".to_owned(), ..LicenseChanged::default() };
    gateway.publish(subject::LICENSE_CHANGED, changed).await;
    let deadline = tokio::time::Instant::now() + std::time::Duration::from_secs(2);
    while answer(&gateway, question()).await["code"] != "REVOKED" {
        assert!(
            tokio::time::Instant::now() < deadline,
            "the cache outlived the change; it lives 5 s by itself"
        );
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn an_answer_in_memory_is_not_told_to_another_shop() {
    let gateway = Gateway::start().await;
    answer(&gateway, question()).await;
    let other = gateway.verify(Some(OTHER_KEY), question()).await;
    assert_eq!(other.status(), 403);
    assert_eq!(other.json::<Value>().await.unwrap()["type"], "not_allowed");
}

#[tokio::test]
async fn a_refusal_is_never_kept() {
    let gateway = Gateway::start().await;
    *gateway.script.revoked.lock().unwrap() = true;
    assert_eq!(answer(&gateway, question()).await["code"], "REVOKED");
    *gateway.script.revoked.lock().unwrap() = false;
    assert_eq!(answer(&gateway, question()).await["code"], "VALID");
}
