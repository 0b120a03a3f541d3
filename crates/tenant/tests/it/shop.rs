//! The shop of these tests, with a browser before it and the marketplace's webhook behind.

use std::{path::PathBuf, time::Duration};

use platform::{Clock, Random, Shutdown, secret::Secret};
use serde_json::{Value, json};
use tempfile::TempDir;
use tenant::{Agent, AgentConfig, ClientConfig, Running};
use testkit::eventually;
use wire::{
    standard_webhooks::{self, WebhookSecret},
    timed_signature,
};

use super::marketplace::{INSTANCE, Marketplace, NOW_MS, PK, SK};

const PATIENCE: Duration = Duration::from_secs(20);

pub(crate) const EMAIL: &str = "merchant@shop.example";

pub(crate) struct Shop {
    pub(crate) url: String,
    pub(crate) clock: Clock,
    folder: TempDir,
    shutdown: Shutdown,
    running: Running,
    browser: reqwest::Client,
}

/// What a page answers.
pub(crate) struct Page {
    pub(crate) status: u16,
    pub(crate) html: String,
    pub(crate) location: Option<String>,
}

pub(crate) fn webhook_secret() -> WebhookSecret {
    WebhookSecret::from_random([3; 32])
}

fn browser() -> reqwest::Client {
    platform::tls::install_provider();
    reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).build().unwrap()
}

impl Shop {
    pub(crate) async fn connected_to(marketplace: &Marketplace) -> Self {
        Self::start(tempfile::tempdir().unwrap(), Some(marketplace), |_| {}).await
    }

    pub(crate) async fn alone() -> Self {
        Self::start(tempfile::tempdir().unwrap(), None, |_| {}).await
    }

