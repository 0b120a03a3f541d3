//! Every query of the dashboards and rules, asked of a real Prometheus that scrapes the five processes.

#[expect(dead_code, reason = "what only the check against the services reads")]
#[path = "../observability/files.rs"]
mod files;

use std::{fs, path::Path, process::Stdio, time::Duration};

use serde_json::{Value, json};
use testkit::{
    eventually,
    market::{Market, Options, Package, Service, Topology},
};
use tokio::process::{Child, Command};

use self::files::Query;
use crate::tools::given;

const SOON: Duration = Duration::from_mins(1);
const APP: &str = "@acme/labels";
const RULES: &str = "deploy/observability/rules.yaml";

struct Prometheus {
    url: String,
    _process: Child,
    _folder: tempfile::TempDir,
}

impl Prometheus {
    /// Scrapes the market each second, with our rules.
    async fn start(market: &Market) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let config = folder.path().join("prometheus.json");
        fs::write(&config, configuration(market).to_string()).unwrap();
        let [port] = testkit::free_ports().unwrap();
        let log = fs::File::create(folder.path().join("log")).unwrap();
        let process = Command::new(given("PROMETHEUS"))
            .arg(format!("--config.file={}", config.display()))
            .arg(format!("--storage.tsdb.path={}", folder.path().join("data").display()))
            .arg(format!("--web.listen-address=127.0.0.1:{port}"))
            .stdout(Stdio::null())
            .stderr(log)
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let prometheus = Self { url: format!("http://127.0.0.1:{port}"), _process: process, _folder: folder };
        let ready = || async { prometheus.get("/-/ready").await };
        eventually("Prometheus", SOON, ready).await.unwrap();
        prometheus
    }

    async fn get(&self, path: &str) -> Option<String> {
        let answer = reqwest::get(format!("{}{path}", self.url)).await.ok()?;
        answer.error_for_status().ok()?.text().await.ok()
    }

    /// The series that answer a query.
    async fn ask(&self, query: &Query) -> Vec<Value> {
        let request = reqwest::Client::new().post(format!("{}/api/v1/query", self.url));
        let answer = request.form(&[("query", &query.expr)]).send().await.unwrap();
        let answer: Value = answer.json().await.unwrap();
        assert_eq!(answer["status"], "success", "{}: {}", query.place, answer["error"]);
        answer["data"]["result"].as_array().unwrap().clone()
    }

    /// The alerts that are on their way or there, by name and state.
    async fn alerts(&self) -> Vec<(String, String)> {
        let answer: Value = serde_json::from_str(&self.get("/api/v1/alerts").await.unwrap()).unwrap();
        let alerts = answer["data"]["alerts"].as_array().unwrap();
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        alerts.iter().map(|alert| (text(&alert["labels"]["alertname"]), text(&alert["state"]))).collect()
    }
}

/// JSON is YAML.
fn configuration(market: &Market) -> Value {
    let target = |(service, url): (String, String)| json!({ "targets": [url.strip_prefix("http://").unwrap()], "labels": { "service": service } });
    let targets: Vec<Value> = market.admin_urls().unwrap().into_iter().map(target).collect();
    json!({
        "global": { "scrape_interval": "1s", "evaluation_interval": "1s" },
        "rule_files": [files::path(RULES)],
        "scrape_configs": [{ "job_name": "mercato", "static_configs": targets }],
    })
}

async fn sell(market: &Market) {
    let admin = market.admin().unwrap();
    let vendor = admin.create_vendor("acme").await.unwrap();
    admin.import(&vendor, &Package::new(APP).price_cents(4900)).await.unwrap();
    for name in ["first-shop", "second-shop"] {
        let shop = market.shop(name).await.unwrap();
        let order = shop.checkout(APP, "1.0.0").await.unwrap();
        market.stripe().pay(&order.session_id).await.unwrap();
        let webhook = shop.wait_for_license(APP, SOON).await.unwrap();
        for _ in 0..5 {
            shop.verify(webhook.license_key().unwrap(), APP).await.unwrap();
        }
    }
}

/// Where nothing failed, nothing is counted of failures.
fn may_be_empty(query: &Query) -> bool {
    query.expr.contains("error_type!=\"\"") || is_alert(query)
}

fn is_alert(query: &Query) -> bool {
    files::read().alerts.iter().any(|alert| query.place == format!("{RULES}: {}", alert.name))
}

fn said(series: &[Value]) -> String {
    let value = |series: &Value| format!("{}={}", series["metric"], series["value"][1].as_str().unwrap());
    let first: Vec<_> = series.iter().take(2).map(value).collect();
    format!("{} series {}", series.len(), first.join(" "))
}

async fn promtool(arguments: &[&str]) {
    let done = Command::new(given("PROMTOOL")).args(arguments).output().await.unwrap();
    let said = String::from_utf8_lossy(&done.stdout) + String::from_utf8_lossy(&done.stderr);
    println!("promtool {}:\n{said}", arguments.join(" "));
    assert!(done.status.success(), "{said}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_query_is_answered_and_a_service_that_is_down_is_noticed() {
    platform::tls::install_provider();
    let mut market = Market::start(Topology::FiveProcesses, Options::default()).await.unwrap();
    let prometheus = Prometheus::start(&market).await;
    // A first look before the sale: a rate needs two.
    let up = Query { place: "here".to_owned(), expr: "count(up == 1) == 5".to_owned() };
    let scraped = || async { (!prometheus.ask(&up).await.is_empty()).then_some(()) };
    eventually("five services to be scraped", SOON, scraped).await.unwrap();
    sell(&market).await;

    let queries = files::read().queries;
    for query in &queries {
        let answered = || async {
            let series = prometheus.ask(query).await;
            (may_be_empty(query) || !series.is_empty()).then_some(series)
        };
        let series = eventually(&format!("{}: {}", query.place, query.expr), SOON, answered).await.unwrap();
        println!("{}\n    {}\n    {}", query.place, query.expr.replace('\n', " "), said(&series));
    }
    println!("{} queries answered", queries.len());

    let firing = prometheus.alerts().await.into_iter().filter(|(_, state)| state == "firing");
    // A machine that builds beside may be slow to answer.
    let firing: Vec<_> = firing.filter(|(name, _)| !name.starts_with("Verify")).collect();
    assert!(firing.is_empty(), "a healthy market wakes nobody: {firing:?}");
    market.kill(Service::Dispatcher).unwrap();
    let noticed = || async {
        let alerts = prometheus.alerts().await;
        alerts.into_iter().find(|(name, _)| name == "ServiceDown")
    };
    println!("{:?}", eventually("the alert", SOON, noticed).await.unwrap());
}

#[tokio::test]
async fn prometheus_takes_the_configuration_and_the_rules() {
    promtool(&["check", "rules", files::path(RULES).to_str().unwrap()]).await;
    promtool(&["test", "rules", files::path("deploy/observability/rules.test.yaml").to_str().unwrap()]).await;
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("prometheus.yaml");
    let there = files::path("deploy/observability");
    let text = files::text("deploy/observability/prometheus.yaml");
    fs::write(&config, text.replace("/etc/mercato", Path::new(&there).to_str().unwrap())).unwrap();
    promtool(&["check", "config", config.to_str().unwrap()]).await;
}
