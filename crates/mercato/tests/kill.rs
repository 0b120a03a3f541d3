//! `kill -9` of each of the five processes and of the bus in the middle of 200 sales: no sale is lost, none doubled.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use futures::{StreamExt as _, TryStreamExt as _, stream};
use serde_json::json;
use testkit::{
    eventually,
    market::{Admin, Caller, Market, Options, Order, Package, Service, Shop, Topology},
};
use tokio::sync::watch;

const SHOPS: usize = 20;
const APPS: usize = 10;
const SALES: usize = SHOPS * APPS;
const AT_ONCE: usize = 8;
/// Until a service is back, and until what it had begun is taken over.
const PATIENCE: Duration = Duration::from_secs(90);

/// Who dies, in this order.
#[derive(Debug, Clone, Copy)]
enum Victim {
    Process(Service),
    Bus,
}

const VICTIMS: [Victim; 6] = [
    Victim::Process(Service::Payments),
    Victim::Process(Service::License),
    Victim::Bus,
    Victim::Process(Service::Dispatcher),
    Victim::Process(Service::Gateway),
    Victim::Process(Service::Catalog),
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_sale_is_lost_or_doubled_when_every_process_and_the_bus_are_killed() {
    let mut market = Market::start(Topology::FiveProcesses, Options::default()).await.unwrap();
    let admin = market.admin().unwrap();
    let apps = publish_apps(&admin).await;
    let shops = open_shops(&market).await;

    let (progress, paid) = watch::channel(0);
    let stripe = market.stripe().control().clone();
    let sales = tokio::spawn(sell_all(orders(&shops, &apps), stripe, progress));
    kill_all(&mut market, paid).await;
    sales.await.unwrap().unwrap();

    for shop in &shops {
        for app in &apps {
            shop.wait_for_license(app, PATIENCE).await.unwrap();
        }
    }
    assert_each_shop_was_told_once_of_each_licence(&shops, &apps);
    assert_each_order_has_one_licence(&admin, &shops, &apps).await;
    assert_nothing_is_left_to_deliver(&admin).await;
}

async fn publish_apps(admin: &Admin) -> Vec<String> {
    let vendor = admin.create_vendor("acme").await.unwrap();
    let mut apps = Vec::new();
    for number in 0..APPS {
        let package = Package::new(&format!("@acme/app-{number}")).price_cents(4900);
        admin.import(&vendor, &package).await.unwrap();
        apps.push(package.marketplace_id().to_owned());
    }
    apps
}

async fn open_shops(market: &Market) -> Vec<Arc<Shop>> {
    let names: Vec<String> = (0..SHOPS).map(|number| format!("shop-{number}")).collect();
    let opened = names.iter().map(|name| market.shop(name));
    futures::future::try_join_all(opened).await.unwrap().into_iter().map(Arc::new).collect()
}

/// A shop that gets no answer, or is told to come back, asks again; anything else would be a fault.
async fn sell_all(
    orders: Vec<(Arc<Shop>, String)>,
    stripe: Caller,
    progress: watch::Sender<usize>,
) -> anyhow::Result<()> {
    let (stripe, progress) = (&stripe, &progress);
    let sell = async |(shop, app): (Arc<Shop>, String)| {
        let order = eventually("a checkout", PATIENCE, async || checkout(&shop, &app).await).await??;
        let pay = format!("/sim/sessions/{}/pay", order.session_id);
        stripe.post(&pay, &json!({})).await?.success()?;
        progress.send_modify(|paid| *paid += 1);
        anyhow::Ok(())
    };
    stream::iter(orders).map(sell).buffer_unordered(AT_ONCE).try_collect().await
}

/// Every shop buys every app.
fn orders(shops: &[Arc<Shop>], apps: &[String]) -> Vec<(Arc<Shop>, String)> {
    apps.iter().flat_map(|app| shops.iter().map(|shop| (Arc::clone(shop), app.clone()))).collect()
}

async fn checkout(shop: &Shop, app: &str) -> Option<anyhow::Result<Order>> {
    let reply = shop.try_checkout(app, "1.0.0").await.ok()?;
    if reply.status == 503 {
        return None;
    }
    Some(reply.ok().map(|order| {
        let url = order["url"].as_str().unwrap().to_owned();
        let session_id = url.rsplit('/').next().unwrap().to_owned();
        Order { id: order["id"].as_str().unwrap().to_owned(), session_id, url }
    }))
}

async fn kill_all(market: &mut Market, mut paid: watch::Receiver<usize>) {
    for (number, victim) in VICTIMS.into_iter().enumerate() {
        let sold = (number + 1) * SALES / (VICTIMS.len() + 1);
        paid.wait_for(|paid| *paid >= sold).await.unwrap();
        assert!(*paid.borrow() < SALES, "{victim:?} must die in the middle of the sales");
        match victim {
            Victim::Process(service) => {
                market.kill(service).unwrap();
                market.restart(service).await.unwrap();
            }
            Victim::Bus => {
                market.kill_bus().unwrap();
                market.restart_bus().await.unwrap();
            }
        }
    }
}

/// By the delivery ids: a shop may be told more than once, always under the same one (contracts.md section 3).
fn assert_each_shop_was_told_once_of_each_licence(shops: &[Arc<Shop>], apps: &[String]) {
    let mut keys = BTreeSet::new();
    for shop in shops {
        let mut told = BTreeMap::new();
        for webhook in shop.webhooks().unwrap() {
            keys.insert(webhook.license_key().unwrap().to_owned());
            told.insert(webhook.delivery_id.clone(), webhook.text("marketplace_id").unwrap().to_owned());
        }
        let mut told: Vec<String> = told.into_values().collect();
        told.sort();
        assert_eq!(told, apps, "{}", shop.id());
    }
    assert_eq!(keys.len(), SALES, "as many keys as sales");
}

async fn assert_each_order_has_one_licence(admin: &Admin, shops: &[Arc<Shop>], apps: &[String]) {
    let orders = admin.list_all("orders").await.unwrap();
    assert_eq!(orders.len(), SALES);
    assert!(orders.iter().all(|order| order["state"] == "paid"));
    assert_eq!(admin.list_all("licenses").await.unwrap().len(), SALES);
    for shop in shops {
        let licenses = admin.list("licenses", &[("instance_id", shop.id()), ("limit", "100")]).await.unwrap();
        let mut of: Vec<_> = licenses.iter().map(|one| one["marketplace_id"].as_str().unwrap()).collect();
        of.sort_unstable();
        assert_eq!(of, apps);
    }
}

/// The result of an attempt may have died with the dispatcher: then it was made again.
async fn assert_nothing_is_left_to_deliver(admin: &Admin) {
    let delivered = eventually("all deliveries to be delivered", PATIENCE, async || {
        let deliveries = admin.list_all("deliveries").await.ok()?;
        deliveries.iter().all(|one| one["state"] == "delivered").then_some(deliveries.len())
    });
    assert_eq!(delivered.await.unwrap(), SALES);
}
