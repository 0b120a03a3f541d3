//! What leaves a shop, byte by byte, and what the marketplace keeps of it: only what contracts.md section 2 allows.

#![allow(clippy::unwrap_used, clippy::expect_used)]

#[path = "privacy/agent.rs"]
mod agent;
#[path = "privacy/wiretap.rs"]
mod wiretap;

use std::{path::Path, time::Duration};

use agent::Agent;
use serde_json::json;
use testkit::{
    capture::{Capture, Direction},
    collector::Collector,
    market::{AppBackend, Market, Options, Package, Registration, Service, Topology, Vendor},
};
use wiretap::Request;

const SOON: Duration = Duration::from_secs(30);
const PAID: &str = "@acme/labels";
const FREE: &str = "@acme/gift";
const HOSTED: &str = "@acme/loyalty";

/// What the shop holds of its customers, and must never send.
const CUSTOMERS: &str = "Rosalind Franklin,rosalind@customers.example,+44 20 7946 0958,12 Photo Lane";
const ORDERS: &str = r#"{"order":"SO-2047","lines":[{"sku":"KEYBOARD-7","paid":"129.90"}]}"#;
const LOCAL_PLUGIN: &str = "payroll-of-our-staff";
/// Words of them that are looked for.
const PRIVATE: [&str; 6] = ["Rosalind", "customers.example", "7946", "SO-2047", "KEYBOARD-7", LOCAL_PLUGIN];

/// What one call may hold (contracts.md section 2).
struct Allowed {
    method: &'static str,
    /// `*` is one segment.
    path: &'static str,
    query: &'static [&'static str],
    headers: &'static [&'static str],
    body: &'static [&'static str],
}

/// Of HTTP itself, with every call.
const PLUMBING: [&str; 4] = ["host", "user-agent", "accept", "accept-encoding"];
const KEY: &str = "x-publishable-api-key";
const POST: [&str; 3] = ["content-type", "content-length", "idempotency-key"];

/// The administrator's own acts; how long the answer may take is nobody's secret.
const ADMINISTRATOR: [&str; 3] = [KEY, "authorization", "prefer"];

