//! What operators look at is there: each metric that a dashboard or a rule names is one that the running services
//! expose, each alert has its page in the runbook, and each metric is written down.

#![allow(clippy::unwrap_used, clippy::expect_used)]

#[path = "observability/check.rs"]
mod check;
#[path = "observability/exposed.rs"]
mod exposed;
#[path = "observability/files.rs"]
mod files;
#[path = "observability/promql.rs"]
mod promql;

use std::{collections::BTreeSet, time::Duration};

use serde_json::Value;
use testkit::{
    collector::Collector,
    market::{Market, Options, Package, Service, Topology},
};

use self::{
    exposed::Exposed,
    files::{Files, Query},
};

const SOON: Duration = Duration::from_secs(30);
const APP: &str = "@acme/labels";

/// A market after one sale, and what must stand in no metric.
struct Sold {
    market: Market,
    secrets: Vec<String>,
}

async fn sell(topology: Topology, options: Options) -> Sold {
    let market = Market::start(topology, options).await.unwrap();
    let admin = market.admin().unwrap();
    let vendor = admin.create_vendor("acme").await.unwrap();
    admin.import(&vendor, &Package::new(APP).price_cents(4900)).await.unwrap();
    let shop = market.shop("measured-shop").await.unwrap();
    let order = shop.checkout(APP, "1.0.0").await.unwrap();
    market.stripe().pay(&order.session_id).await.unwrap();
    let webhook = shop.wait_for_license(APP, SOON).await.unwrap();
    let key = webhook.license_key().unwrap().to_owned();
    for _ in 0..2 {
        assert_eq!(shop.verify(&key, APP).await.unwrap().body["code"], "VALID");
    }
    let email = webhook.text("purchased_by").unwrap().to_owned();
    let registration = &shop.registration;
    let keys = [&registration.secret_key, &registration.publishable_key].map(ToString::to_string);
    let secrets = [shop.id().to_owned(), order.id.clone(), key, email, APP.to_owned()];
    Sold { market, secrets: secrets.into_iter().chain(keys).collect() }
}

async fn pages(market: &Market) -> Vec<String> {
    let mut pages = Vec::new();
    for url in market.admin_urls().unwrap().values() {
        let answer = reqwest::get(format!("{url}/metrics")).await.unwrap();
        pages.push(answer.error_for_status().unwrap().text().await.unwrap());
    }
    pages
}

async fn scrape(market: &Market) -> Exposed {
    let mut exposed = Exposed::default();
    pages(market).await.iter().for_each(|page| exposed.read(page));
    exposed
}

/// Some gauges are looked at a while after the start only.
async fn problems_that_stay(market: &Market, files: &Files) -> Vec<String> {
    let none = || async {
        let exposed = scrape(market).await;
        check::problems(files, &exposed).is_empty().then_some(())
    };
    match testkit::eventually("every query to find its metrics", SOON, none).await {
        Ok(()) => Vec::new(),
        Err(_) => check::problems(files, &scrape(market).await),
    }
}

async fn every_query_finds_its_metrics(topology: Topology) {
    platform::tls::install_provider();
    let (sold, files) = (sell(topology, Options::default()).await, files::read());
    assert!(files.queries.len() > 100, "{} queries", files.queries.len());
    let problems = problems_that_stay(&sold.market, &files).await;
    assert!(problems.is_empty(), "{}", problems.join("\n"));

    let exposed = scrape(&sold.market).await;
    let asked = |expr: &str| Files {
        queries: vec![Query { place: "a mistake".to_owned(), expr: expr.to_owned() }],
        recorded: files.recorded.clone(),
        alerts: Vec::new(),
    };
    for mistake in [
        "sum(rate(http_server_request_duration_seconds[5m]))",
        "sum(rate(webhook_attempts[5m]))",
        "sum(webhook_attempts_total)",
        "rate(license_licenses[5m])",
        "sum by (shop) (rate(license_issued_total[5m]))",
        "webhook_endpoints{circuit=\"ajar\"}",
        "webhook_endpoints{state=\"open\"}",
        "rate(http_server_request_duration_seconds_bucket{le=\"0.3\"}[5m])",
        "rate(http_server_request_duration_seconds_count{http_route=~\"/stripe/webhook|/stripe\"}[5m])",
        "sum(rate(license_issued_total[5m])",
    ] {
        assert_eq!(check::problems(&asked(mistake), &exposed).len(), 1, "{mistake}");
    }
    nothing_is_told_that_names_anybody(&sold).await;
}

