//! What a shop receives.

use std::fs;

use testkit::receiver::Received;
use wire::{standard_webhooks, timed_signature};

use crate::harness::{Dispatcher, EMAIL, Shop, WAIT, secret};

over_both! {
    a_license_is_told_signed_and_recorded,
    a_license_that_comes_before_its_endpoint_waits_for_it,
    during_a_rotation_each_live_secret_signs,
    an_answer_without_end_is_cut_and_still_counts,
}

const BODY: &str = r#"{"marketplace_id":"@acme/seo-pro","version":"2.0.0","license_key":"CC-TEST-KEY","purchased_by":"merchant@shop.example"}"#;

async fn first_request(shop: &Shop) -> Received {
    shop.receiver.wait_for_count(1, WAIT).await.unwrap().remove(0)
}

async fn a_license_is_told_signed_and_recorded(dispatcher: Dispatcher) {
    let shop = dispatcher.shop("inst_1").await;
    dispatcher.issue("inst_1").await;
    let request = first_request(&shop).await;
    let detail = dispatcher.reaches("inst_1", "delivered").await;
    let delivery = detail.delivery.unwrap();

    assert_eq!((request.method.as_str(), request.uri.path()), ("POST", "/admin/marketplace/license-issued"));
    assert_eq!(request.body, BODY);
    assert_eq!(request.header("content-type"), Some("application/json"));
    assert_eq!(request.header("x-carpha-event"), Some("license-issued"));
    assert_eq!(request.header("x-carpha-delivery-id"), Some(delivery.delivery_id.as_str()));
    assert_eq!(request.header("user-agent"), Some(concat!("Mercato/", env!("CARGO_PKG_VERSION"))));
    for ours in ["traceparent", "tracestate", "accept-encoding", "referer", "cookie"] {
        assert_eq!(request.header(ours), None, "{ours}");
    }
    check_signatures(&dispatcher, &request, &delivery.delivery_id);
    assert_eq!((delivery.attempts, delivery.event.as_str()), (1, "license-issued"));
    let attempt = &detail.attempts[0];
    assert_eq!((attempt.number, attempt.status, attempt.outcome.as_str()), (1, Some(204), "success"));
    keeps_its_secrets(&dispatcher);
}

fn check_signatures(dispatcher: &Dispatcher, request: &Received, id: &str) {
    let (now, own) = (dispatcher.clock.now_secs(), secret(1));
    let header = request.header("x-carpha-signature").unwrap();
    timed_signature::verify(&[own.expose()], header, &request.body, now, 300).unwrap();
    assert_eq!(request.header("webhook-id"), Some(id));
    let (t, signature) =
        (request.header("webhook-timestamp").unwrap(), request.header("webhook-signature").unwrap());
    standard_webhooks::verify(&[&own], id, t, signature, &request.body, now, 300).unwrap();
}

/// No file of the store holds what is sealed.
fn keeps_its_secrets(dispatcher: &Dispatcher) {
    for file in fs::read_dir(dispatcher.folder.path()).unwrap() {
        let bytes = fs::read(file.unwrap().path()).unwrap();
        for sealed in [EMAIL, "CC-TEST-KEY", secret(1).expose()] {
            assert!(!bytes.windows(sealed.len()).any(|part| part == sealed.as_bytes()));
        }
    }
}

async fn a_license_that_comes_before_its_endpoint_waits_for_it(dispatcher: Dispatcher) {
    dispatcher.issue("inst_1").await;
    let shop = dispatcher.shop("inst_1").await;
    assert_eq!(first_request(&shop).await.body, BODY);
    dispatcher.reaches("inst_1", "delivered").await;
}

async fn during_a_rotation_each_live_secret_signs(dispatcher: Dispatcher) {
    let shop = dispatcher.shop("inst_1").await;
    let ends = dispatcher.clock.now_ms() + 60_000;
    let mut change = dispatcher.tenant("inst_1", &format!("{}/eu", shop.receiver.url()), 2);
    change.secrets = vec![dispatcher.sealed(&secret(2), None), dispatcher.sealed(&shop.secret, Some(ends))];
    dispatcher.tenant_changed(change).await;
    let moved = || async { dispatcher.endpoint("inst_1").await.filter(|it| it.base_url.ends_with("/eu")) };
    testkit::eventually("the rotation", WAIT, moved).await.unwrap();

    dispatcher.issue("inst_1").await;
    let both = first_request(&shop).await;
    assert_eq!(both.uri.path(), "/eu/admin/marketplace/license-issued");
    for own in [&shop.secret, &secret(2)] {
        let header = both.header("x-carpha-signature").unwrap();
        assert_eq!(header.matches("v1=").count(), 2);
        timed_signature::verify(&[own.expose()], header, &both.body, dispatcher.clock.now_secs(), 300)
            .unwrap();
    }
    dispatcher.clock.advance(std::time::Duration::from_secs(61));
    dispatcher.issue("inst_1").await;
    let later = shop.receiver.wait_for_count(2, WAIT).await.unwrap().remove(1);
    assert_eq!(later.header("x-carpha-signature").unwrap().matches("v1=").count(), 1);
    assert_eq!(later.header("webhook-signature").unwrap().matches("v1,").count(), 1);
}

async fn an_answer_without_end_is_cut_and_still_counts(dispatcher: Dispatcher) {
    let shop = dispatcher.shop("inst_1").await;
    shop.receiver.answer(testkit::receiver::Answer::endless_body());
    dispatcher.issue("inst_1").await;
    let detail = dispatcher.reaches("inst_1", "delivered").await;
    assert_eq!(detail.attempts[0].response_size, Some(64 * 1024));
}
