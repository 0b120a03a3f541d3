//! A registered shop: asks, buys, and is told.

use std::time::Duration;

use anyhow::{Context as _, ensure};
use bytes::Bytes;
use http::Method;
use serde_json::{Value, json};
use wire::release::sha256_hex;

use super::{Admin, Caller, Registration, Reply, Webhook, admin::text};
use crate::receiver::Receiver;

const BUYER: &str = "merchant@shop.example";

/// A shop with its keys and the place where it takes webhooks.
#[derive(Debug)]
pub struct Shop {
    /// What it was given when it was registered.
    pub registration: Registration,
    /// Where it takes webhooks; a test may make it misbehave.
    pub receiver: Receiver,
    reader: Caller,
    anyone: Caller,
}

/// An order that waits for its payment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Order {
    /// `ord_…`
    pub id: String,
    /// Stripe's `cs_test_…`.
    pub session_id: String,
    /// The page to pay on.
    pub url: String,
}

impl Shop {
    /// Registers a shop with a receiver of its own.
    pub async fn register(admin: &Admin, gateway_url: &str, name: &str) -> anyhow::Result<Self> {
        let receiver = Receiver::start().await?;
        let registration = admin.register(name, &receiver.url()).await?;
        Self::new(gateway_url, registration, receiver)
    }

    /// A shop that was registered already.
    pub fn new(gateway_url: &str, registration: Registration, receiver: Receiver) -> anyhow::Result<Self> {
        let anyone = Caller::new(gateway_url)?;
        let reader = anyone.with("x-publishable-api-key", &registration.publishable_key);
        Ok(Self { registration, receiver, reader, anyone })
    }

    /// Its `inst_…`.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.registration.instance_id
    }

    /// Calls with its publishable key.
    #[must_use]
    pub fn reader(&self) -> &Caller {
        &self.reader
    }

    /// Calls with both of its keys, as its administrator.
    #[must_use]
    pub fn administrator(&self) -> Caller {
        self.reader.bearer(&self.registration.secret_key)
    }

    /// Calls without any key.
    #[must_use]
    pub fn anyone(&self) -> &Caller {
        &self.anyone
    }

    /// The feed.
    pub async fn feed(&self, query: &[(&str, &str)]) -> anyhow::Result<Reply> {
        self.reader.query("/store/marketplace/feed", query).await
    }

    /// One product.
    pub async fn product(&self, app: &str) -> anyhow::Result<Reply> {
        self.reader.get(&format!("/store/marketplace/feed/{app}")).await
    }

    /// What is newer than these versions.
    pub async fn updates(&self, versions: &Value) -> anyhow::Result<Reply> {
        self.reader.query("/store/marketplace/updates", &[("versions", &versions.to_string())]).await
    }

    /// Asks for a checkout, whatever comes of it.
    pub async fn try_checkout(&self, app: &str, version: &str) -> anyhow::Result<Reply> {
        let body = json!({
            "marketplace_id": app, "version": version,
            "customer_email": BUYER, "instance_id": self.registration.instance_id,
        });
        self.reader.post("/store/marketplace/checkout/session", &body).await
    }

    /// Orders an app.
    pub async fn checkout(&self, app: &str, version: &str) -> anyhow::Result<Order> {
        let order = self.try_checkout(app, version).await?.ok()?;
        let url = text(&order, "url")?;
        let session_id = url.rsplit('/').next().unwrap_or_default().to_owned();
        ensure!(session_id.starts_with("cs_"), "{url} is no checkout page");
        Ok(Order { id: text(&order, "id")?, session_id, url })
    }

    /// Waits for a webhook about an app, checks both of its signatures, and reads it; earlier ones count.
    pub async fn wait_for_webhook(&self, event: &str, app: &str, limit: Duration) -> anyhow::Result<Webhook> {
        let what = format!("{event} of {app}");
        let secret = &self.registration.webhook_secret;
        let about = |received: &_| Webhook::about(received, event, app);
        let received = self.receiver.wait_for(&what, limit, about).await?;
        Webhook::verify(&received, secret)
    }

    /// Waits until it is told of a licence for this app.
    pub async fn wait_for_license(&self, app: &str, limit: Duration) -> anyhow::Result<Webhook> {
        self.wait_for_webhook("license-issued", app, limit).await
    }

    /// All webhooks so far; fails on the first whose signatures are wrong.
    pub fn webhooks(&self) -> anyhow::Result<Vec<Webhook>> {
        let secret = &self.registration.webhook_secret;
        self.receiver.requests().iter().map(|received| Webhook::verify(received, secret)).collect()
    }

    /// Asks whether a licence is good for an app, with the shop's key.
    pub async fn verify(&self, license_key: &str, app: &str) -> anyhow::Result<Reply> {
        let body = self.question(license_key, app);
        self.reader.post("/store/marketplace/license/verify", &body).await
    }

    /// The body of a question about a licence.
    #[must_use]
    pub fn question(&self, license_key: &str, app: &str) -> Value {
        let instance_id = &self.registration.instance_id;
        json!({ "license_key": license_key, "marketplace_id": app, "instance_id": instance_id })
    }

    /// Gives this shop's seat back.
    pub async fn deactivate(&self, license_key: &str, app: &str) -> anyhow::Result<Reply> {
        let body = self.question(license_key, app);
        self.administrator().post("/store/marketplace/license/deactivate", &body).await
    }

    /// Its own licences with their keys.
    pub async fn licenses(&self) -> anyhow::Result<Vec<Value>> {
        let page = self.administrator().get("/store/marketplace/licenses").await?.ok()?;
        page["licenses"].as_array().cloned().context("the answer holds no `licenses`")
    }

    /// Asks where a release's bytes are, whatever comes of it.
    pub async fn try_download(
        &self,
        app: &str,
        version: &str,
        license_key: Option<&str>,
    ) -> anyhow::Result<Reply> {
        let path = format!("/store/marketplace/download/{app}/{version}");
        let request = self.reader.request(Method::GET, &path);
        let licensed =
            license_key.map(|key| request.try_clone().map(|one| one.header("x-carpha-license", key)));
        self.reader.send(licensed.flatten().unwrap_or(request)).await
    }

    /// Downloads a release's bytes and compares their sha256.
    pub async fn download(
        &self,
        app: &str,
        version: &str,
        license_key: Option<&str>,
    ) -> anyhow::Result<Bytes> {
        let place = self.try_download(app, version, license_key).await?.ok()?;
        let zip = self.anyone.get(&text(&place, "url")?).await?;
        zip.success()?;
        ensure!(sha256_hex(&zip.bytes) == text(&place, "sha256")?, "other bytes than were promised");
        Ok(zip.bytes)
    }
}
