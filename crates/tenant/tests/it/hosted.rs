//! Hosted apps: asked about, told to the marketplace, shown as they are.

use std::time::Duration;

use serde_json::{Value, json};

use super::{
    marketplace::Marketplace,
    release::{Release, key},
    shop::{Page, Shop, between},
};

pub(crate) const NOTES: &str = "@acme/notes";

async fn marketplace() -> Marketplace {
    let marketplace = Marketplace::start().await;
    marketplace.publish(Release::new(NOTES, "1.0.0", 0).of_kind("hosted"));
    marketplace
}

/// Opens the page that asks, and presses its button as a person does.
async fn consent(shop: &Shop, button: &str) -> Page {
    let page = shop.get(&format!("/admin/marketplace/app/{NOTES}/consent")).await;
    assert_eq!(page.status, 200);
    let field = |name: &str| between(&page.html, &format!(r#"name="{name}" value=""#), '"').unwrap();
    let fields = [("app", field("app")), ("version", field("version")), ("allowed", field("allowed"))];
    let fields: Vec<(&str, &str)> = fields.iter().map(|(name, value)| (*name, value.as_str())).collect();
    shop.post(&format!("/admin/marketplace/{button}"), &fields).await;
    page
}

async fn detail(shop: &Shop) -> String {
    shop.get(&format!("/admin/marketplace/app/{NOTES}")).await.html
}

async fn detail_once(shop: &Shop, what: &str, wanted: impl Fn(&str) -> bool) -> String {
    shop.page_once(what, &format!("/admin/marketplace/app/{NOTES}"), wanted).await
}

pub(crate) async fn installed() -> (Marketplace, Shop) {
    let marketplace = marketplace().await;
    let shop = Shop::connected_to(&marketplace).await;
    consent(&shop, "install").await;
    assert_eq!(shop.settled(NOTES).await["state"], "installed");
    (marketplace, shop)
}

fn offer_update(marketplace: &Marketplace) {
    let permissions = ["api:orders.read", "api:orders.refund", "api:customers.read"];
    marketplace.publish(Release::new(NOTES, "1.1.0", 0).of_kind("hosted").with_permissions(&permissions));
    marketplace.world().registry.find(NOTES).unwrap()["pending_update"] = json!({
        "version": "1.1.0", "changes": ["address", "permissions"], "requires_consent": true,
        "added_permissions": ["api:orders.refund", "api:customers.read"],
        "required_after": "2026-12-22T08:00:00Z", "security": false, "changelog_url": null,
    });
}

fn acts(marketplace: &Marketplace, method: &str) -> Vec<Value> {
    let world = marketplace.world();
    let start = format!("{method} /store/marketplace/installations");
    let acts = world.heard.iter().filter(|heard| heard.starts_with(&start));
    acts.map(|heard| serde_json::from_str(heard.split_once("\n\n").unwrap().1).unwrap_or_default()).collect()
}

#[tokio::test]
async fn an_app_is_installed_with_what_the_administrator_has_seen() {
    let marketplace = marketplace().await;
    let shop = Shop::connected_to(&marketplace).await;
    let feed = shop.get("/admin/marketplace").await;
    let card = feed.card(NOTES);
    assert!(
        card.contains("Hosted app") && card.contains("Free") && card.contains("Read your orders"),
        "{card}"
    );
    assert!(!card.contains("<form"), "no button installs it without the question");

    let asked = consent(&shop, "install").await;
    for text in ["Read your orders", "Allow and install", "acme.example", "Not now"] {
        assert!(asked.html.contains(text), "{text}");
    }
    assert_eq!(shop.settled(NOTES).await["state"], "installed");
    let sent = acts(&marketplace, "POST");
    assert_eq!(
        sent,
        [json!({ "marketplace_id": NOTES, "version": "1.0.0", "granted_permissions": ["api:orders.read"] })]
    );
    let page = detail(&shop).await;
    assert!(
        page.contains("Installed 1.0.0") && page.contains(r#"href="https://acme.example/1.0.0""#),
        "{page}"
    );
    let plugins = shop.get("/admin/plugins").await;
    let row = plugins.card(NOTES);
    assert!(row.contains("App notes") && row.contains("You allowed: Read your orders<"), "{row}");
    assert_eq!(
        std::fs::read_dir(shop.plugins()).unwrap().count(),
        1,
        "nothing but the installer's own folder"
    );
}

#[tokio::test]
async fn without_the_question_nothing_is_installed() {
    let marketplace = marketplace().await;
    let shop = Shop::connected_to(&marketplace).await;
    shop.install(NOTES, "1.0.0").await;
    let app = shop.settled(NOTES).await;
    assert_eq!(app["state"], "waiting", "{app}");
    assert!(detail(&shop).await.contains("Read your orders"));
    assert_eq!(acts(&marketplace, "POST"), Vec::<Value>::new());
    shop.accept(NOTES).await;
    assert_eq!(shop.settled(NOTES).await["state"], "installed");
}

#[tokio::test]
async fn an_update_that_asks_for_more_is_asked_about_and_may_be_left() {
    let (marketplace, shop) = installed().await;
    offer_update(&marketplace);
    let page = detail(&shop).await;
    for text in [
        "Version 1.1.0 is ready",
        "its address and its permissions",
        "api:orders.refund",
        "Read your customers",
        "Until 22 December 2026 version 1.0.0 keeps working",
    ] {
        assert!(page.contains(text), "{text} in {page}");
    }
    assert!(shop.get("/admin/plugins").await.card(NOTES).contains(r#"data-update="1.1.0""#));
    assert!(shop.get("/admin/marketplace").await.card(NOTES).contains("Update to 1.1.0"));
    let asked = shop.get(&format!("/admin/marketplace/app/{NOTES}/consent")).await.html;
    assert!(asked.contains("from 1.0.0 to 1.1.0") && asked.contains("It may already"), "{asked}");
    assert_eq!(acts(&marketplace, "POST").len(), 1, "looking changes nothing");

    consent(&shop, "update").await;
    assert_eq!(shop.settled(NOTES).await["version"], "1.1.0");
    let sent = acts(&marketplace, "POST").pop().unwrap();
    assert_eq!(
        sent["granted_permissions"],
        json!(["api:orders.read", "api:orders.refund", "api:customers.read"])
    );
    assert!(detail(&shop).await.contains(r#"href="https://acme.example/1.1.0""#));
}

#[tokio::test]
async fn an_update_whose_additions_were_not_seen_waits() {
    let (marketplace, shop) = installed().await;
    offer_update(&marketplace);
    let seen = [("app", NOTES), ("version", "1.1.0"), ("allowed", "api:customers.read")];
    shop.post("/admin/marketplace/update", &seen).await;
    assert_eq!(shop.settled(NOTES).await["state"], "waiting");
    assert_eq!(acts(&marketplace, "POST").len(), 1);
    shop.post("/admin/marketplace/jobs", &[("app", NOTES), ("act", "dismiss")]).await;
    assert!(detail(&shop).await.contains("Installed 1.0.0"));
}

#[tokio::test]
async fn while_the_app_has_not_answered_the_page_says_so_and_looks_again() {
    let (marketplace, shop) = installed().await;
    marketplace.world().registry.is_silent = true;
    offer_update(&marketplace);
    consent(&shop, "update").await;
    let page = detail_once(&shop, "the end of the job", |page| !page.contains("Installing…")).await;
    assert!(page.contains("Updating to 1.1.0…") && page.contains(r#"http-equiv="refresh""#), "{page}");
    assert!(page.contains("https://acme.example/1.0.0"), "the old one is open until then");
    marketplace.world().registry.settle(NOTES);
    let page = detail(&shop).await;
    assert!(page.contains("Installed 1.1.0") && !page.contains(r#"http-equiv="refresh""#));
}

#[tokio::test]
async fn a_removal_is_asked_about_and_then_done() {
    let (marketplace, shop) = installed().await;
    marketplace.world().registry.is_silent = true;
    let asked = shop.get(&format!("/admin/marketplace/app/{NOTES}/remove")).await;
    assert!(asked.html.contains("Remove App notes?") && asked.html.contains("Keep it"));
    assert!(acts(&marketplace, "DELETE").is_empty());
    shop.post("/admin/marketplace/remove", &[("app", NOTES), ("version", "1.0.0")]).await;
    let page = detail_once(&shop, "the removal", |page| page.contains("being told")).await;
    assert!(page.contains("Removing…") && !page.contains("https://acme.example/1.0.0"), "access has ended");
    marketplace.world().registry.settle(NOTES);
    let page = detail(&shop).await;
    assert!(page.contains(r#"data-state="available""#) && page.contains("/consent"), "{page}");
    assert_eq!(shop.status().await["apps"], json!([]));
    let again = shop.get(&format!("/admin/marketplace/app/{NOTES}/remove")).await;
    assert_eq!(again.status, 303, "there is nothing to remove");
}

#[tokio::test]
async fn a_removal_that_takes_long_is_looked_at_seldom_and_holds_up_no_new_installation() {
    let (marketplace, shop) = installed().await;
    marketplace.world().registry.is_silent = true;
    shop.post("/admin/marketplace/remove", &[("app", NOTES), ("version", "1.0.0")]).await;
    detail_once(&shop, "the removal", |page| page.contains("being told")).await;
    // NOW_MS
    marketplace.world().registry.find(NOTES).unwrap()["updated_at"] = json!("2026-09-21T14:13:20Z");
    assert!(detail(&shop).await.contains(r#"http-equiv="refresh" content="2""#));
    shop.clock.advance(Duration::from_mins(1));
    let page = detail(&shop).await;
    assert!(
        page.contains(r#"http-equiv="refresh" content="30""#) && page.contains("Install again"),
        "{page}"
    );
    assert!(shop.get("/admin/plugins").await.card(NOTES).contains("/consent"));
    marketplace.world().registry.is_silent = false;
    consent(&shop, "install").await;
    assert_eq!(shop.settled(NOTES).await["state"], "installed");
}

#[tokio::test]
async fn an_app_whose_update_waits_for_the_administrator_can_still_be_opened_and_removed() {
    let (marketplace, shop) = installed().await;
    offer_update(&marketplace);
    shop.post("/admin/marketplace/update", &[("app", NOTES), ("version", "1.1.0"), ("allowed", "")]).await;
    assert_eq!(shop.settled(NOTES).await["state"], "waiting");
    let remove = format!("/admin/marketplace/app/{NOTES}/remove");
    let plugins = shop.get("/admin/plugins").await;
    for page in [detail(&shop).await.as_str(), plugins.html.as_str()] {
        assert!(page.contains("Allow and go on"), "{page}");
        assert!(page.contains(r#"href="https://acme.example/1.0.0""#) && page.contains(&remove), "{page}");
    }
    assert!(shop.get(&remove).await.html.contains("Remove App notes?"));
    shop.post("/admin/marketplace/remove", &[("app", NOTES), ("version", "1.0.0")]).await;
    shop.status_once("the removal", |status| status["apps"] == json!([])).await;
}

#[tokio::test]
async fn a_cancelled_installation_says_why_and_can_be_tried_again() {
    let marketplace = marketplace().await;
    let shop = Shop::connected_to(&marketplace).await;
    marketplace.world().registry.install_status = Some(500);
    consent(&shop, "install").await;
    let page = detail_once(&shop, "the end of the job", |page| !page.contains("Installing…")).await;
    assert!(page.contains("was cancelled: the app has an error of its own (status 500)."), "{page}");
    marketplace.world().registry.install_status = None;
    consent(&shop, "install").await;
    assert_eq!(shop.settled(NOTES).await["state"], "installed");
    assert!(!detail(&shop).await.contains("cancelled"));
}

#[tokio::test]
async fn a_manifest_that_is_not_the_signed_one_is_not_asked_about() {
    let marketplace = marketplace().await;
    let shop = Shop::connected_to(&marketplace).await;
    let mut shown = marketplace.find(NOTES, None).unwrap().manifest();
    shown["permissions"] = json!([]);
    marketplace.change_release(NOTES, |release| release.shown = Some(shown));
    let page = shop.get(&format!("/admin/marketplace/app/{NOTES}/consent")).await.html;
    assert!(page.contains("can’t be vouched for") && !page.contains(r#"data-action="allow""#), "{page}");
    shop.post("/admin/marketplace/install", &[("app", NOTES), ("version", "1.0.0"), ("allowed", "")]).await;
    let app = shop.settled(NOTES).await;
    assert!(app["problem"].as_str().unwrap().contains("vendor's signature"), "{app}");
    assert!(acts(&marketplace, "POST").is_empty());
}

#[tokio::test]
async fn a_statement_by_another_key_is_not_asked_about() {
    let marketplace = marketplace().await;
    let shop = Shop::connected_to(&marketplace).await;
    marketplace.change_release(NOTES, |release| release.statement = key(66));
    let page = shop.get(&format!("/admin/marketplace/app/{NOTES}/consent")).await.html;
    assert!(page.contains("The marketplace signed with a key"), "{page}");
    assert!(!page.contains(r#"data-action="allow""#));
}

#[tokio::test]
async fn a_new_key_of_a_known_vendor_is_looked_at_first() {
    let (marketplace, shop) = installed().await;
    marketplace.world().vendor_keys = vec![key(1), key(5)];
    let newer = Release::new(NOTES, "1.0.1", 0).of_kind("hosted");
    marketplace.publish(Release { vendor: key(5), ..newer });
    let page = shop.get(&format!("/admin/marketplace/app/{NOTES}/consent")).await.html;
    assert!(page.contains("Look at the key") && !page.contains(r#"data-action="allow""#), "{page}");
    shop.post("/admin/marketplace/install", &[("app", NOTES), ("version", "1.0.1")]).await;
    assert_eq!(shop.settled(NOTES).await["state"], "waiting");
    assert!(detail(&shop).await.contains(&key(5).key_id()));
    shop.accept(NOTES).await;
    assert_eq!(shop.settled(NOTES).await["version"], "1.0.1");
}

#[tokio::test]
async fn a_version_that_is_not_on_offer_any_more_is_not_installed_unseen() {
    let marketplace = marketplace().await;
    let shop = Shop::connected_to(&marketplace).await;
    marketplace.publish(Release::new(NOTES, "1.1.0", 0).of_kind("hosted"));
    let seen = [("app", NOTES), ("version", "1.0.0"), ("allowed", "api:orders.read")];
    shop.post("/admin/marketplace/install", &seen).await;
    let app = shop.settled(NOTES).await;
    assert!(app["problem"].as_str().unwrap().contains("version 1.1.0 is on offer now"), "{app}");
}

#[tokio::test]
async fn a_paid_app_is_bought_first_and_asked_about_when_its_licence_comes() {
    let marketplace = Marketplace::start().await;
    marketplace.publish(Release::new(NOTES, "1.0.0", 9).of_kind("hosted"));
    let shop = Shop::connected_to(&marketplace).await;
    assert!(detail(&shop).await.contains("Buy for €9"));
    shop.buy(NOTES, "1.0.0").await;
    shop.deliver_license("dly_1", NOTES, "1.0.0", &marketplace.license_key()).await;
    assert_eq!(shop.settled(NOTES).await["state"], "waiting");
    let thanks = shop.get("/admin/marketplace/thanks").await.html;
    assert!(thanks.contains("Read your orders") && thanks.contains("Allow and go on"), "{thanks}");
    assert!(acts(&marketplace, "POST").is_empty());
    shop.accept(NOTES).await;
    assert_eq!(shop.settled(NOTES).await["state"], "installed");
    assert!(shop.get("/admin/marketplace/thanks").await.html.contains(r#"data-step="installed""#));

    marketplace.world().registry.is_down = true;
    let thanks = shop.get("/admin/marketplace/thanks").await.html;
    assert!(thanks.contains("can’t say right now") && !thanks.contains("is not installed"), "{thanks}");
    shop.post("/admin/marketplace/remove", &[("app", NOTES), ("version", "1.0.0")]).await;
    let thanks = shop.get("/admin/marketplace/thanks").await.html;
    assert!(thanks.contains("is being removed"), "{thanks}");
}

#[tokio::test]
async fn a_licence_that_ended_pauses_the_app_on_the_page() {
    let (marketplace, shop) = installed().await;
    marketplace.world().registry.find(NOTES).unwrap()["access"] = json!("suspended");
    let page = detail(&shop).await;
    assert!(page.contains("Paused 1.0.0") && page.contains("licence does not allow it now"), "{page}");
    assert!(!page.contains("https://acme.example/1.0.0"));
}

#[tokio::test]
async fn when_the_record_of_installations_is_away_the_rest_is_still_shown() {
    let (marketplace, shop) = installed().await;
    marketplace.world().registry.is_down = true;
    let feed = shop.get("/admin/marketplace").await;
    assert_eq!(feed.status, 200);
    assert!(feed.card(NOTES).contains("can’t say right now") && !feed.card(NOTES).contains("/consent"));
    let plugins = shop.get("/admin/plugins").await;
    assert!(plugins.html.contains("It is not known which hosted and static apps are here"));
}

#[tokio::test]
async fn while_the_marketplace_is_down_a_removal_waits_and_then_goes_on() {
    let (marketplace, shop) = installed().await;
    marketplace.world().is_down = true;
    shop.post("/admin/marketplace/remove", &[("app", NOTES), ("version", "1.0.0")]).await;
    shop.status_once("a failed try", |status| !status["apps"][0]["problem"].is_null()).await;
    let row = shop.get("/admin/plugins").await;
    assert!(row.card(NOTES).contains("ends as soon as the marketplace has been told"), "{}", row.card(NOTES));
    marketplace.world().is_down = false;
    shop.clock.advance(Duration::from_secs(2));
    shop.status_once("the removal", |status| status["apps"] == json!([])).await;
    assert_eq!(acts(&marketplace, "DELETE").len(), 1);
}

#[tokio::test]
async fn nothing_is_asked_before_it_is_paid_nor_when_it_is_here() {
    let (_marketplace, shop) = installed().await;
    let here = shop.get(&format!("/admin/marketplace/app/{NOTES}/consent")).await;
    assert_eq!(here.location.as_deref(), Some("/admin/marketplace/app/@acme/notes"));

    let marketplace = Marketplace::start().await;
    marketplace.publish(Release::new(NOTES, "1.0.0", 9).of_kind("hosted"));
    let shop = Shop::connected_to(&marketplace).await;
    let unpaid = shop.get(&format!("/admin/marketplace/app/{NOTES}/consent")).await;
    assert_eq!(unpaid.location.as_deref(), Some("/admin/marketplace/app/@acme/notes"));
    let plugin = shop.get("/admin/marketplace/app/@acme/seo/consent").await;
    assert_eq!(plugin.status, 303, "a plugin is not asked about here");
}

#[tokio::test]
async fn without_the_secret_key_the_setting_is_named() {
    let marketplace = marketplace().await;
    let shop = Shop::start(tempfile::tempdir().unwrap(), Some(&marketplace), |config| {
        config.marketplace.as_mut().unwrap().secret_key = None;
    })
    .await;
    let page = shop.get(&format!("/admin/marketplace/app/{NOTES}/consent")).await;
    assert_eq!(page.status, 409);
    assert!(page.html.contains("TENANT_SECRET_KEY"));
    assert_eq!(shop.get("/admin/marketplace").await.status, 200);
}
