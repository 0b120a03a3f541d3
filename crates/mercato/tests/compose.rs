//! Containers that die: `cargo xtask compose-test` runs this against the deployment that it has brought up.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::time::Duration;

use testkit::{
    eventually,
    market::{Market, Options, Order, Package, Shop, Topology},
};

/// A container starts, its service is found again, and what was due meanwhile is made up for.
const PATIENCE: Duration = Duration::from_mins(2);
const VICTIMS: [&str; 9] = [
    "license-svc",
    "payments-svc",
    "webhook-dispatcher",
    "catalog-svc",
    "gateway",
    "nats",
    "postgres",
    "valkey",
    "s3",
];

/// An app on sale, and a shop that buys it again and again for others.
struct Stage {
    market: Market,
    app: String,
}

impl Stage {
    async fn set() -> Self {
        let market = Market::start(Topology::FiveProcesses, Options::default()).await.unwrap();
        let admin = market.admin().unwrap();
        let vendor = admin.create_vendor(&market.unique("vendor")).await.unwrap();
        let app = format!("@{}/labels", vendor.name);
        admin.import(&vendor, &Package::new(&app).price_cents(4900)).await.unwrap();
        Self { market, app }
    }

    async fn order(&self, shop: &str) -> (Shop, Order) {
        let shop = self.market.shop(&self.market.unique(shop)).await.unwrap();
        let order = shop.checkout(&self.app, "1.0.0").await.unwrap();
        (shop, order)
    }

    /// A sale that is paid while this container is dead.
    async fn sell_without(&self, victim: &str) {
        let (shop, order) = self.order(&format!("shop-of-{victim}")).await;
        self.market.kill_container(victim).await.unwrap();
        self.market.stripe().pay(&order.session_id).await.unwrap();
        self.market.start_container(victim).await.unwrap();
        let told = shop.wait_for_license(&self.app, PATIENCE).await.expect(victim);
        self.market.until_containers_are_ready().await.unwrap();
        let key = told.license_key().unwrap().to_owned();
        let good = async || {
            let answer = shop.verify(&key, &self.app).await.ok()?;
            (answer.body["code"] == "VALID").then_some(())
        };
        eventually("the licence to be good", PATIENCE, good).await.expect(victim);
        let admin = self.market.admin().unwrap();
        let sold = admin.list("licenses", &[("order_id", order.id.as_str())]).await.unwrap();
        assert_eq!(sold.len(), 1, "one licence of one order, though {victim} died");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sale_outlives_each_container() {
    let stage = Stage::set().await;
    for victim in VICTIMS {
        stage.sell_without(victim).await;
        println!("ok      {victim} was killed while a sale was on its way");
    }
}