    pub(crate) async fn start(
        folder: TempDir,
        marketplace: Option<&Marketplace>,
        change: impl FnOnce(&mut AgentConfig),
    ) -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let clock = Clock::manual(NOW_MS);
        let mut config = AgentConfig::new(folder.path(), url.parse().unwrap());
        config.clock = clock.clone();
        config.random = Random::seeded(1);
        config.webhook_secrets = vec![webhook_secret()];
        config.admin_email = Some(Secret::new(EMAIL));
        config.marketplace = marketplace.map(|marketplace| ClientConfig {
            url: marketplace.url.parse().unwrap(),
            publishable_key: Secret::new(PK),
            secret_key: Some(Secret::new(SK)),
            instance_id: Some(Secret::new(INSTANCE)),
        });
        change(&mut config);
        let clock = config.clock.clone();
        let shutdown = Shutdown::new();
        let running = Agent::start(config, listener, shutdown.clone()).await.unwrap();
        Self { url, clock, folder, shutdown, running, browser: browser() }
    }

    /// Ends the shop and gives its folder to the next one.
    pub(crate) async fn stop(self) -> TempDir {
        self.shutdown.cancel();
        self.running.stopped().await.unwrap();
        self.folder
    }

    pub(crate) fn plugins(&self) -> PathBuf {
        self.folder.path().join("plugins")
    }

    pub(crate) fn code_of(&self, id: &str) -> Option<String> {
        std::fs::read_to_string(self.plugins().join(id).join("index.js")).ok()
    }

    pub(crate) async fn get(&self, path: &str) -> Page {
        read(self.browser.get(format!("{}{path}", self.url)).send().await.unwrap()).await
    }

    /// Loads a page for its token and cookie, then sends a form as a browser would.
    pub(crate) async fn post(&self, path: &str, fields: &[(&str, &str)]) -> Page {
        let response = self.browser.get(format!("{}/admin/plugins", self.url)).send().await.unwrap();
        let cookie = response.headers()["set-cookie"].to_str().unwrap().split(';').next().unwrap().to_owned();
        let html = response.text().await.unwrap();
        let token = between(&html, r#"name="csrf" value=""#, '"').unwrap();
        let form: Vec<(&str, &str)> = [&[("csrf", token.as_str())], fields].concat();
        self.post_raw(path, &form, Some(&cookie)).await
    }

    pub(crate) async fn post_raw(&self, path: &str, form: &[(&str, &str)], cookie: Option<&str>) -> Page {
        let mut request = self.browser.post(format!("{}{path}", self.url)).form(form);
        if let Some(cookie) = cookie {
            request = request.header("cookie", cookie);
        }
        read(request.send().await.unwrap()).await
    }

    pub(crate) async fn buy(&self, app: &str, version: &str) -> Page {
        self.post("/admin/marketplace/buy", &[("app", app), ("version", version)]).await
    }

    pub(crate) async fn install(&self, app: &str, version: &str) -> Page {
        self.post("/admin/marketplace/install", &[("app", app), ("version", version)]).await
    }

    /// Presses the button with which a waiting job goes on, as the app's page shows it.
    pub(crate) async fn accept(&self, app: &str) -> Page {
        let shown = self.shown(app).await;
        self.post("/admin/marketplace/jobs", &[("app", app), ("shown", &shown), ("act", "accept")]).await
    }

    /// What the app's page says that it asks.
    pub(crate) async fn shown(&self, app: &str) -> String {
        let page = self.get(&format!("/admin/marketplace/app/{app}")).await;
        between(&page.html, r#"name="shown" value=""#, '"').unwrap()
    }

    pub(crate) async fn status(&self) -> Value {
        serde_json::from_str(&self.get("/admin/marketplace/status.json").await.html).unwrap()
    }

    /// The app's status once it is installed or waits for the administrator.
    pub(crate) async fn settled(&self, app: &str) -> Value {
        let path = format!("/admin/marketplace/status.json?wait_for={app}&seconds=20");
        let status: Value = serde_json::from_str(&self.get(&path).await.html).unwrap();
        let apps = status["apps"].as_array().unwrap();
        apps.iter()
            .find(|one| one["marketplace_id"] == app)
            .expect("the app is neither here nor on its way")
            .clone()
    }

    /// The shop's status once it is as wanted.
    pub(crate) async fn status_once(&self, what: &str, wanted: impl Fn(&Value) -> bool) -> Value {
        let status = eventually(what, PATIENCE, || async { Some(self.status().await).filter(&wanted) });
        status.await.unwrap()
    }

    /// A page once it is as wanted.
    pub(crate) async fn page_once(&self, what: &str, path: &str, wanted: impl Fn(&str) -> bool) -> String {
        let page = eventually(what, PATIENCE, || async {
            Some(self.get(path).await.html).filter(|html| wanted(html))
        });
        page.await.unwrap()
    }

    /// Posts a `license-issued` as the dispatcher does.
    pub(crate) async fn deliver(&self, id: &str, t: i64, secret: &WebhookSecret, body: &[u8]) -> u16 {
        self.tell("license-issued", id, t, secret, body).await
    }

    /// A good webhook of this event, signed now.
    pub(crate) async fn deliver_event(&self, event: &str, id: &str, body: &Value) -> u16 {
        let body = body.to_string().into_bytes();
        self.tell(event, id, self.clock.now_secs(), &webhook_secret(), &body).await
    }

    /// Posts a webhook as the dispatcher does.
    pub(crate) async fn tell(
        &self,
        event: &str,
        id: &str,
        t: i64,
        secret: &WebhookSecret,
        body: &[u8],
    ) -> u16 {
        let request = self
            .browser
            .post(format!("{}/admin/marketplace/{event}", self.url))
            .header("content-type", "application/json")
            .header("x-carpha-event", event)
            .header("x-carpha-delivery-id", id)
            .header("x-carpha-signature", timed_signature::sign(&[secret.expose()], t, body))
            .header("webhook-id", id)
            .header("webhook-timestamp", t.to_string())
            .header("webhook-signature", standard_webhooks::sign(&[secret], id, t, body));
        request.body(body.to_vec()).send().await.unwrap().status().as_u16()
    }

    /// A good `license-issued` for this app, signed now.
    pub(crate) async fn deliver_license(&self, id: &str, app: &str, version: &str, key: &str) -> u16 {
        let body = license_issued(app, version, key);
        self.deliver(id, self.clock.now_secs(), &webhook_secret(), &body).await
    }
}

pub(crate) fn license_issued(app: &str, version: &str, key: &str) -> Vec<u8> {
    let body =
        json!({ "marketplace_id": app, "version": version, "license_key": key, "purchased_by": EMAIL });
    body.to_string().into_bytes()
}

async fn read(response: reqwest::Response) -> Page {
    let location = response.headers().get("location").map(|value| value.to_str().unwrap().to_owned());
    Page { status: response.status().as_u16(), location, html: response.text().await.unwrap() }
}

/// The text between a beginning and the next `end`.
pub(crate) fn between(text: &str, start: &str, end: char) -> Option<String> {
    let rest = text.split_once(start)?.1;
    Some(rest.split_once(end)?.0.to_owned())
}

impl Page {
    /// The part of the page that shows one app.
    pub(crate) fn card(&self, app: &str) -> &str {
        let at = self.html.find(&format!(r#"data-app="{app}""#)).expect("the app is not on the page");
        let rest = &self.html[at..];
        rest.find("</li>").map_or(rest, |end| &rest[..end])
    }
}
