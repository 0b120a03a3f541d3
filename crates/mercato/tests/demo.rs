//! The built binary as a person meets it: `demo`, `demo --buy`, `serve`.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::{
    fs,
    net::{Ipv4Addr, TcpListener},
    os::unix::fs::PermissionsExt as _,
    path::Path,
    process::Output,
    time::Duration,
};

use mercato::demo::Demo;
use reqwest::{Client, StatusCode, redirect::Policy};
use serde_json::Value;
use tempfile::TempDir;
use testkit::{
    child::{Program, Running, Signal},
    eventually,
    process::Process,
    servers::{Nats, default_root, test_env},
};

const MERCATO: &str = env!("CARGO_BIN_EXE_mercato");
const PATIENCE: Duration = Duration::from_mins(1);

async fn run(args: &[&str]) -> Output {
    tokio::process::Command::new(MERCATO).args(args).output().await.unwrap()
}

fn text(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

fn browser() -> Client {
    platform::tls::install_provider();
    Client::builder().redirect(Policy::none()).build().unwrap()
}

/// A demo that a test starts, kills and starts again on one folder.
struct Started {
    running: Running,
    demo: Demo,
}

async fn start(folder: &Path) -> Started {
    let log = folder.with_extension("log");
    let args = ["demo", "--ephemeral", "--data", folder.to_str().unwrap()];
    let mut running = Program::new(MERCATO).args(args).log(&log).spawn().unwrap();
    let file = folder.join("demo.json");
    let ready = eventually("the demo", PATIENCE, || {
        let ended = running.ended().unwrap();
        assert!(ended.is_none(), "the demo ended: {}", fs::read_to_string(&log).unwrap());
        let told = fs::read(&file).ok().and_then(|text| serde_json::from_slice::<Demo>(&text).ok());
        // One that was killed leaves its file behind.
        std::future::ready(told.filter(|demo| demo.pid == running.id()))
    });
    let demo = ready.await.unwrap();
    Started { running, demo }
}

async fn stop(mut started: Started) {
    started.running.signal(Signal::TERM).unwrap();
    let ended =
        eventually("the demo's end", PATIENCE, || std::future::ready(started.running.ended().unwrap()));
    assert!(ended.await.unwrap().success());
}

/// What a person's browser does to buy: the app's page, its button, the payment page, its button.
async fn buy_and_pay(browser: &Client, demo: &Demo, app: &str, version: &str) {
    let page = browser.get(format!("{}/admin/marketplace/app/{app}", demo.shop_url)).send().await.unwrap();
    assert_eq!(page.status(), StatusCode::OK);
    let cookie = page.headers()["set-cookie"].to_str().unwrap().split(';').next().unwrap().to_owned();
    let html = page.text().await.unwrap();
    let token = html.split("name=\"csrf\"").nth(1).unwrap().split('"').nth(1).unwrap().to_owned();
    let form = [("csrf", token.as_str()), ("app", app), ("version", version)];
    let bought = browser.post(format!("{}/admin/marketplace/buy", demo.shop_url)).header("cookie", cookie);
    let bought = bought.form(&form).send().await.unwrap();
    assert_eq!(bought.status(), StatusCode::SEE_OTHER);
    let pay = format!("{}/pay", bought.headers()["location"].to_str().unwrap());
    assert_eq!(browser.post(pay).send().await.unwrap().status(), StatusCode::SEE_OTHER);
}

async fn shop_status(browser: &Client, demo: &Demo, query: &str) -> Value {
    let url = format!("{}/admin/marketplace/status.json{query}", demo.shop_url);
    browser.get(url).send().await.unwrap().json().await.unwrap()
}

fn state_of<'a>(status: &'a Value, app: &str) -> Option<&'a str> {
    let apps = status["apps"].as_array().unwrap();
    apps.iter().find(|known| known["marketplace_id"] == app)?["state"].as_str()
}

async fn control_stripe(browser: &Client, demo: &Demo, what: &str) {
    let answer = browser.post(format!("{}/sim/{what}", demo.stripe_url)).send().await.unwrap();
    assert_eq!(answer.status(), StatusCode::OK);
}

#[tokio::test]
async fn a_purchase_ends_well_and_leaves_nothing_behind() {
    let output = run(&["demo", "--buy"]).await;
    let said = text(&output);
    assert!(output.status.success(), "{said}");
    for step in [
        "ready",
        "feed read: 9 apps",
        "checkout opened",
        "paid",
        "licence issued",
        "installed",
        "VALID",
        "in all",
    ] {
        assert!(said.contains(step), "{step} is missing in:\n{said}");
    }
    let folder = said.lines().find_map(|line| line.split("the marketplace in ").nth(1)).unwrap();
    assert!(!Path::new(folder).exists(), "{folder} is left behind");
}