/// Labels have few values, so none of them names a shop, an order or an app.
async fn nothing_is_told_that_names_anybody(sold: &Sold) {
    for page in pages(&sold.market).await {
        for secret in &sold.secrets {
            assert!(!page.contains(secret.as_str()), "a metric tells {secret}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_query_finds_its_metrics_in_the_five_processes() {
    every_query_finds_its_metrics(Topology::FiveProcesses).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_query_finds_its_metrics_in_one_process() {
    every_query_finds_its_metrics(Topology::OneProcess).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_metric_is_written_down() {
    platform::tls::install_provider();
    let sold = sell(Topology::OneProcess, Options::default()).await;
    let written = files::text("docs/observability.md");
    let exposed = scrape(&sold.market).await;
    let missing: Vec<_> =
        exposed.families.keys().filter(|name| !written.contains(&format!("`{name}`"))).collect();
    assert!(missing.is_empty(), "docs/observability.md says nothing of {missing:?}");
}

/// Each policy that looks at an attribute; a name that no span has would keep nothing, in silence.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_collector_keeps_traces_by_attributes_that_a_sales_spans_have() {
    let configuration: Value =
        serde_norway::from_str(&files::text("deploy/observability/collector.yaml")).unwrap();
    let policies = configuration["processors"]["tail_sampling"]["policies"].as_array().unwrap();
    let keys: Vec<&str> =
        policies.iter().filter_map(|policy| policy["numeric_attribute"]["key"].as_str()).collect();
    assert_eq!(keys.len(), 2, "one for what waited, one for what was tried again");

    let collector = Collector::start().await.unwrap();
    let traced = Service::ALL
        .into_iter()
        .fold(Options::default().traced_to(collector.endpoint()), |options, service| {
            options.var(service, "OTEL_BSP_SCHEDULE_DELAY", "200")
        });
    let _sold = sell(Topology::FiveProcesses, traced).await;
    for key in keys {
        let found = collector.wait_for(key, SOON, |span| span.attributes.contains_key(key)).await.unwrap();
        assert!(found.attributes[key].parse::<i64>().is_ok(), "{key} is a number");
    }
}

#[test]
fn every_alert_has_its_page_in_the_runbook() {
    let (files, runbook) = (files::read(), files::text("docs/runbook.md"));
    let pages: BTreeSet<&str> = runbook.lines().filter_map(|line| line.strip_prefix("## ")).collect();
    let alerts: BTreeSet<&str> = files.alerts.iter().map(|alert| alert.name.as_str()).collect();
    assert_eq!(pages, alerts, "a page for each alert, and an alert for each page");
    for alert in &files.alerts {
        let link = alert.annotations.get("runbook_url").unwrap();
        let (_, anchor) = link.split_once('#').unwrap();
        assert_eq!(anchor, alert.name.to_lowercase(), "{}: the link leads elsewhere", alert.name);
        assert!(["page", "ticket"].contains(&alert.labels["severity"].as_str()), "{}", alert.name);
        assert!(alert.annotations.contains_key("summary"), "{}", alert.name);
        let page = runbook.split("\n## ").find(|page| page.starts_with(&alert.name)).unwrap();
        for part in ["**It means.**", "**Look at.**", "**Do.**"] {
            assert!(page.contains(part), "{} does not say {part}", alert.name);
        }
    }
}

#[test]
fn every_dashboard_can_be_provisioned() {
    let mut uids = BTreeSet::new();
    for file in files::dashboards() {
        let board: Value = serde_json::from_str(&files::text(&file)).unwrap();
        assert!(uids.insert(board["uid"].as_str().unwrap().to_owned()), "{file}: its uid is another's");
        let mut ids = BTreeSet::new();
        for panel in board["panels"].as_array().unwrap() {
            assert!(ids.insert(panel["id"].as_u64().unwrap()), "{file}: two panels have one id");
            let is_row = panel["type"] == "row";
            assert!(is_row || panel["datasource"]["uid"] == "prometheus", "{file}: {}", panel["title"]);
        }
    }
    assert_eq!(uids.len(), 3, "the sale, the deliveries, the services");
}