const ALLOWED: [Allowed; 13] = [
    Allowed { method: "GET", path: "/.well-known/mercato.json", query: &[], headers: &[KEY], body: &[] },
    Allowed {
        method: "GET",
        path: "/store/marketplace/feed",
        query: &["type", "search", "page", "per_page", "limit", "offset"],
        headers: &[KEY],
        body: &[],
    },
    Allowed { method: "GET", path: "/store/marketplace/feed/*/*", query: &[], headers: &[KEY], body: &[] },
    Allowed {
        method: "GET",
        path: "/store/marketplace/updates",
        query: &["versions", "platform_version"],
        headers: &[KEY],
        body: &[],
    },
    Allowed {
        method: "GET",
        path: "/store/marketplace/download/*/*/*",
        query: &[],
        headers: &[KEY, "x-carpha-license", "x-carpha-instance"],
        body: &[],
    },
    Allowed {
        method: "POST",
        path: "/store/marketplace/checkout/session",
        query: &[],
        headers: &[KEY],
        body: &["marketplace_id", "version", "customer_email", "instance_id"],
    },
    Allowed {
        method: "POST",
        path: "/store/marketplace/license/verify",
        query: &[],
        headers: &[KEY],
        body: &["license_key", "marketplace_id", "instance_id", "version", "nonce"],
    },
    Allowed {
        method: "GET",
        path: "/store/marketplace/licenses",
        query: &["limit", "offset"],
        headers: &[KEY, "authorization"],
        body: &[],
    },
    Allowed {
        method: "GET",
        path: "/store/marketplace/installations",
        query: &["state", "marketplace_id", "limit", "offset"],
        headers: &ADMINISTRATOR,
        body: &[],
    },
    Allowed {
        method: "POST",
        path: "/store/marketplace/installations",
        query: &[],
        headers: &ADMINISTRATOR,
        body: &["marketplace_id", "version", "granted_permissions"],
    },
    Allowed {
        method: "POST",
        path: "/store/marketplace/installations/*/update",
        query: &[],
        headers: &ADMINISTRATOR,
        body: &["version", "granted_permissions"],
    },
    Allowed {
        method: "DELETE",
        path: "/store/marketplace/installations/*",
        query: &[],
        headers: &ADMINISTRATOR,
        body: &[],
    },
    // The link is its own permission: no key goes along.
    Allowed { method: "GET", path: "/dl/*/*/*", query: &["expires", "sig"], headers: &[], body: &[] },
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_shop_of_one_process_sends_and_the_marketplace_keeps_nothing_but_what_is_allowed() {
    run(Topology::OneProcess).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_shop_of_five_processes_sends_and_the_marketplace_keeps_nothing_but_what_is_allowed() {
    run(Topology::FiveProcesses).await;
}

async fn run(topology: Topology) {
    let (capture, collector) = (Capture::ahead().await.unwrap(), Collector::start().await.unwrap());
    let (market, vendor) = start(topology, &capture, &collector).await;
    let agent = Agent::new(&market).await;
    plant(agent.data());
    let agent = agent.start(&capture.url()).await;
    let app = live_with_a_hosted_app(&market, &vendor, &agent).await;
    let key = live(&market, &agent).await;

    let requests = wiretap::read(&capture.streams(Direction::Sent));
    assert!(requests.len() >= 15, "{} requests", requests.len());
    for request in &requests {
        assert_allowed(request);
    }
    assert_every_kind_of_call_was_made(&requests);
    assert_ids_are_sealed_and_the_address_goes_to_the_checkout_only(&requests, &agent.registration);
    let sent = capture.sent_text();
    for private in PRIVATE {
        assert!(!sent.contains(private), "{private} left the shop");
    }
    assert_nothing_is_kept(&market, &agent, &collector, &[("the licence key", key)]).await;
    assert_nothing_is_kept(&market, &agent, &collector, &app).await;
}

async fn start(topology: Topology, capture: &Capture, collector: &Collector) -> (Market, Vendor) {
    let options = Options { public_url: Some(capture.url()), ..Options::default() };
    let options =
        Service::ALL.into_iter().fold(options.traced_to(collector.endpoint()), |options, service| {
            options.var(service, "OTEL_BSP_SCHEDULE_DELAY", "200")
        });
    let market = Market::start(topology, options).await.unwrap();
    capture.point_to(market.gateway_url().trim_start_matches("http://").parse().unwrap());
    let admin = market.admin().unwrap();
    let vendor = admin.create_vendor("acme").await.unwrap();
    admin.import(&vendor, &Package::new(PAID).price_cents(4900)).await.unwrap();
    admin.import(&vendor, &Package::new(FREE)).await.unwrap();
    (market, vendor)
}

/// Customers and orders where the agent keeps its own data, and an app of the shop's own.
fn plant(data: &Path) {
    let plugin = data.join("plugins").join(LOCAL_PLUGIN);
    std::fs::create_dir_all(&plugin).unwrap();
    std::fs::write(data.join("customers.csv"), CUSTOMERS).unwrap();
    std::fs::write(data.join("orders.json"), ORDERS).unwrap();
    std::fs::write(plugin.join("notes.txt"), CUSTOMERS).unwrap();
    let manifest = json!({
        "id": LOCAL_PLUGIN, "marketplace_id": format!("@our-shop/{LOCAL_PLUGIN}"), "name": "Payroll",
        "version": "1.0.0", "type": "admin-extension", "carphacom_min_version": "1.0.0",
        "description": "Pays our staff.", "author": "The shop", "price_eur": 0, "entry": "./notes.txt",
    });
    std::fs::write(plugin.join("manifest.json"), manifest.to_string()).unwrap();
}

/// The administrator uses every page and button; the licence's key that came of it.
async fn live(market: &Market, agent: &Agent) -> String {
    agent.open("/admin/marketplace").await;
    agent.open("/admin/marketplace?search=labels&type=admin-extension").await;
    agent.open("/admin/plugins").await;
    agent.press("install", FREE, "1.0.0").await;
    agent.installed(FREE).await;
    let pay = agent.press("buy", PAID, "1.0.0").await;
    market.stripe().pay(pay.rsplit('/').next().unwrap()).await.unwrap();
    agent.installed(PAID).await;
    agent.open("/admin/plugins").await;
    agent.look_for_licenses().await;
    let admin = market.admin().unwrap();
    assert_eq!(admin.list("licenses", &[]).await.unwrap().len(), 1);
    agent.license_key().await
}

/// The administrator installs a hosted app, updates and removes it; the secrets that came of it.
async fn live_with_a_hosted_app(
    market: &Market,
    vendor: &Vendor,
    agent: &Agent,
) -> [(&'static str, String); 3] {
    let (admin, backend) = (market.admin().unwrap(), AppBackend::start().await.unwrap());
    let app = Package::hosted(HOSTED, &backend.url()).permissions(&["api:orders.read"]);
    let release = admin.import_hosted(vendor, &app).await.unwrap();
    let secret = release["app_secret"].as_str().unwrap().to_owned();
    backend.accept(&secret).unwrap();
    agent.confirm("consent", "install", HOSTED).await;
    agent.installed(HOSTED).await;
    let more = app.version("1.1.0").permissions(&["api:orders.read", "api:orders.write"]);
    admin.import_hosted(vendor, &more).await.unwrap();
    agent.confirm("consent", "update", HOSTED).await;
    backend.wait_for(&agent.registration.shop, 2, SOON).await.unwrap();
    agent.installed(HOSTED).await;
    agent.confirm("remove", "remove", HOSTED).await;
    let told = backend.wait_for(&agent.registration.shop, 3, SOON).await.unwrap();
    let api_key = told[0].api_key().unwrap().to_owned();
    [("the app's secret", secret), ("the API key", api_key), ("a signed callback", told[0].auth.clone())]
}

fn assert_allowed(request: &Request) {
    let Request { method, path, .. } = request;
    let rule = find_rule(request);
    let rule = rule.unwrap_or_else(|| panic!("{method} {path} is no call of contracts.md section 2"));
    for name in request.query.keys() {
        assert!(rule.query.contains(&name.as_str()), "{method} {path} sent `{name}`");
    }
    let of_post = if *method == "POST" { &POST[..] } else { &[] };
    for name in request.headers.keys() {
        let known = [&PLUMBING[..], rule.headers, of_post].concat();
        assert!(known.contains(&name.as_str()), "{method} {path} sent the header {name}");
    }
    let fields = request.body.as_object().map(|body| body.keys().collect::<Vec<_>>()).unwrap_or_default();
    assert!(
        fields.iter().all(|field| rule.body.contains(&field.as_str())),
        "{method} {path} sent {fields:?}"
    );
    assert!(*method == "POST" || request.body.is_null(), "{method} {path} sent a body");
}

fn find_rule(request: &Request) -> Option<&'static Allowed> {
    ALLOWED.iter().find(|rule| {
        let (rules, parts) = (rule.path.split('/'), request.path.split('/'));
        rule.method == request.method
            && rules.clone().count() == parts.clone().count()
            && rules.zip(parts).all(|(rule, part)| rule == "*" || rule == part)
    })
}

/// Else the rules above would hold for nothing.
fn assert_every_kind_of_call_was_made(requests: &[Request]) {
    for rule in &ALLOWED {
        let made = requests.iter().filter_map(find_rule).any(|made| std::ptr::eq(made, rule));
        assert!(made, "the shop never called {} {}", rule.method, rule.path);
    }
}

fn assert_ids_are_sealed_and_the_address_goes_to_the_checkout_only(
    requests: &[Request],
    registration: &Registration,
) {
    for request in requests {
        let raw = String::from_utf8_lossy(&request.raw);
        assert!(!raw.contains(&registration.instance_id), "{} sent the plain instance id", request.path);
        assert!(!raw.contains(&registration.webhook_secret));
        let is_checkout = request.path.ends_with("/checkout/session");
        assert_eq!(raw.contains(agent::EMAIL), is_checkout, "{} sent the e-mail address", request.path);
        let ids = [
            request.body["instance_id"].as_str(),
            request.headers.get("x-carpha-instance").map(String::as_str),
        ];
        for id in ids.into_iter().flatten() {
            assert!(id.starts_with("enc_"), "{} sent an instance id that is not sealed", request.path);
        }
        if let Some(versions) = request.query.get("versions") {
            assert!(
                !versions.contains("our-shop"),
                "an app of the shop's own is nobody's business: {versions}"
            );
        }
    }
}

async fn assert_nothing_is_kept(
    market: &Market,
    agent: &Agent,
    collector: &Collector,
    more: &[(&'static str, String)],
) {
    let delivered = |span: &testkit::collector::Span| span.name == "deliver license-issued";
    collector.wait_for("the delivery's span", SOON, delivered).await.unwrap();
    let (given, keys) = (&agent.registration, market.keys());
    let secrets = [
        ("the e-mail address", agent::EMAIL),
        ("the instance id", &given.instance_id),
        ("the publishable key", &given.publishable_key),
        ("the secret key", &given.secret_key),
        ("the webhook secret", &given.webhook_secret),
        ("the operator's key", &keys.admin_key),
        ("Stripe's key", &keys.stripe_api_key),
        ("Stripe's webhook secret", &keys.stripe_webhook_secret),
    ];
    let more = more.iter().map(|(what, text)| (*what, text.as_str()));
    let mut logs = market.logs();
    logs.insert("tenant".to_owned(), agent.log());
    let spans = collector.spans();
    assert!(spans.len() > 20 && logs.values().all(|log| !log.is_empty()));
    for (what, text) in secrets.into_iter().chain(more) {
        for (process, log) in &logs {
            let line = log.lines().find(|line| line.contains(text));
            assert!(line.is_none(), "{what} stands in the log of {process}: {}", line.unwrap_or_default());
        }
        let span = spans.iter().find(|span| format!("{span:?}").contains(text));
        assert!(span.is_none(), "{what} stands in a span: {span:?}");
    }
}
