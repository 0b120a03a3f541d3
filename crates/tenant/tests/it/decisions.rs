//! What the administrator decides is what the page has shown, of the app that was asked for.

use std::{sync::Arc, time::Duration};

use serde_json::json;
use testkit::eventually;
use tokio::sync::Semaphore;

use super::{
    marketplace::{FREE, Marketplace},
    release::{Release, key},
    shop::{Shop, between},
};

const PATIENCE: Duration = Duration::from_secs(20);
const NOTES: &str = "@acme/notes";
const LOOK: &str = "@acme/look";

async fn hosted() -> (Marketplace, Shop) {
    let marketplace = Marketplace::start().await;
    marketplace.publish(Release::new(NOTES, "1.0.0", 0).of_kind("hosted"));
    let shop = Shop::connected_to(&marketplace).await;
    (marketplace, shop)
}

fn heard(marketplace: &Marketplace, start: &str) -> usize {
    marketplace.world().heard.iter().filter(|heard| heard.starts_with(start)).count()
}

fn installs(marketplace: &Marketplace) -> usize {
    heard(marketplace, "POST /store/marketplace/installations\n")
}

async fn consent_form(shop: &Shop) -> Vec<(&'static str, String)> {
    let page = shop.get(&format!("/admin/marketplace/app/{NOTES}/consent")).await;
    let field = |name| (name, between(&page.html, &format!(r#"name="{name}" value=""#), '"').unwrap());
    ["app", "version", "allowed", "after"].map(field).to_vec()
}

async fn send(shop: &Shop, form: &[(&'static str, String)]) {
    let fields: Vec<(&str, &str)> = form.iter().map(|(name, value)| (*name, value.as_str())).collect();
    assert_eq!(shop.post("/admin/marketplace/install", &fields).await.status, 303);
}

/// The app's page, once no job of it is under way.
async fn page_at_rest(shop: &Shop) -> String {
    let page = eventually("the job ends", PATIENCE, || async {
        let page = shop.get(&format!("/admin/marketplace/app/{NOTES}")).await.html;
        Some(page).filter(|page| !page.contains("Installing…"))
    });
    page.await.unwrap()
}

#[tokio::test]
async fn an_answer_about_another_app_is_not_taken_for_the_one_that_was_asked_for() {
    let (marketplace, shop) = hosted().await;
    marketplace.world().vendor_keys = vec![key(1), key(5)];
    let rival = Release::new("@rival/notes", "1.0.0", 0).of_kind("hosted");
    marketplace.publish(Release { vendor: key(5), ..rival });
    marketplace.world().impostors.insert(NOTES.to_owned(), "@rival/notes".to_owned());
    let page = shop.get(&format!("/admin/marketplace/app/{NOTES}/consent")).await;
    assert_eq!(page.status, 502);
    shop.post("/admin/marketplace/install", &[("app", NOTES), ("version", "1.0.0")]).await;
    let app = shop.settled(NOTES).await;
    assert!(app["problem"].as_str().unwrap().contains("answer can't be read"), "{app}");
    marketplace.world().impostors.clear();
    send(&shop, &[("app", NOTES.into()), ("version", "1.0.0".into()), ("allowed", "api:orders.read".into())])
        .await;
    assert_eq!(shop.settled(NOTES).await["state"], "installed", "no key of the rival was pinned");
}

#[tokio::test]
async fn a_button_that_is_pressed_twice_grants_only_what_it_stood_under() {
    let marketplace = Marketplace::start().await;
    let shop = Shop::connected_to(&marketplace).await;
    shop.install(FREE, "1.0.0").await;
    shop.settled(FREE).await;
    marketplace.world().vendor_keys = vec![key(1), key(5)];
    let newer = Release::new(FREE, "2.0.0", 0).with_permissions(&["api:orders.read", "api:orders.write"]);
    marketplace.publish(Release { vendor: key(5), ..newer });
    shop.post("/admin/marketplace/update", &[("app", FREE), ("version", "2.0.0")]).await;
    shop.settled(FREE).await;
    let of_the_key = shop.shown(FREE).await;
    assert!(of_the_key.contains(&key(5).key_id()), "{of_the_key}");
    for _ in 0..2 {
        let pressed = [("app", FREE), ("shown", of_the_key.as_str()), ("act", "accept")];
        shop.post("/admin/marketplace/jobs", &pressed).await;
        let app = shop.settled(FREE).await;
        assert!(app["problem"].as_str().unwrap().contains("permissions"), "{app}");
    }
    assert_eq!(shop.code_of("seo").unwrap(), "// seo 1.0.0");
    shop.accept(FREE).await;
    assert_eq!(shop.settled(FREE).await["version"], "2.0.0");
}

#[tokio::test]
async fn a_consent_that_is_sent_twice_is_one_install() {
    let (marketplace, shop) = hosted().await;
    marketplace.world().registry.install_status = Some(500);
    let form = consent_form(&shop).await;
    for _ in 0..2 {
        send(&shop, &form).await;
        assert!(page_at_rest(&shop).await.contains("was cancelled"));
        assert_eq!(installs(&marketplace), 1);
    }
    marketplace.world().registry.install_status = None;
    send(&shop, &consent_form(&shop).await).await;
    assert_eq!(shop.settled(NOTES).await["state"], "installed");
    assert_eq!(installs(&marketplace), 2);
}

#[tokio::test]
async fn what_was_given_up_while_it_was_worked_on_is_not_sent() {
    let (marketplace, shop) = hosted().await;
    let gate = Arc::new(Semaphore::new(0));
    marketplace.world().registry.gate = Some(Arc::clone(&gate));
    send(&shop, &consent_form(&shop).await).await;
    let asked = eventually("the shop asks what is here", PATIENCE, || async {
        let world = marketplace.world();
        let about_it = world.heard.iter().filter_map(|heard| heard.lines().next());
        about_it
            .into_iter()
            .any(|line| line.contains("installations?") && line.contains("marketplace_id="))
            .then_some(())
    });
    asked.await.unwrap();
    shop.post("/admin/marketplace/jobs", &[("app", NOTES), ("act", "dismiss")]).await;
    gate.add_permits(100);
    shop.install(FREE, "1.0.0").await;
    assert_eq!(shop.settled(FREE).await["state"], "installed", "its turn came after the other's end");
    assert_eq!(installs(&marketplace), 0);
}

#[tokio::test]
async fn a_static_app_without_its_files_is_told_so_and_can_be_removed() {
    let marketplace = Marketplace::start().await;
    marketplace.publish(Release::new(LOOK, "1.0.0", 0).of_kind("static").with_permissions(&[]));
    let shop = Shop::connected_to(&marketplace).await;
    shop.install(LOOK, "1.0.0").await;
    shop.settled(LOOK).await;
    assert!(shop.get("/admin/plugins").await.card(LOOK).contains("Installed 1.0.0"));
    marketplace.world().registry.find(LOOK).unwrap()["version"] = json!("1.1.0");
    assert!(shop.get("/admin/plugins").await.card(LOOK).contains("Files missing"), "of another version");
    marketplace.world().registry.find(LOOK).unwrap()["version"] = json!("1.0.0");
    std::fs::remove_dir_all(shop.plugins().parent().unwrap().join("static/look")).unwrap();
    let detail = format!("/admin/marketplace/app/{LOOK}");
    for path in ["/admin/plugins", "/admin/marketplace", &detail] {
        let page = shop.get(path).await;
        let card = page.card(LOOK);
        assert!(card.contains("Files missing") && card.contains(r#"data-action="install""#), "{path} {card}");
    }
    assert!(shop.get("/admin/plugins").await.card(LOOK).contains("/remove"));
    assert_eq!(shop.get(&format!("{detail}/remove")).await.status, 200);
    shop.post("/admin/marketplace/remove", &[("app", LOOK), ("version", "1.0.0")]).await;
    let gone = eventually("its record is removed", PATIENCE, || async {
        marketplace.world().registry.find(LOOK).is_none().then_some(())
    });
    gone.await.unwrap();
}

#[tokio::test]
async fn a_static_app_that_an_older_agent_took_for_a_plugin_is_moved_to_its_place() {
    let marketplace = Marketplace::start().await;
    marketplace.publish(Release::new(LOOK, "1.0.0", 0));
    let shop = Shop::connected_to(&marketplace).await;
    shop.install(LOOK, "1.0.0").await;
    shop.settled(LOOK).await;
    assert!(shop.code_of("look").is_some());
    marketplace.change_release(LOOK, |release| release.kind = "static");
    let allowed = [("app", LOOK), ("version", "1.0.0"), ("allowed", "api:orders.read")];
    shop.post("/admin/marketplace/install", &allowed).await;
    assert_eq!(shop.settled(LOOK).await["state"], "installed");
    assert_eq!(shop.code_of("look"), None);
    assert!(shop.plugins().parent().unwrap().join("static/look/index.js").exists());
    assert_eq!(marketplace.world().registry.find(LOOK).unwrap()["state"], "installed");
}
