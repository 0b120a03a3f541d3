use std::time::Duration;

use platform::Clock;
use serde_json::{Value, json};

use super::{
    marketplace::{APP, Marketplace},
    shop::Shop,
};

const DAY: Duration = Duration::from_hours(24);
/// Each step waits for the disk, which others on the machine may keep busy.
const PATIENCE: Duration = Duration::from_mins(1);

async fn bought(marketplace: &Marketplace) -> Shop {
    let shop = Shop::connected_to(marketplace).await;
    shop.buy(APP, "1.0.0").await;
    shop.deliver_license("dly_1", APP, "1.0.0", &marketplace.license_key()).await;
    shop.settled(APP).await;
    shop
}

/// How the licence stands, once it has been asked about.
async fn standing(shop: &Shop, wanted: &str) -> Value {
    let mut standing = Value::Null;
    let patience = tokio::time::timeout(PATIENCE, async {
        while standing["standing"] != wanted {
            standing = shop.status().await["apps"][0]["license"].clone();
            tokio::task::yield_now().await;
        }
    });
    assert!(patience.await.is_ok(), "the licence never became {wanted}: {standing}");
    standing
}

/// The shop starts again on its folder, at a later time.
async fn later(folder: tempfile::TempDir, marketplace: &Marketplace, clock: &Clock, by: Duration) -> Shop {
    clock.advance(by);
    Shop::start(folder, Some(marketplace), |config| config.clock = clock.clone()).await
}

#[tokio::test]
async fn a_shop_keeps_an_app_running_for_seven_days_without_the_marketplace() {
    let marketplace = Marketplace::start().await;
    let shop = bought(&marketplace).await;
    standing(&shop, "valid").await;
    let clock = shop.clock.clone();
    let folder = shop.stop().await;
    marketplace.world().is_down = true;

    let shop = later(folder, &marketplace, &clock, 3 * DAY).await;
    let grace = standing(&shop, "grace").await;
    assert_eq!(grace["until"], (super::marketplace::NOW_MS / 1000) + 7 * 24 * 60 * 60);
    assert!(shop.get("/admin/plugins").await.html.contains("may run until"));
    let folder = shop.stop().await;

    let shop = later(folder, &marketplace, &clock, 4 * DAY).await;
    standing(&shop, "unproven").await;
}

#[tokio::test]
async fn a_revoked_licence_is_shown_and_gives_no_grace() {
    let marketplace = Marketplace::start().await;
    let shop = bought(&marketplace).await;
    standing(&shop, "valid").await;
    let clock = shop.clock.clone();
    let folder = shop.stop().await;
    marketplace.world().code = "REVOKED";
    let shop = later(folder, &marketplace, &clock, DAY).await;
    assert_eq!(standing(&shop, "refused").await["code"], "REVOKED");
    let folder = shop.stop().await;
    marketplace.world().is_down = true;
    let shop = later(folder, &marketplace, &clock, DAY).await;
    standing(&shop, "unproven").await;
}

/// No day passes: the shop asks because it is told.
#[tokio::test]
async fn a_shop_that_is_told_of_its_licence_asks_at_once_how_it_stands() {
    let marketplace = Marketplace::start().await;
    let shop = bought(&marketplace).await;
    standing(&shop, "valid").await;
    let told =
        json!({ "marketplace_id": APP, "license_key": marketplace.license_key(), "reason": "dispute" });
    for (event, code, wanted) in [
        ("license-suspended", "SUSPENDED", "refused"),
        ("license-reinstated", "VALID", "valid"),
        ("license-revoked", "REVOKED", "refused"),
    ] {
        marketplace.world().code = code;
        assert_eq!(shop.deliver_event(event, &format!("dly_{event}"), &told).await, 200);
        standing(&shop, wanted).await;
    }
}
