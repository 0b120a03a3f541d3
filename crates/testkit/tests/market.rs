//! The marketplace that black-box tests run on does what its documentation says, in both topologies.
#![allow(clippy::unwrap_used)]

use std::{process::ExitStatus, time::Duration};

use testkit::market::{Market, Options, Package, Service, Shop, Topology};

const APP: &str = "@acme/labels";
const SOON: Duration = Duration::from_secs(20);

async fn open(topology: Topology) -> (Market, Shop) {
    let market = Market::start(topology, Options::default()).await.unwrap();
    let admin = market.admin().unwrap();
    let vendor = admin.create_vendor("acme").await.unwrap();
    admin.import(&vendor, &Package::new(APP).price_cents(4900)).await.unwrap();
    let shop = market.shop("first-shop").await.unwrap();
    (market, shop)
}

async fn buys(market: &Market, shop: &Shop) -> String {
    let order = shop.checkout(APP, "1.0.0").await.unwrap();
    market.stripe().pay(&order.session_id).await.unwrap();
    let webhook = shop.wait_for_license(APP, SOON).await.unwrap();
    webhook.license_key().unwrap().to_owned()
}

#[tokio::test]
async fn a_shop_finds_buys_verifies_and_downloads() {
    for topology in Topology::ALL {
        let (mut market, shop) = open(topology).await;
        let feed = shop.feed(&[("search", "labels")]).await.unwrap().ok().unwrap();
        assert_eq!(feed["products"][0]["marketplace_id"], APP, "{topology:?}");
        let key = buys(&market, &shop).await;
        assert_eq!(shop.verify(&key, APP).await.unwrap().ok().unwrap()["code"], "VALID");
        assert_eq!(shop.licenses().await.unwrap()[0]["license_key"], key.as_str());
        assert!(!shop.download(APP, "1.0.0", Some(&key)).await.unwrap().is_empty());
        assert_eq!(shop.try_download(APP, "1.0.0", None).await.unwrap().error_type(), "payment_required");
        assert!(market.resident_kib().unwrap().values().all(|kib| *kib > 1_000));
        let ended = market.stop().await.unwrap();
        assert!(ended.values().all(ExitStatus::success), "{topology:?}: {ended:?}");
    }
}

#[tokio::test]
async fn what_was_killed_comes_back_with_its_data() {
    for topology in Topology::ALL {
        let (mut market, shop) = open(topology).await;
        let order = shop.checkout(APP, "1.0.0").await.unwrap();
        for service in [Service::License, Service::Payments] {
            market.kill(service).unwrap();
            market.restart(service).await.unwrap();
        }
        market.stripe().pay(&order.session_id).await.unwrap();
        let webhook = shop.wait_for_license(APP, SOON).await.unwrap();
        assert_eq!(webhook.event, "license-issued", "{topology:?}");
    }
}

#[tokio::test]
async fn the_bus_of_five_processes_can_be_killed_alone() {
    let (mut market, shop) = open(Topology::FiveProcesses).await;
    market.kill_bus().unwrap();
    let order = shop.checkout(APP, "1.0.0").await.unwrap();
    market.stripe().pay(&order.session_id).await.unwrap();
    market.restart_bus().await.unwrap();
    shop.wait_for_license(APP, SOON).await.unwrap();
}
