//! Orders that are paid at Stripe, and of which Stripe has not told yet.

use std::{
    collections::HashMap,
    net::SocketAddr,
    time::{SystemTime, UNIX_EPOCH},
};

use anyhow::{Context as _, ensure};
use futures::{StreamExt as _, TryStreamExt as _, stream};
use http::{HeaderMap, HeaderValue, Method};
use serde_json::{Value, json};
use testkit::market::{Order, Registration, Shop, Stripe};
use testkit::receiver::Receiver;
use wire::timed_signature;

use crate::{
    gateway::address,
    load::Ask,
    receipts::{Receipts, What},
    stage::Stage,
};

const APPS: usize = 40;
const AT_ONCE: usize = 8;

/// A marketplace with paid orders.
pub(crate) struct Orders {
    pub(crate) stage: Stage,
    pub(crate) sales: Vec<Sale>,
}

/// One of them.
pub(crate) struct Sale {
    pub(crate) what: What,
    pub(crate) session_id: String,
    payments: SocketAddr,
    secret: String,
    /// Stripe's event, byte by byte.
    body: bytes::Bytes,
}

impl Orders {
    /// Places and pays so many orders, of many shops for many apps, while Stripe holds its events back.
    pub(crate) async fn place(count: usize, receipts: &Receipts) -> anyhow::Result<Self> {
        let stage = Stage::open().await?;
        let apps = stage.publish(APPS).await?;
        let shops = register(&stage, count.div_ceil(APPS), receipts).await?;
        stage.market.stripe().pause().await?;
        eprintln!("placing {count} orders …");
        let pairs = shops.iter().flat_map(|shop| apps.iter().map(move |app| (shop, app))).take(count);
        let placed = stream::iter(pairs).map(|(shop, app)| place(&stage, shop, app));
        let placed: Vec<(What, Order)> = placed.buffer_unordered(AT_ONCE).try_collect().await?;
        let sales = sales(&stage, placed).await?;
        Ok(Self { stage, sales })
    }
}

async fn register(stage: &Stage, count: usize, receipts: &Receipts) -> anyhow::Result<Vec<(String, Shop)>> {
    let mut shops = Vec::with_capacity(count);
    for number in 1..=count {
        let name = format!("shop-{number}");
        let registration: Registration = stage.admin.register(&name, &receipts.base_url(&name)).await?;
        let shop = Shop::new(&stage.market.gateway_url(), registration, Receiver::start().await?)?;
        shops.push((name, shop));
    }
    Ok(shops)
}

async fn place(stage: &Stage, (name, shop): &(String, Shop), app: &str) -> anyhow::Result<(What, Order)> {
    let order = shop.checkout(app, "1.0.0").await?;
    stage.market.stripe().pay(&order.session_id).await?;
    Ok(((name.clone(), app.to_owned()), order))
}

/// Each order with the event that Stripe holds back.
async fn sales(stage: &Stage, placed: Vec<(What, Order)>) -> anyhow::Result<Vec<Sale>> {
    let payments = address(&stage.market.payments_url())?;
    let secret = &stage.market.keys().stripe_webhook_secret;
    let mut events = completed(stage.market.stripe()).await?;
    let sale = |(what, order): (What, Order)| {
        let event = events.remove(&order.session_id).context("Stripe has no event of a paid session")?;
        let (session_id, secret) = (order.session_id, secret.clone());
        Ok(Sale { what, session_id, payments, secret, body: event.to_string().into() })
    };
    placed.into_iter().map(sale).collect()
}

/// The events by their sessions, page by page as Stripe lists them.
async fn completed(stripe: &Stripe) -> anyhow::Result<HashMap<String, Value>> {
    let mut events = HashMap::new();
    let mut after: Option<String> = None;
    loop {
        let mut query = vec![("type", "checkout.session.completed"), ("limit", "100")];
        query.extend(after.as_deref().map(|after| ("starting_after", after)));
        let page = stripe.api().query("/v1/events", &query).await?.ok()?;
        for event in page["data"].as_array().context("no events")? {
            let session = event["data"]["object"]["id"].as_str().context("an event of no session")?;
            events.insert(session.to_owned(), event.clone());
            after = event["id"].as_str().map(str::to_owned);
        }
        if page["has_more"] != true {
            ensure!(!events.is_empty(), "Stripe has no events");
            return Ok(events);
        }
    }
}

impl Sale {
    /// Stripe's event, signed now.
    pub(crate) fn event(&self) -> anyhow::Result<Ask> {
        let mut headers = headers(self.payments)?;
        let signature = timed_signature::sign(&[&self.secret], unix_now()?, &self.body);
        headers.insert("stripe-signature", HeaderValue::from_str(&signature)?);
        Ok(Ask { method: Method::POST, path: "/stripe/webhook".to_owned(), headers, body: self.body.clone() })
    }

    /// What the shop is told of it, not signed yet. It names a shop of its own, so that no receipt of a sale is
    /// mistaken for it.
    pub(crate) fn webhook(&self, receiver: SocketAddr) -> anyhow::Result<Ask> {
        let (shop, app) = &self.what;
        let body = json!({
            "marketplace_id": app, "version": "1.0.0",
            "license_key": "CC-0000-0000-0000-0000-0000", "purchased_by": "merchant@shop.example",
        });
        let mut headers = headers(receiver)?;
        headers.insert("x-carpha-event", HeaderValue::from_static("license-issued"));
        let path = format!("/bare-{shop}/admin/marketplace/license-issued");
        Ok(Ask { method: Method::POST, path, headers, body: body.to_string().into() })
    }
}

fn headers(host: SocketAddr) -> anyhow::Result<HeaderMap> {
    let mut headers = HeaderMap::new();
    headers.insert("host", HeaderValue::from_str(&host.to_string())?);
    headers.insert("content-type", HeaderValue::from_static("application/json"));
    Ok(headers)
}

/// Signatures carry the time.
#[expect(clippy::disallowed_methods, reason = "Stripe's clock is the real one")]
pub(crate) fn unix_now() -> anyhow::Result<i64> {
    Ok(i64::try_from(SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs())?)
}
