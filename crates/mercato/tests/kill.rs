//! `kill -9` of each of the five processes and of the bus in the middle of 200 sales: no sale is lost, none doubled. In
//! containers (`cargo xtask compose-test`) the stores die too.

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
use tokio::sync::{Semaphore, watch};

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
    Container(&'static str),
}

const VICTIMS: [Victim; 6] = [
    Victim::Process(Service::Payments),
    Victim::Process(Service::License),
    Victim::Bus,
    Victim::Process(Service::Dispatcher),
    Victim::Process(Service::Gateway),
    Victim::Process(Service::Catalog),
];

/// Where nobody else needs them.
const STORES: [Victim; 2] = [Victim::Container("postgres"), Victim::Container("valkey")];

/// What was there before: a marketplace of containers is not empty.
struct Before {
    orders: usize,
    licenses: usize,
    deliveries: usize,
}

impl Before {
    async fn count(admin: &Admin) -> Self {
        let of = async |what| admin.list_all(what).await.unwrap().len();
        Self {
            orders: of("orders").await,
            licenses: of("licenses").await,
            deliveries: of("deliveries").await,
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_sale_is_lost_or_doubled_when_every_process_and_the_bus_are_killed() {
    let mut market = Market::start(Topology::FiveProcesses, Options::default()).await.unwrap();
    let admin = market.admin().unwrap();
    let before = Before::count(&admin).await;
    let apps = publish_apps(&admin, &market.unique("acme")).await;
    let shops = open_shops(&market).await;

    let (progress, paid) = watch::channel(0);
    let stripe = market.stripe().control().clone();
    let victims = victims(&market);
    // As many as are made until a victim dies, and as many again until it is back: however long that takes, there are
    // sales in the middle of which the next one dies.
    let allowed = Arc::new(Semaphore::new(2 * between(&victims)));
    let sales = tokio::spawn(sell_all(orders(&shops, &apps), stripe, progress, Arc::clone(&allowed)));
    kill_all(&mut market, &victims, paid, &allowed).await;
    sales.await.unwrap().unwrap();

    for shop in &shops {
        for app in &apps {
            shop.wait_for_license(app, PATIENCE).await.unwrap();
        }
    }
    assert_each_shop_was_told_once_of_each_licence(&shops, &apps);
    assert_each_order_has_one_licence(&admin, &before, &shops, &apps).await;
    assert_nothing_is_left_to_deliver(&admin, &before).await;
}

async fn publish_apps(admin: &Admin, vendor: &str) -> Vec<String> {
    let vendor = admin.create_vendor(vendor).await.unwrap();
    let mut apps = Vec::new();
    for number in 0..APPS {
        let package = Package::new(&format!("@{}/app-{number}", vendor.name)).price_cents(4900);
        admin.import(&vendor, &package).await.unwrap();
        apps.push(package.marketplace_id().to_owned());
    }
    apps
}

async fn open_shops(market: &Market) -> Vec<Arc<Shop>> {
    let names: Vec<String> = (0..SHOPS).map(|number| market.unique(&format!("shop-{number}"))).collect();
    let opened = names.iter().map(|name| market.shop(name));
    futures::future::try_join_all(opened).await.unwrap().into_iter().map(Arc::new).collect()
}

/// A shop that gets no answer, or is told to come back, asks again; anything else would be a fault.
async fn sell_all(
    orders: Vec<(Arc<Shop>, String)>,
    stripe: Caller,
    progress: watch::Sender<usize>,
    allowed: Arc<Semaphore>,
) -> anyhow::Result<()> {
    let (stripe, progress, allowed) = (&stripe, &progress, &allowed);
    let sell = async |(shop, app): (Arc<Shop>, String)| {
        allowed.acquire().await?.forget();
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

fn victims(market: &Market) -> Vec<Victim> {
    let stores = if market.has_containers() { &STORES[..] } else { &[] };
    [&VICTIMS[..], stores].concat()
}

/// So many sales are made between two of them.
fn between(victims: &[Victim]) -> usize {
    SALES / (victims.len() + 1)
}

async fn kill_all(
    market: &mut Market,
    victims: &[Victim],
    mut paid: watch::Receiver<usize>,
    allowed: &Semaphore,
) {
    for (number, victim) in victims.iter().enumerate() {
        let sold = (number + 1) * between(victims);
        paid.wait_for(|paid| *paid >= sold).await.unwrap();
        assert!(*paid.borrow() < SALES, "{victim:?} must die in the middle of the sales");
        match *victim {
            Victim::Process(service) => {
                market.kill(service).unwrap();
                market.restart(service).await.unwrap();
            }
            Victim::Container(name) => {
                market.kill_container(name).unwrap();
                market.start_container(name).await.unwrap();
            }
            Victim::Bus => {
                market.kill_bus().unwrap();
                market.restart_bus().await.unwrap();
            }
        }
        allowed.add_permits(between(victims));
    }
    allowed.add_permits(SALES);
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

async fn assert_each_order_has_one_licence(
    admin: &Admin,
    before: &Before,
    shops: &[Arc<Shop>],
    apps: &[String],
) {
    let orders = admin.list_all("orders").await.unwrap();
    assert_eq!(orders.len(), before.orders + SALES);
    assert!(orders.iter().all(|order| order["state"] == "paid"));
    assert_eq!(admin.list_all("licenses").await.unwrap().len(), before.licenses + SALES);
    for shop in shops {
        let licenses = admin.list("licenses", &[("instance_id", shop.id()), ("limit", "100")]).await.unwrap();
        let mut of: Vec<_> = licenses.iter().map(|one| one["marketplace_id"].as_str().unwrap()).collect();
        of.sort_unstable();
        assert_eq!(of, apps);
    }
}

/// The result of an attempt may have died with the dispatcher: then it was made again.
async fn assert_nothing_is_left_to_deliver(admin: &Admin, before: &Before) {
    let delivered = eventually("all deliveries to be delivered", PATIENCE, async || {
        let deliveries = admin.list_all("deliveries").await.ok()?;
        deliveries.iter().all(|one| one["state"] == "delivered").then_some(deliveries.len())
    });
    assert_eq!(delivered.await.unwrap(), before.deliveries + SALES);
}
