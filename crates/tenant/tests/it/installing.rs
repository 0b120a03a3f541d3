use std::time::Duration;

use super::{
    marketplace::{APP, FREE, Marketplace},
    release::{Release, key, zip_of},
    shop::Shop,
};

/// Installs the free app and gives what kept it from being installed.
async fn refusal(shop: &Shop) -> String {
    assert_eq!(shop.install(FREE, "1.0.0").await.status, 303);
    let app = shop.settled(FREE).await;
    assert_eq!(app["state"], "waiting", "{app}");
    assert_eq!(shop.code_of("seo"), None);
    let page = shop.get("/admin/plugins").await;
    assert!(page.card(FREE).contains(r#"data-action="resume""#), "{}", page.html);
    app["problem"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn a_free_app_is_installed_and_updated() {
    let marketplace = Marketplace::start().await;
    let shop = Shop::connected_to(&marketplace).await;
    let feed = shop.get("/admin/marketplace").await;
    assert!(
        feed.card(FREE).contains(r#"data-action="install""#)
            && feed.card(APP).contains(r#"data-action="buy""#)
    );
    shop.install(FREE, "1.0.0").await;
    assert_eq!(shop.settled(FREE).await["version"], "1.0.0");

    marketplace.publish(Release::new(FREE, "1.1.0", 0));
    let plugins = shop.get("/admin/plugins").await;
    assert!(plugins.card(FREE).contains(r#"data-action="update""#), "{}", plugins.html);
    assert!(shop.get("/admin/marketplace").await.card(FREE).contains(r#"data-action="update""#));
    shop.post("/admin/marketplace/update", &[("app", FREE), ("version", "1.1.0")]).await;
    let app = shop.settled(FREE).await;
    assert_eq!((&app["state"], &app["version"]), (&"installed".into(), &"1.1.0".into()));
    assert_eq!(shop.code_of("seo").unwrap(), "// seo 1.1.0");
}

#[tokio::test]
async fn a_tampered_zip_is_not_installed() {
    let marketplace = Marketplace::start().await;
    let shop = Shop::connected_to(&marketplace).await;
    marketplace.change_release(FREE, |release| {
        let mut served = release.zip.clone();
        served[40] ^= 1;
        release.served = Some(served);
    });
    assert!(refusal(&shop).await.contains("SHA-256"));
}

#[tokio::test]
async fn a_longer_download_than_announced_is_cut_off() {
    let marketplace = Marketplace::start().await;
    let shop = Shop::start(tempfile::tempdir().unwrap(), Some(&marketplace), |config| {
        config.limits.archive_bytes = 100;
    })
    .await;
    assert!(refusal(&shop).await.contains("larger"));
}

#[tokio::test]
async fn a_zip_that_another_key_than_the_named_one_signed_is_not_installed() {
    let marketplace = Marketplace::start().await;
    let shop = Shop::connected_to(&marketplace).await;
    marketplace.change_release(FREE, |release| release.vendor = key(66));
    assert!(refusal(&shop).await.contains("The vendor @acme signed with a key"));
}

#[tokio::test]
async fn a_statement_that_the_marketplace_did_not_sign_is_not_enough() {
    let marketplace = Marketplace::start().await;
    let shop = Shop::connected_to(&marketplace).await;
    marketplace.change_release(FREE, |release| release.statement = key(66));
    assert!(refusal(&shop).await.contains("marketplace"));
}

#[tokio::test]
async fn a_hostile_zip_that_is_signed_well_is_not_installed() {
    let marketplace = Marketplace::start().await;
    let shop = Shop::connected_to(&marketplace).await;
    marketplace.change_release(FREE, |release| {
        release.zip = zip_of(&[("manifest.json", b"{}"), ("../../evil.js", b"x")]);
    });
    assert!(refusal(&shop).await.contains("unsafe path"));
    assert!(!shop.plugins().parent().unwrap().join("evil.js").exists());
}

#[tokio::test]
async fn a_new_key_of_a_known_vendor_is_asked_about() {
    let marketplace = Marketplace::start().await;
    let shop = Shop::connected_to(&marketplace).await;
    shop.install(FREE, "1.0.0").await;
    shop.settled(FREE).await;
    marketplace.world().vendor_keys = vec![key(1), key(5)];
    marketplace.publish(Release { vendor: key(5), ..Release::new(FREE, "1.1.0", 0) });
    shop.post("/admin/marketplace/update", &[("app", FREE), ("version", "1.1.0")]).await;
    let app = shop.settled(FREE).await;
    assert_eq!(app["state"], "waiting", "{app}");
    assert_eq!(shop.code_of("seo").unwrap(), "// seo 1.0.0");
    let page = shop.get("/admin/plugins").await;
    assert!(page.html.contains("Trust this key") && page.html.contains(&key(5).key_id()));
    shop.accept(FREE).await;
    assert_eq!(shop.settled(FREE).await["version"], "1.1.0");
    assert_eq!(shop.code_of("seo").unwrap(), "// seo 1.1.0");
}

#[tokio::test]
async fn added_permissions_must_have_been_seen() {
    let marketplace = Marketplace::start().await;
    let shop = Shop::connected_to(&marketplace).await;
    shop.install(FREE, "1.0.0").await;
    shop.settled(FREE).await;
    marketplace
        .publish(Release::new(FREE, "2.0.0", 0).with_permissions(&["api:orders.read", "api:orders.write"]));
    let page = shop.get("/admin/marketplace").await;
    assert!(page.card(FREE).contains("Read and change your orders"), "shown before the button");

    shop.post("/admin/marketplace/update", &[("app", FREE), ("version", "2.0.0")]).await;
    assert_eq!(shop.settled(FREE).await["state"], "waiting");
    let allowed = [("app", FREE), ("version", "2.0.0"), ("allowed", "api:orders.write")];
    shop.post("/admin/marketplace/update", &allowed).await;
    let app = shop.settled(FREE).await;
    assert_eq!((&app["state"], &app["version"]), (&"installed".into(), &"2.0.0".into()));
}

#[tokio::test]
async fn while_the_marketplace_is_down_a_job_waits_and_then_goes_on() {
    let marketplace = Marketplace::start().await;
    let shop = Shop::connected_to(&marketplace).await;
    marketplace.world().is_down = true;
    shop.install(FREE, "1.0.0").await;
    let tried = |marketplace: &Marketplace| {
        let world = marketplace.world();
        world.heard.iter().filter(|heard| heard.starts_with("GET /store/marketplace/feed/@acme/seo")).count()
    };
    while shop.status().await["apps"][0]["problem"].is_null() {
        tokio::task::yield_now().await;
    }
    assert_eq!(tried(&marketplace), 1);
    assert_eq!(shop.status().await["apps"][0]["state"], "pending");
    marketplace.world().is_down = false;
    shop.clock.advance(Duration::from_secs(2));
    assert_eq!(shop.settled(FREE).await["state"], "installed");
}

#[tokio::test]
async fn what_was_begun_goes_on_after_a_restart() {
    let marketplace = Marketplace::start().await;
    let shop = Shop::connected_to(&marketplace).await;
    shop.buy(APP, "1.0.0").await;
    marketplace.world().is_down = true;
    shop.deliver_license("dly_1", APP, "1.0.0", &marketplace.license_key()).await;
    let folder = shop.stop().await;
    marketplace.world().is_down = false;
    // What a crash while unpacking leaves.
    let half = folder.path().join("plugins/.mercato/new/invoices.half");
    std::fs::create_dir_all(&half).unwrap();
    std::fs::write(half.join("index.js"), "// ha").unwrap();

    let shop =
        Shop::start(folder, Some(&marketplace), |config| config.clock.advance(Duration::from_mins(1))).await;
    assert_eq!(shop.settled(APP).await["state"], "installed");
    assert_eq!(shop.code_of("invoices").unwrap(), "// invoices 1.0.0");
    assert!(!half.exists());
}

#[tokio::test]
async fn a_job_that_is_given_up_leaves_nothing() {
    let marketplace = Marketplace::start().await;
    let shop = Shop::connected_to(&marketplace).await;
    marketplace.change_release(FREE, |release| release.statement = key(66));
    refusal(&shop).await;
    shop.post("/admin/marketplace/jobs", &[("app", FREE), ("act", "dismiss")]).await;
    assert_eq!(shop.status().await["apps"], serde_json::json!([]));
    assert!(shop.get("/admin/marketplace").await.card(FREE).contains(r#"data-state="available""#));
}
