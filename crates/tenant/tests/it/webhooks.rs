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
