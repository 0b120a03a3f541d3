//! A person with a browser buys in the demo, and installs a hosted app.

use std::{fs, path::PathBuf, time::Duration};

use mercato::demo;
use serde_json::{Value, json};
use tempfile::TempDir;
use testkit::{
    child::{Program, Running},
    eventually,
};

use crate::tools::{ask, given};

const PATIENCE: Duration = Duration::from_mins(1);

struct Demo {
    told: demo::Demo,
    _running: Running,
    _folder: TempDir,
}

async fn start() -> Demo {
    let folder = TempDir::new().unwrap();
    let data = folder.path().join("demo");
    let log = folder.path().join("log");
    let args = ["demo", "--ephemeral", "--data", data.to_str().unwrap()];
    let mut running = Program::new(env!("CARGO_BIN_EXE_mercato")).args(args).log(&log).spawn().unwrap();
    let ready = eventually("the demo", PATIENCE, || {
        assert!(running.ended().unwrap().is_none(), "{}", fs::read_to_string(&log).unwrap());
        let written = fs::read(data.join("demo.json")).ok();
        std::future::ready(written.and_then(|text| serde_json::from_slice(&text).ok()))
    });
    Demo { told: ready.await.unwrap(), _running: running, _folder: folder }
}

/// A window, and where what was seen in it is kept.
fn window(name: &str, width: u32, height: u32) -> Value {
    let screenshots = PathBuf::from(given("DIR")).join("screenshots").join(name);
    fs::create_dir_all(&screenshots).unwrap();
    let chromium = PathBuf::from(given("CHROMIUM"));
    json!({ "chromium": chromium, "width": width, "height": height, "screenshots": screenshots })
}

/// What Chromium saw of a purchase.
async fn buy(mut question: Value) -> Value {
    let demo = start().await;
    question["shop"] = json!(demo.told.shop_url);
    question["app"] = json!("@atelier/punchout");
    ask("browser.mjs", &question).await
}

/// What Chromium saw of a hosted app that comes, moves to its next version, and goes; and of a static one that comes.
async fn host(mut question: Value) -> Value {
    let demo = start().await;
    let demo::Demo { shop_url, hosted_url, admin_key, next_release, .. } = &demo.told;
    question["shop"] = json!(shop_url);
    question["hosted"] = json!(hosted_url);
    question["app"] = json!("@atelier/guest-book");
    question["pages"] = json!("@carphacom/size-chart");
    question["publish"] = json!({
        "url": next_release.url, "key": admin_key, "signature": next_release.vendor_signature,
        "manifest": next_release.manifest, "version": next_release.version,
    });
    let seen = ask("hosted.mjs", &question).await;
    let shop = demo.told.data.join("shop");
    assert!(shop.join("static/size-chart/index.html").is_file(), "the shop has fetched it: {seen}");
    assert!(!shop.join("plugins/size-chart").exists(), "its backend does not run it");
    seen
}

/// Every page of the way was shown, none of them with an error, none wider than the window.
fn assert_well(seen: &Value, way: &[&str]) {
    assert_eq!(seen["errors"], json!([]));
    let pages = seen["pages"].as_array().unwrap();
    assert_eq!(pages.iter().map(|page| page["name"].as_str().unwrap()).collect::<Vec<_>>(), way);
    for page in pages {
        assert!(page["overflow"].as_i64().unwrap() <= 0, "{} is wider than the window: {page}", page["name"]);
        assert!(page["small"].as_array().unwrap().is_empty(), "too small for a finger: {page}");
    }
}

fn assert_bought(seen: &Value) {
    let way = ["marketplace", "search", "app", "pay", "thanks", "installed", "plugins", "free-app"];
    assert_well(seen, &way);
}

/// The person was asked for each thing once, and the app's own page had the shop, then its new version, then neither.
fn assert_hosted(seen: &Value) {
    let install = ["feed", "available", "consent", "installed", "arrived"];
    let update = ["pending-update", "new-consent", "updated", "moved"];
    let removal = ["plugins", "removal", "removed", "left"];
    let pages = ["static-consent", "static-installed"];
    assert_well(seen, &[&install[..], &update, &removal, &pages].concat());
    let asked = json!([["Read your products"], ["Read your orders"], ["Read your products"]]);
    assert_eq!(seen["read"]["asked"], asked);
    let shops = seen["read"]["shops"].as_array().unwrap();
    let told = |at: usize| (&shops[at][0][0], &shops[at][0][2]);
    assert_eq!(told(0), (&json!("demo-shop"), &json!("1.0.0")));
    assert_eq!(told(1), (&json!("demo-shop"), &json!("1.1.0")));
    assert_eq!(shops[2], json!([]));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_person_at_a_desk_buys_and_sees_the_app_installed() {
    assert_bought(&buy(window("desktop", 1280, 900)).await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_person_with_a_phone_buys_and_sees_the_app_installed() {
    assert_bought(&buy(window("phone", 360, 740)).await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_person_at_a_desk_installs_updates_and_removes_a_hosted_app() {
    assert_hosted(&host(window("hosted-desktop", 1280, 900)).await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_person_with_a_phone_installs_updates_and_removes_a_hosted_app() {
    assert_hosted(&host(window("hosted-phone", 360, 740)).await);
}
