//! What shops notice when a part of the marketplace is away.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::time::Duration;

use testkit::{
    eventually,
    market::{Market, Options, Package, Service, Shop, Topology},
};

const SOON: Duration = Duration::from_secs(30);
const APP: &str = "@acme/labels";

/// Five processes, and a shop that has bought the app.
async fn sell() -> (Market, Shop, String) {
    let market = Market::start(Topology::FiveProcesses, Options::default()).await.unwrap();
    let admin = market.admin().unwrap();
    let vendor = admin.create_vendor("acme").await.unwrap();
    admin.import(&vendor, &Package::new(APP).price_cents(4900)).await.unwrap();
    let shop = market.shop("a-shop").await.unwrap();
    let order = shop.checkout(APP, "1.0.0").await.unwrap();
    market.stripe().pay(&order.session_id).await.unwrap();
    let key = shop.wait_for_license(APP, SOON).await.unwrap().license_key().unwrap().to_owned();
    (market, shop, key)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_redis_shops_are_served_on() {
    let (mut market, shop, key) = sell().await;
    market.kill_redis().unwrap();
    for _ in 0..20 {
        let feed = shop.feed(&[]).await.unwrap();
        assert!(feed.status == 200 && !feed.header("x-ratelimit-remaining").is_empty());
        assert_eq!(shop.verify(&key, APP).await.unwrap().body["code"], "VALID");
    }
    market.restart(Service::Gateway).await.unwrap();
    shop.feed(&[]).await.unwrap().success().unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_the_bus_a_payment_is_taken_and_the_licence_comes_when_it_is_back() {
    let (mut market, _, _) = sell().await;
    let shop = market.shop("another-shop").await.unwrap();
    let order = shop.checkout(APP, "1.0.0").await.unwrap();
    market.kill_bus().unwrap();
    market.stripe().pay(&order.session_id).await.unwrap();
    let admin = market.admin().unwrap();
    let path = format!("/admin/orders/{}", order.id);
    let paid = eventually("the payment to be taken", SOON, async || {
        let order = admin.caller().get(&path).await.ok()?.body;
        (order["state"] == "paid").then_some(())
    });
    paid.await.unwrap();
    assert!(shop.receiver.requests().is_empty() && shop.licenses().await.unwrap().is_empty());
    market.restart_bus().await.unwrap();
    shop.wait_for_license(APP, SOON).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_the_licence_service_a_shop_is_told_to_come_back_and_the_feed_goes_on() {
    let (mut market, shop, key) = sell().await;
    // From here on the gateway knows the shop's key by itself.
    shop.feed(&[]).await.unwrap().success().unwrap();
    market.kill(Service::License).unwrap();
    shop.feed(&[]).await.unwrap().success().unwrap();
    let checkout = shop.try_checkout(APP, "1.0.0").await.unwrap();
    assert_eq!((checkout.status, checkout.error_type()), (503, "unavailable"), "{}", checkout.body);
    assert!(!checkout.header("retry-after").is_empty());
    let gateway = market.logs().remove("gateway").unwrap();
    assert!(!gateway.contains(&key) && !checkout.message().contains("127.0.0.1"), "{}", checkout.message());
    market.restart(Service::License).await.unwrap();
    let valid = eventually("the licence to be verified again", SOON, async || {
        let answer = shop.verify(&key, APP).await.ok()?;
        (answer.body["code"] == "VALID").then_some(())
    });
    valid.await.unwrap();
}
