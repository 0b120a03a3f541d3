//! One sale as a collector of spans sees it, across the five processes.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::time::Duration;

use http::Method;
use serde_json::json;
use testkit::{
    collector::{Collector, Span, SpanKind, Trace},
    market::{AppBackend, Consent, Market, Options, Package, Service, Shop, Topology},
};

const SOON: Duration = Duration::from_secs(30);
const PAID: &str = "consume payments.v1.order_paid";
const ISSUED: &str = "consume licensing.v1.license_issued";
const APP: &str = "@acme/labels";

/// Stripe's event, where its trace begins.
const WEBHOOK: (&str, &str) = ("payments-svc", "POST /stripe/webhook");
/// The shop's receipt, where it ends.
const DELIVERY: (&str, &str) = ("webhook-dispatcher", "deliver license-issued");

struct Sold {
    market: Market,
    collector: Collector,
    shop: Shop,
    key: String,
}

async fn traced_market() -> (Market, Collector) {
    let collector = Collector::start().await.unwrap();
    let options = Service::ALL.into_iter().fold(
        Options::default().traced_to(collector.endpoint()),
        // Spans are sent in batches; nobody wants to wait five seconds for the last one.
        |options, service| options.var(service, "OTEL_BSP_SCHEDULE_DELAY", "200"),
    );
    (Market::start(Topology::FiveProcesses, options).await.unwrap(), collector)
}

async fn sell() -> Sold {
    let (market, collector) = traced_market().await;
    let admin = market.admin().unwrap();
    let vendor = admin.create_vendor("acme").await.unwrap();
    admin.import(&vendor, &Package::new(APP).price_cents(4900)).await.unwrap();
    let shop = market.shop("traced-shop").await.unwrap();
    let order = shop.checkout(APP, "1.0.0").await.unwrap();
    market.stripe().pay(&order.session_id).await.unwrap();
    let webhook = shop.wait_for_license(APP, SOON).await.unwrap();
    let key = webhook.license_key().unwrap().to_owned();
    Sold { market, collector, shop, key }
}

