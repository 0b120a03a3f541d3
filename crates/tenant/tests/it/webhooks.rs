use serde_json::json;
use wire::standard_webhooks::WebhookSecret;

use super::{
    marketplace::{APP, Marketplace},
    shop::{Shop, license_issued, webhook_secret},
};

#[tokio::test]
async fn a_wrong_signature_is_refused_and_changes_nothing() {
    let marketplace = Marketplace::start().await;
    let shop = Shop::connected_to(&marketplace).await;
    shop.buy(APP, "1.0.0").await;
    let body = license_issued(APP, "1.0.0", &marketplace.license_key());
    let guessed = WebhookSecret::from_random([4; 32]);
    assert_eq!(shop.deliver("dly_1", shop.clock.now_secs(), &guessed, &body).await, 401);
    let status = shop.status().await;
    assert_eq!(
        (status["apps"].as_array().unwrap().len(), &status["offers"], &status["open_checkouts"]),
        (0, &0.into(), &1.into())
    );
    assert_eq!(shop.deliver("dly_1", shop.clock.now_secs(), &webhook_secret(), &body).await, 200);
}

#[tokio::test]
async fn a_clock_off_by_ten_minutes_is_refused_on_both_sides() {
    let marketplace = Marketplace::start().await;
    let shop = Shop::connected_to(&marketplace).await;
    let body = license_issued(APP, "1.0.0", &marketplace.license_key());
    for off in [-600, 600] {
        let t = shop.clock.now_secs() + off;
        assert_eq!(shop.deliver("dly_1", t, &webhook_secret(), &body).await, 401);
    }
    assert_eq!(shop.status().await["offers"], 0);
}

#[tokio::test]
async fn a_replay_is_answered_and_has_no_effect_even_after_a_restart() {
    let marketplace = Marketplace::start().await;
    let shop = Shop::connected_to(&marketplace).await;
    let key = marketplace.license_key();
    assert_eq!(shop.deliver_license("dly_1", APP, "1.0.0", &key).await, 200);
    shop.post("/admin/marketplace/offers", &[("id", "dly_1"), ("act", "dismiss")]).await;
    assert_eq!(shop.deliver_license("dly_1", APP, "1.0.0", &key).await, 200);
    assert_eq!(shop.status().await["offers"], 0);
    let folder = shop.stop().await;
    let shop = Shop::start(folder, Some(&marketplace), |_| {}).await;
    assert_eq!(shop.deliver_license("dly_1", APP, "1.0.0", &key).await, 200);
    assert_eq!(shop.status().await["offers"], 0);
}

#[tokio::test]
async fn one_delivery_that_arrives_many_times_at_once_counts_once() {
    let marketplace = Marketplace::start().await;
    let shop = Shop::connected_to(&marketplace).await;
    let key = marketplace.license_key();
    let post = || shop.deliver_license("dly_1", APP, "1.0.0", &key);
    let answers = tokio::join!(post(), post(), post(), post());
    assert_eq!(answers, (200, 200, 200, 200));
    assert_eq!(shop.status().await["offers"], 1);
}

#[tokio::test]
async fn what_nobody_asked_for_is_only_shown_until_it_is_accepted() {
    let marketplace = Marketplace::start().await;
    let shop = Shop::connected_to(&marketplace).await;
    assert_eq!(shop.deliver_license("dly_1", APP, "1.0.0", &marketplace.license_key()).await, 200);
    let status = shop.status().await;
    assert_eq!((status["apps"].as_array().unwrap().len(), &status["offers"]), (0, &1.into()));
    let page = shop.get("/admin/marketplace").await;
    assert!(
        page.html.contains(&format!(r#"data-offer="{APP}""#))
            && page.html.contains(r#"data-action="accept""#)
    );
    assert!(!page.html.contains(&marketplace.license_key()), "the key is nobody's to read");

    shop.post("/admin/marketplace/offers", &[("id", "dly_1"), ("act", "accept")]).await;
    assert_eq!(shop.settled(APP).await["state"], "installed");
    assert!(!shop.get("/admin/plugins").await.html.contains("data-offer"));
}

#[tokio::test]
async fn a_signed_body_of_another_form_is_a_bad_request() {
    let marketplace = Marketplace::start().await;
    let shop = Shop::connected_to(&marketplace).await;
    let answer = shop.deliver("dly_1", shop.clock.now_secs(), &webhook_secret(), b"{}").await;
    assert_eq!(answer, 400);
}

#[tokio::test]
async fn further_events_are_taken_when_they_are_signed_and_no_others() {
    let marketplace = Marketplace::start().await;
    let shop = Shop::connected_to(&marketplace).await;
    let license =
        json!({ "marketplace_id": APP, "license_key": marketplace.license_key(), "reason": "dispute" });
    let release =
        json!({ "marketplace_id": APP, "version": "2.0.0", "changelog_url": null, "security": true });
    let installation = json!({ "installation_id": "itn_1", "marketplace_id": APP, "version": "2.0.0", "state": "installed" });
    let verification = json!({ "endpoint_id": "ep_1" });
    for (event, body) in [
        ("endpoint-verification", &verification),
        ("license-revoked", &license),
        ("license-suspended", &license),
        ("license-reinstated", &license),
        ("release-published", &release),
        ("installation-changed", &installation),
    ] {
        for _ in 0..2 {
            assert_eq!(shop.deliver_event(event, &format!("dly_{event}"), body).await, 200, "{event}");
        }
        let (now, guessed) = (shop.clock.now_secs(), WebhookSecret::from_random([4; 32]));
        let bytes = body.to_string().into_bytes();
        assert_eq!(shop.tell(event, "dly_2", now, &guessed, &bytes).await, 401, "{event}");
        assert_eq!(shop.deliver_event(event, "dly_3", &json!({})).await, 400, "{event}");
    }
    assert_eq!(shop.status().await["offers"], 0, "nothing of it is a licence that came");
    assert_eq!(shop.deliver_event("license-lent", "dly_4", &license).await, 404);
}
