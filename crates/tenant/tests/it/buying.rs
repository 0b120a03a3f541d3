use super::{
    marketplace::{APP, FREE, INSTANCE, Marketplace, SK},
    shop::{EMAIL, Shop},
};

#[tokio::test]
async fn from_buy_to_installed() {
    let marketplace = Marketplace::start().await;
    let shop = Shop::connected_to(&marketplace).await;

    let paying = shop.buy(APP, "1.0.0").await;
    assert_eq!(paying.status, 303);
    assert_eq!(paying.location.unwrap(), format!("{}/pay/ord_01", marketplace.url));
    let waiting = shop.get("/admin/marketplace/thanks?order=ord_01").await;
    assert!(
        waiting.html.contains(r#"data-step="paying""#) && waiting.html.contains(r#"http-equiv="refresh""#)
    );

    assert_eq!(shop.deliver_license("dly_1", APP, "1.0.0", &marketplace.license_key()).await, 200);
    let app = shop.settled(APP).await;
    assert_eq!((&app["state"], &app["version"]), (&"installed".into(), &"1.0.0".into()));
    assert_eq!(shop.code_of("invoices").unwrap(), "// invoices 1.0.0");

    let thanks = shop.get("/admin/marketplace/thanks").await;
    assert!(thanks.html.contains(r#"data-step="installed""#), "{}", thanks.html);
    assert!(!thanks.html.contains(r#"http-equiv="refresh""#));
    let feed = shop.get("/admin/marketplace").await;
    assert!(feed.card(APP).contains(r#"data-state="installed""#) && !feed.card(APP).contains("data-action"));
}

#[tokio::test]
async fn what_leaves_the_shop_is_ids_versions_the_sealed_instance_and_the_buyers_address_at_checkout() {
    let marketplace = Marketplace::start().await;
    let shop = Shop::connected_to(&marketplace).await;
    shop.buy(APP, "1.0.0").await;
    shop.deliver_license("dly_1", APP, "1.0.0", &marketplace.license_key()).await;
    shop.settled(APP).await;
    shop.get("/admin/marketplace?search=seo").await;
    shop.get("/admin/plugins").await;
    shop.post("/admin/marketplace/licenses", &[]).await;

    let heard = marketplace.world().heard.clone();
    assert!(heard.len() >= 7, "{}", heard.len());
    for request in &heard {
        assert!(!request.contains(INSTANCE), "the instance id in plain");
        assert_eq!(request.contains(EMAIL), request.starts_with("POST /store/marketplace/checkout/session"));
        let is_administrators = ["GET /store/marketplace/licenses", "GET /store/marketplace/installations"];
        assert_eq!(request.contains(SK), is_administrators.iter().any(|one| request.starts_with(one)));
        for header in request.lines().skip(1).take_while(|line| !line.is_empty()) {
            let name = header.split(':').next().unwrap();
            let allowed = [
                "accept",
                "authorization",
                "content-length",
                "content-type",
                "host",
                "idempotency-key",
                "user-agent",
                "x-carpha-instance",
                "x-carpha-license",
                "x-publishable-api-key",
            ];
            assert!(allowed.contains(&name), "{name}");
        }
    }
}

#[tokio::test]
async fn a_purchase_that_the_marketplace_refuses_is_told_and_leaves_no_wish() {
    let marketplace = Marketplace::start().await;
    let shop =
        Shop::start(tempfile::tempdir().unwrap(), Some(&marketplace), |config| config.admin_email = None)
            .await;
    let refused = shop.buy(APP, "1.0.0").await;
    assert_eq!(refused.status, 409);
    assert!(refused.html.contains("TENANT_ADMIN_EMAIL"));
    assert_eq!(shop.status().await["open_checkouts"], 0);
    assert!(marketplace.world().keys_of_checkouts.is_empty());
}

#[tokio::test]
async fn a_checkout_whose_answer_was_lost_is_still_a_wish() {
    let marketplace = Marketplace::start().await;
    let shop = Shop::connected_to(&marketplace).await;
    // The sealing key is known from an earlier call, so that only the checkout fails.
    shop.buy(FREE, "1.0.0").await;
    marketplace.world().is_down = true;
    assert_eq!(shop.buy(APP, "1.0.0").await.status, 502);
    marketplace.world().is_down = false;
    shop.deliver_license("dly_1", APP, "1.0.0", &marketplace.license_key()).await;
    assert_eq!(shop.settled(APP).await["state"], "installed");
}

#[tokio::test]
async fn a_licence_whose_webhook_never_came_is_found() {
    let marketplace = Marketplace::start().await;
    let shop = Shop::connected_to(&marketplace).await;
    shop.buy(APP, "1.0.0").await;
    let license_key = marketplace.license_key();
    marketplace.world().licenses = vec![serde_json::json!({
        "id": "lic_01", "status": "active", "marketplace_id": APP, "version": "1.0.0",
        "license_key": license_key, "seats": 1,
    })];
    let found = shop.post("/admin/marketplace/licenses", &[]).await;
    assert_eq!(found.location.as_deref(), Some("/admin/plugins?found=1"));
    assert_eq!(shop.settled(APP).await["state"], "installed");
    let again = shop.post("/admin/marketplace/licenses", &[]).await;
    assert_eq!(again.location.as_deref(), Some("/admin/plugins?found=0"));
}
