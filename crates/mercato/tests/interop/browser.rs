//! A person with a browser buys in the demo.

use std::{
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use serde_json::{Value, json};
use tempfile::TempDir;
use testkit::{
    child::{Program, Running},
    eventually,
};

use crate::tools::{ask, given};

const PATIENCE: Duration = Duration::from_mins(1);

struct Demo {
    shop_url: String,
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
        std::future::ready(written.and_then(|text| serde_json::from_slice::<Value>(&text).ok()))
    });
    let shop_url = ready.await.unwrap()["shop_url"].as_str().unwrap().to_owned();
    Demo { shop_url, _running: running, _folder: folder }
}

/// What Chromium saw of a purchase in a window of this size.
async fn buy(name: &str, width: u32, height: u32) -> Value {
    let demo = start().await;
    let screenshots = PathBuf::from(given("DIR")).join("screenshots").join(name);
    fs::create_dir_all(&screenshots).unwrap();
    let question = json!({
        "chromium": Path::new(&given("CHROMIUM")), "shop": demo.shop_url, "app": "@atelier/punchout",
        "width": width, "height": height, "screenshots": screenshots,
    });
    ask("browser.mjs", &question).await
}

/// Every page of the way was shown, none of them with an error, none wider than the window.
fn assert_well(seen: &Value) {
    let names: Vec<_> = seen["pages"].as_array().unwrap().iter().map(|page| &page["name"]).collect();
    let way = ["marketplace", "search", "app", "pay", "thanks", "installed", "plugins", "free-app"];
    assert_eq!(names, way);
    for page in seen["pages"].as_array().unwrap() {
        assert!(page["overflow"].as_i64() <= Some(0), "{} is wider than the window: {page}", page["name"]);
        assert!(page["small"].as_array().unwrap().is_empty(), "too small for a finger: {page}");
    }
    assert_eq!(seen["errors"], json!([]));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_person_at_a_desk_buys_and_sees_the_app_installed() {
    assert_well(&buy("desktop", 1280, 900).await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_person_with_a_phone_buys_and_sees_the_app_installed() {
    assert_well(&buy("phone", 360, 740).await);
}