#[tokio::test]
async fn on_the_same_folder_each_purchase_is_of_another_app_until_there_is_none_left() {
    let folder = TempDir::new().unwrap();
    let args = ["demo", "--buy", "--ephemeral", "--data", folder.path().to_str().unwrap()];
    let mut bought = Vec::new();
    for _ in 0..5 {
        let output = run(&args).await;
        let said = text(&output);
        assert!(output.status.success(), "{said}");
        bought.push(said.lines().find(|line| line.contains("checkout opened")).unwrap()[9..].to_owned());
    }
    bought.sort();
    bought.dedup();
    assert_eq!(bought.len(), 5, "{bought:?}");
    let output = run(&args).await;
    assert!(output.status.success() && text(&output).contains("nothing is left to buy"), "{}", text(&output));
}

#[tokio::test]
async fn a_sale_outlives_a_kill_between_payment_and_installation() {
    let (folder, app) = (TempDir::new().unwrap(), "@atelier/punchout");
    let data = folder.path().join("demo");
    let browser = browser();
    let mut first = start(&data).await;
    control_stripe(&browser, &first.demo, "delivery/pause").await;
    buy_and_pay(&browser, &first.demo, app, "2.0.0").await;
    assert_eq!(state_of(&shop_status(&browser, &first.demo, "").await, app), None);
    first.running.kill().unwrap();

    let second = start(&data).await;
    assert_eq!(second.demo.instance_id, first.demo.instance_id);
    control_stripe(&browser, &second.demo, "delivery/resume").await;
    let status = shop_status(&browser, &second.demo, &format!("?wait_for={app}&seconds=30")).await;
    assert_eq!(state_of(&status, app), Some("installed"), "{status}");
    stop(second).await;
}

