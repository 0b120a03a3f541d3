//! Static apps: installed by the shop itself, apart from its plugins.

use serde_json::json;

use super::{
    marketplace::Marketplace,
    release::{Release, key},
    shop::Shop,
};

const LOOK: &str = "@acme/look";

async fn marketplace(permissions: &[&str]) -> Marketplace {
    let marketplace = Marketplace::start().await;
    marketplace.publish(Release::new(LOOK, "1.0.0", 0).with_permissions(permissions).of_kind("static"));
    marketplace
}

fn file(shop: &Shop, path: &str) -> Option<String> {
    std::fs::read_to_string(shop.plugins().parent().unwrap().join("static").join(path)).ok()
}

async fn install(shop: &Shop, version: &str, allowed: &str) {
    shop.post("/admin/marketplace/install", &[("app", LOOK), ("version", version), ("allowed", allowed)])
        .await;
}

#[tokio::test]
async fn it_is_fetched_checked_and_put_beside_the_plugins() {
    let marketplace = marketplace(&["api:orders.read"]).await;
    let shop = Shop::connected_to(&marketplace).await;
    let asked = shop.get(&format!("/admin/marketplace/app/{LOOK}/consent")).await.html;
    assert!(asked.contains("pages and scripts only") && asked.contains("Allow and install"), "{asked}");
    install(&shop, "1.0.0", "api:orders.read").await;
    let app = shop.settled(LOOK).await;
    assert_eq!((&app["state"], &app["version"]), (&json!("installed"), &json!("1.0.0")));
    assert_eq!(file(&shop, "look/index.js").as_deref(), Some("x"));
    assert_eq!(shop.code_of("look"), None, "the shop's backend does not find it");
    assert_eq!(marketplace.world().registry.find(LOOK).unwrap()["permissions"], json!(["api:orders.read"]));
    let plugins = shop.get("/admin/plugins").await;
    let row = plugins.card(LOOK);
    assert!(row.contains("App look") && row.contains("Static app") && row.contains("/remove"), "{row}");
}

#[tokio::test]
async fn its_permissions_are_those_in_the_zip_whatever_the_page_said() {
    let marketplace = marketplace(&["api:orders.read"]).await;
    let shop = Shop::connected_to(&marketplace).await;
    install(&shop, "1.0.0", "").await;
    assert_eq!(shop.settled(LOOK).await["state"], "waiting");
    assert_eq!(file(&shop, "look/index.js"), None);
    assert!(marketplace.world().registry.installations.is_empty());
    shop.accept(LOOK).await;
    assert_eq!(shop.settled(LOOK).await["state"], "installed");
}

#[tokio::test]
async fn what_does_not_verify_is_neither_installed_nor_recorded() {
    let marketplace = marketplace(&[]).await;
    let shop = Shop::connected_to(&marketplace).await;
    marketplace.change_release(LOOK, |release| release.served = Some(b"PK something else".to_vec()));
    install(&shop, "1.0.0", "").await;
    assert_eq!(shop.settled(LOOK).await["state"], "waiting");
    assert_eq!(file(&shop, "look/index.js"), None);
    assert!(marketplace.world().registry.installations.is_empty());
    shop.post("/admin/marketplace/jobs", &[("app", LOOK), ("act", "dismiss")]).await;
    marketplace.change_release(LOOK, |release| release.statement = key(66));
    let asked = shop.get(&format!("/admin/marketplace/app/{LOOK}/consent")).await.html;
    assert!(asked.contains("can’t be vouched for"), "{asked}");
}

#[tokio::test]
async fn it_is_updated_and_removed_with_its_files() {
    let marketplace = marketplace(&[]).await;
    let shop = Shop::connected_to(&marketplace).await;
    install(&shop, "1.0.0", "").await;
    shop.settled(LOOK).await;
    marketplace
        .publish(Release::new(LOOK, "1.1.0", 0).of_kind("static").with_permissions(&["api:orders.read"]));
    let pending = json!({ "version": "1.1.0", "changes": ["code", "permissions"], "requires_consent": true,
        "added_permissions": ["api:orders.read"] });
    marketplace.world().registry.find(LOOK).unwrap()["pending_update"] = pending;
    let page = shop.get(&format!("/admin/marketplace/app/{LOOK}")).await.html;
    assert!(
        page.contains("Version 1.1.0 is ready") && page.contains("its code and its permissions"),
        "{page}"
    );
    let update = [("app", LOOK), ("version", "1.1.0"), ("allowed", "api:orders.read")];
    shop.post("/admin/marketplace/update", &update).await;
    assert_eq!(shop.settled(LOOK).await["version"], "1.1.0");
    assert!(file(&shop, "look/manifest.json").unwrap().contains("1.1.0"));

    shop.post("/admin/marketplace/remove", &[("app", LOOK), ("version", "1.1.0")]).await;
    shop.status_once("the removal", |status| status["apps"] == json!([])).await;
    assert_eq!(file(&shop, "look/manifest.json"), None);
    assert_eq!(marketplace.world().registry.installations[0]["state"], "removed");
}

#[tokio::test]
async fn files_that_got_lost_are_fetched_again_for_the_same_installation() {
    let marketplace = marketplace(&[]).await;
    let shop = Shop::connected_to(&marketplace).await;
    install(&shop, "1.0.0", "").await;
    shop.settled(LOOK).await;
    std::fs::remove_dir_all(shop.plugins().parent().unwrap().join("static/look")).unwrap();
    assert!(shop.get("/admin/marketplace").await.card(LOOK).contains(r#"data-action="install""#));
    let asked = shop.get(&format!("/admin/marketplace/app/{LOOK}/consent")).await.html;
    assert!(asked.contains("Install App look 1.0.0?"), "{asked}");
    install(&shop, "1.0.0", "").await;
    assert_eq!(shop.settled(LOOK).await["state"], "installed");
    assert_eq!(file(&shop, "look/index.js").as_deref(), Some("x"));
    assert_eq!(marketplace.world().registry.installations.len(), 1);
}

#[tokio::test]
async fn a_paid_one_without_permissions_installs_itself_once_it_is_paid() {
    let marketplace = Marketplace::start().await;
    marketplace.publish(Release::new(LOOK, "1.0.0", 9).of_kind("static").with_permissions(&[]));
    let shop = Shop::connected_to(&marketplace).await;
    shop.buy(LOOK, "1.0.0").await;
    shop.deliver_license("dly_1", LOOK, "1.0.0", &marketplace.license_key()).await;
    assert_eq!(shop.settled(LOOK).await["state"], "installed");
    assert!(shop.get("/admin/marketplace/thanks").await.html.contains(r#"data-step="installed""#));
}