fn named<'a>(trace: &'a Trace, (service, name): (&str, &str)) -> &'a Span {
    trace.find(service, name).unwrap_or_else(|| panic!("no {name} of {service}:\n{}", trace.tree()))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sale_is_one_trace_from_stripes_event_to_the_shop() {
    let sold = sell().await;
    let told = sold.collector.wait_for("the delivery", SOON, |span| span.name == DELIVERY.1);
    let trace_id = told.await.unwrap().trace_id;
    let way = [WEBHOOK, ("license-svc", PAID), ("webhook-dispatcher", ISSUED), DELIVERY];
    let is_whole = |trace: &Trace| way.iter().all(|(service, name)| trace.find(service, name).is_some());
    let trace = sold.collector.wait_for_trace(&trace_id, SOON, is_whole).await.unwrap();

    let event = named(&trace, WEBHOOK);
    assert_eq!((&event.parent_id, event.kind), (&None, SpanKind::Server), "it begins at Stripe's event");
    let mut cause = event;
    for step in [("license-svc", PAID), ("webhook-dispatcher", ISSUED)] {
        let effect = named(&trace, step);
        assert_eq!(effect.kind, SpanKind::Consumer);
        assert!(trace.ancestors_of(effect).any(|span| span == cause), "{}", trace.tree());
        assert_eq!(trace.parent_of(effect).unwrap().service, cause.service, "{}", trace.tree());
        cause = effect;
    }
    let delivery = named(&trace, DELIVERY);
    assert!(trace.ancestors_of(delivery).any(|span| span == cause), "{}", trace.tree());
    assert!(delivery.kind == SpanKind::Client && delivery.has("mercato.outcome", "success"));
    trace.assert_edge("payments-svc", "license-svc");
    trace.assert_edge("license-svc", "webhook-dispatcher");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_checkout_is_one_trace_from_the_gateway_to_stripe() {
    let sold = sell().await;
    let name = "POST /store/marketplace/checkout/session";
    let checkout = sold.collector.wait_for(name, SOON, |span| span.service == "gateway" && span.name == name);
    let trace_id = checkout.await.unwrap().trace_id;
    let calls_all = |trace: &Trace| {
        let called = |service| trace.has_edge("gateway", service);
        ["catalog-svc", "license-svc", "payments-svc"].into_iter().all(called)
            && trace.find("payments-svc", "POST /v1/checkout/sessions").is_some()
    };
    let trace = sold.collector.wait_for_trace(&trace_id, SOON, calls_all).await.unwrap();
    let stripe = named(&trace, ("payments-svc", "POST /v1/checkout/sessions"));
    let root = trace.ancestors_of(stripe).last().unwrap();
    assert_eq!((root.service.as_str(), root.name.as_str()), ("gateway", name), "{}", trace.tree());
    assert!(stripe.kind == SpanKind::Client && stripe.has("http.response.status_code", "200"));
}

/// An installed app, and everything about it that must stand in no span.
struct Installed {
    /// Its processes send spans as long as it lives.
    market: Market,
    collector: Collector,
    secrets: Vec<String>,
}

async fn install() -> Installed {
    const READ: &str = "api:orders.read";
    let (market, collector) = traced_market().await;
    let (admin, backend) = (market.admin().unwrap(), AppBackend::start().await.unwrap());
    let vendor = admin.create_vendor("acme").await.unwrap();
    let package = Package::hosted("@acme/loyalty", &backend.url()).permissions(&[READ]);
    let release = admin.import_hosted(&vendor, &package).await.unwrap();
    let secret = release["app_secret"].as_str().unwrap().to_owned();
    backend.accept(&secret).unwrap();
    let shop = market.shop("traced-shop").await.unwrap();
    let installed = shop.install("@acme/loyalty", Consent::to(&[READ])).await.unwrap().ok().unwrap();
    assert_eq!(installed["state"], "installed");
    let told = &backend.arrived().unwrap()[0];
    let (api_key, auth) = (told.api_key().unwrap().to_owned(), told.auth.clone());
    let secrets = vec![secret, api_key, auth, shop.registration.secret_key.clone(), shop.id().to_owned()];
    Installed { market, collector, secrets }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_install_is_one_trace_from_the_shops_click_to_the_apps_200() {
    let installed = install().await;
    let Installed { collector, secrets, .. } = &installed;
    let settled = "consume webhooks.v1.callback_settled";
    let known = collector.wait_for("the settlement", SOON, |span| span.name == settled).await.unwrap();
    let way = [
        ("gateway", "POST /store/marketplace/installations"),
        ("webhook-dispatcher", "consume licensing.v1.installation_requested"),
        ("webhook-dispatcher", "deliver Install"),
        ("license-svc", settled),
    ];
    let is_whole = |trace: &Trace| way.iter().all(|(service, name)| trace.find(service, name).is_some());
    let trace = collector.wait_for_trace(&known.trace_id, SOON, is_whole).await.unwrap();

    assert_eq!(named(&trace, way[0]).parent_id, None, "it begins at the shop's click");
    for pair in way.windows(2) {
        let (cause, effect) = (named(&trace, pair[0]), named(&trace, pair[1]));
        assert!(trace.ancestors_of(effect).any(|span| span == cause), "{}", trace.tree());
    }
    let delivery = named(&trace, way[2]);
    assert!(delivery.kind == SpanKind::Client && delivery.has("http.response.status_code", "200"));
    trace.assert_edge("gateway", "catalog-svc");
    trace.assert_edge("gateway", "license-svc");
    trace.assert_edge("license-svc", "webhook-dispatcher");
    for span in collector.spans() {
        let told = format!("{span:?}");
        let leaked = secrets.iter().any(|secret| told.contains(secret));
        assert!(!leaked, "a secret stands in a span of {}: {}", span.service, span.name);
    }
    drop(installed.market);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_span_holds_what_is_nobody_elses_business() {
    const WORDS: &str = "a-search-that-is-nobodys-business";
    let sold = sell().await;
    let shop = &sold.shop;
    shop.feed(&[("search", WORDS)]).await.unwrap().success().unwrap();
    shop.updates(&json!({ (APP): "1.0.0" })).await.unwrap().success().unwrap();
    shop.verify(&sold.key, APP).await.unwrap().success().unwrap();
    shop.download(APP, "1.0.0", Some(&sold.key)).await.unwrap();
    shop.licenses().await.unwrap();
    // The last call: once its span is here, those before it are.
    let last = "GET /admin/instances/{id}";
    let path = format!("/admin/instances/{}", shop.id());
    sold.market.admin().unwrap().caller().get(&path).await.unwrap().success().unwrap();
    sold.collector.wait_for(last, SOON, |span| span.name == last).await.unwrap();
    let delivered = sold.collector.wait_for("the delivery", SOON, |span| span.name == DELIVERY.1);
    delivered.await.unwrap();

    let keys = sold.market.keys();
    let given = &shop.registration;
    let secret = [
        ("the e-mail", "merchant@shop.example"),
        ("the instance id", &given.instance_id),
        ("the publishable key", &given.publishable_key),
        ("the secret key", &given.secret_key),
        ("the webhook secret", &given.webhook_secret),
        ("the licence key", &sold.key),
        ("the admin key", &keys.admin_key),
        ("Stripe's key", &keys.stripe_api_key),
        ("Stripe's webhook secret", &keys.stripe_webhook_secret),
        ("a raw query", WORDS),
        ("a raw query", "versions="),
        ("a download's signature", "sig="),
    ];
    let spans = sold.collector.spans();
    assert!(spans.len() > 20, "{} spans", spans.len());
    for span in &spans {
        let told = format!("{span:?}");
        for (what, text) in secret {
            assert!(!told.contains(text), "{what} stands in a span of {}: {}", span.service, span.name);
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_strangers_trace_is_not_continued() {
    const STRANGER: &str = "0af7651916cd43dd8448eb211c80319c";
    let sold = sell().await;
    let request = sold.shop.reader().request(Method::GET, "/store/marketplace/feed?search=mine");
    let request = request.header("traceparent", format!("00-{STRANGER}-b7ad6b7169203331-01"));
    sold.shop.reader().send(request).await.unwrap().success().unwrap();
    let feed = "GET /store/marketplace/feed";
    sold.collector.wait_for(feed, SOON, |span| span.name == feed).await.unwrap();
    assert!(sold.collector.trace(STRANGER).spans.is_empty());
    let told = &sold.shop.receiver.requests()[0];
    assert!(told.header("traceparent").is_none() && told.header("tracestate").is_none());
}