#[tokio::test]
async fn the_demo_shows_an_update_and_keeps_its_keys_to_its_owner() {
    let folder = TempDir::new().unwrap();
    let data = folder.path().join("demo");
    let started = start(&data).await;
    let demo = &started.demo;
    let url = format!(
        "{}/store/marketplace/updates?versions={{\"@carphacom/seo-essentials\":\"1.0.0\",\"@atelier/parcel-labels\":\"1.4.0\"}}",
        demo.gateway_url
    );
    let request = browser().get(url).header("x-publishable-api-key", &demo.publishable_key);
    let answer: Value = request.send().await.unwrap().json().await.unwrap();
    let updates = answer["updates"].as_array().unwrap();
    let latest: Vec<&str> = updates.iter().map(|update| update["latest"].as_str().unwrap()).collect();
    assert!(latest.contains(&"1.1.0") && latest.contains(&"1.4.1"), "{answer}");
    assert!(updates.iter().any(|update| update["security"] == true), "{answer}");
    let status = shop_status(&browser(), demo, "").await;
    assert_eq!(state_of(&status, "@carphacom/seo-essentials"), Some("installed"));
    for file in ["secrets.json", "demo-secrets.json", "shop.json", "demo.json", "guest-book-secret.json"] {
        let mode = fs::metadata(data.join(file)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{file}");
    }
    stop(started).await;
    assert!(!data.join("demo.json").exists(), "an ended demo leaves no addresses");
}

#[tokio::test]
async fn a_demo_that_was_killed_before_its_shop_had_its_first_app_gives_it_that_app_once() {
    let (folder, app) = (TempDir::new().unwrap(), "@carphacom/seo-essentials");
    let data = folder.path().join("demo");
    fs::create_dir_all(data.join("shop")).unwrap();
    let browser = browser();
    let first = start(&data).await;
    assert_eq!(state_of(&shop_status(&browser, &first.demo, "").await, app), Some("installed"));
    press(&browser, &first.demo, "remove", &[("app", app), ("version", "1.0.0")]).await;
    let removed = eventually("the removal", PATIENCE, || async {
        let status = shop_status(&browser, &first.demo, "").await;
        state_of(&status, app).is_none().then_some(())
    });
    removed.await.unwrap();
    stop(first).await;

    let second = start(&data).await;
    assert_eq!(state_of(&shop_status(&browser, &second.demo, "").await, app), None, "it was removed");
    stop(second).await;
}

/// What a person's browser does with a form of the shop.
async fn press(browser: &Client, demo: &Demo, button: &str, fields: &[(&str, &str)]) {
    let page = browser.get(format!("{}/admin/plugins", demo.shop_url)).send().await.unwrap();
    let cookie = page.headers()["set-cookie"].to_str().unwrap().split(';').next().unwrap().to_owned();
    let html = page.text().await.unwrap();
    let token = html.split("name=\"csrf\"").nth(1).unwrap().split('"').nth(1).unwrap();
    // What goes on with a job sends back what its page has asked.
    let shown = html.split("name=\"shown\" value=\"").nth(1).and_then(|rest| rest.split('"').next());
    let form = [&[("csrf", token), ("shown", shown.unwrap_or_default())], fields].concat();
    let pressed = browser.post(format!("{}/admin/marketplace/{button}", demo.shop_url));
    let answer = pressed.header("cookie", cookie).form(&form).send().await.unwrap();
    assert_eq!(answer.status(), StatusCode::SEE_OTHER);
}

async fn guests(browser: &Client, demo: &Demo) -> String {
    browser.get(&demo.hosted_url).send().await.unwrap().text().await.unwrap()
}

#[tokio::test]
async fn a_hosted_app_hears_of_the_shop_and_again_when_it_has_moved_to_another_port() {
    let (folder, app) = (TempDir::new().unwrap(), "@atelier/guest-book");
    let data = folder.path().join("demo");
    let browser = browser();
    let first = start(&data).await;
    assert!(guests(&browser, &first.demo).await.contains("No shop has this app yet"));
    press(&browser, &first.demo, "install", &[("app", app), ("version", "1.0.0")]).await;
    let wait = format!("?wait_for={app}&seconds=30");
    let asked = shop_status(&browser, &first.demo, &wait).await;
    assert_eq!(state_of(&asked, app), Some("waiting"), "nothing was allowed yet: {asked}");
    press(&browser, &first.demo, "jobs", &[("app", app), ("act", "accept")]).await;
    let installed = shop_status(&browser, &first.demo, &wait).await;
    assert_eq!(state_of(&installed, app), Some("installed"), "{installed}");
    assert!(guests(&browser, &first.demo).await.contains("demo-shop"));
    stop(first).await;

    let second = start(&data).await;
    assert_eq!(second.demo.next_release.version, "1.1.0");
    let update = [("app", app), ("version", "1.0.1"), ("allowed", "api:products.read")];
    press(&browser, &second.demo, "update", &update).await;
    let told = eventually("the new address", PATIENCE, || async {
        Some(guests(&browser, &second.demo).await).filter(|page| page.contains("1.0.1"))
    });
    assert!(told.await.unwrap().contains("demo-shop"));
    stop(second).await;
}

#[tokio::test]
async fn the_line_that_publishes_the_next_version_is_one_that_works() {
    let folder = TempDir::new().unwrap();
    let data = folder.path().join("demo");
    let started = start(&data).await;
    let next = &started.demo.next_release;
    let post = browser().post(&next.url).bearer_auth(&started.demo.admin_key);
    let post = post.header("content-type", "application/json");
    let post = post.header("x-vendor-signature", &next.vendor_signature);
    let answer = post.body(fs::read(&next.manifest).unwrap()).send().await.unwrap();
    assert_eq!(answer.status(), StatusCode::CREATED);
    let release: Value = answer.json().await.unwrap();
    assert_eq!((&release["version"], &release["app_secret"]), (&"1.1.0".into(), &Value::Null));
    stop(started).await;
}

#[tokio::test]
async fn a_second_demo_on_the_same_folder_is_refused_and_does_the_first_no_harm() {
    let folder = TempDir::new().unwrap();
    let data = folder.path().join("demo");
    let first = start(&data).await;
    let output = run(&["demo", "--ephemeral", "--data", data.to_str().unwrap()]).await;
    assert!(!output.status.success());
    assert!(text(&output).contains("another process holds it"), "{}", text(&output));
    assert!(data.join("demo.json").exists());
    assert_eq!(shop_status(&browser(), &first.demo, "").await["connected"], true);
    stop(first).await;
}

#[tokio::test]
async fn a_port_that_is_taken_is_said_with_the_way_out() {
    let taken = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let port = taken.local_addr().unwrap().port().min(65_530).to_string();
    let folder = TempDir::new().unwrap();
    let output = run(&["demo", "--port-base", &port, "--data", folder.path().to_str().unwrap()]).await;
    assert!(!output.status.success());
    assert!(text(&output).contains("--ephemeral takes free ones"), "{}", text(&output));
}

fn serve_env(data: &Path, ports: [u16; 3]) -> Vec<(String, String)> {
    let listen = |port: u16| format!("127.0.0.1:{port}");
    let [api, events, admin] = ports.map(listen);
    let data = data.display().to_string();
    [
        ("MERCATO__DATA", data.as_str()),
        ("MERCATO__HTTP__LISTEN", &api),
        ("MERCATO__HTTP__PUBLIC_URL", "https://market.example.com"),
        ("MERCATO__STRIPE_WEBHOOK__LISTEN", &events),
        ("MERCATO__ADMIN__LISTEN", &admin),
        ("MERCATO__STRIPE__SECRET_KEY", "sk_live_none"),
        ("MERCATO__STRIPE__WEBHOOK_SECRETS", "whsec_none"),
        ("MERCATO__STRIPE__SUCCESS_URL", "https://market.example.com/thanks"),
        ("MERCATO__STRIPE__CANCEL_URL", "https://market.example.com/back"),
    ]
    .map(|(name, value)| (name.to_owned(), value.to_owned()))
    .into()
}

#[tokio::test]
async fn serve_makes_its_keys_once_and_takes_the_admin_key_it_printed() {
    let folder = TempDir::new().unwrap();
    let data = folder.path().join("market");
    let ports = testkit::free_ports::<3>().unwrap();
    let env = serve_env(&data, ports);
    let mut process = Process::start_program(Path::new(MERCATO), &["serve"], env, ports[2]).await.unwrap();
    let key =
        process.output().lines().find_map(|line| line.split("shown this once: ").nth(1)).unwrap().to_owned();
    process.restart().await.unwrap();
    assert_eq!(process.output().matches("shown this once").count(), 1);
    let url = format!("http://127.0.0.1:{}/admin/vendors", ports[0]);
    let vendors: Value = browser().get(url).bearer_auth(key).send().await.unwrap().json().await.unwrap();
    assert_eq!(vendors["count"], 0, "no sample data: {vendors}");
    let metrics = browser().get(format!("http://127.0.0.1:{}/metrics", ports[2])).send().await.unwrap();
    assert!(metrics.text().await.unwrap().contains("http_server_request_duration_seconds_count"));
    assert!(process.stop(PATIENCE).await.unwrap().success());
}

#[tokio::test]
async fn serve_takes_postgresql_nats_and_redis_in_place_of_its_files() {
    let folder = TempDir::new().unwrap();
    let data = folder.path().join("market");
    let ports = testkit::free_ports::<3>().unwrap();
    let servers = test_env();
    let nats = Nats::start(&default_root().unwrap()).await.unwrap();
    let mut env = serve_env(&data, ports);
    env.push(("DATABASE_URL".into(), servers.fresh_database().await.unwrap()));
    env.push(("NATS_URL".into(), nats.url()));
    env.push(("REDIS_URL".into(), servers.redis_url));
    let mut process = Process::start_program(Path::new(MERCATO), &["serve"], env, ports[2]).await.unwrap();
    let key =
        process.output().lines().find_map(|line| line.split("shown this once: ").nth(1)).unwrap().to_owned();
    let url = format!("http://127.0.0.1:{}/admin/shared-keys", ports[0]);
    let made = browser().post(&url).bearer_auth(&key).json(&serde_json::json!({ "label": "central" }));
    let made: Value = made.send().await.unwrap().json().await.unwrap();
    process.restart().await.unwrap();
    let feed = browser().get(format!("http://127.0.0.1:{}/store/marketplace/feed", ports[0]));
    let feed = feed.header("x-publishable-api-key", made["publishable_key"].as_str().unwrap());
    assert_eq!(feed.send().await.unwrap().status(), StatusCode::OK, "the key outlives a kill");
    let files: Vec<String> =
        fs::read_dir(&data).unwrap().map(|file| file.unwrap().file_name().into_string().unwrap()).collect();
    assert!(files.iter().all(|file| !file.contains(".db")), "{files:?}");
}

#[tokio::test]
async fn serve_says_everything_that_is_wrong_before_it_makes_anything() {
    let folder = TempDir::new().unwrap();
    let data = folder.path().join("market");
    let mut env = serve_env(&data, testkit::free_ports().unwrap());
    env.retain(|(name, _)| name != "MERCATO__STRIPE__SECRET_KEY");
    env.push(("MERCATO__STRIPE__SECRET_KEY".into(), "hunter2".into()));
    env.push(("MERCATO__DELIVERY__JITTER".into(), "3.0".into()));
    let output =
        tokio::process::Command::new(MERCATO).arg("serve").env_clear().envs(env).output().await.unwrap();
    let said = text(&output);
    assert!(!output.status.success());
    assert!(said.contains("stripe.secret_key") && said.contains("delivery.jitter"), "{said}");
    assert!(!said.contains("hunter2") && !data.exists(), "{said}");
}
