//! The demo's shop: a tenant agent, and its pages as a browser uses them.

use std::path::Path;

use anyhow::{Context as _, bail, ensure};
use platform::{lifecycle::Tasks, secret::Secret};
use reqwest::{Client, Response, StatusCode, header};
use serde::Deserialize;
use tenant::{Agent, AgentConfig, ClientConfig};
use tokio::net::TcpListener;
use url::Url;

use super::{operator::ShopKeys, urls::Urls};

/// What the shop keeps of its own, inside the demo's folder.
const FOLDER: &str = "shop";
/// Where receipts go: a name that RFC 2606 keeps free of people.
const EMAIL: &str = "merchant@shop.example";
/// As long as the shop holds an answer back.
const PATIENCE_SECONDS: u32 = 30;

/// Starts the shop.
pub(super) async fn open(
    tasks: &mut Tasks,
    listener: TcpListener,
    folder: &Path,
    urls: &Urls,
    keys: &ShopKeys,
) -> anyhow::Result<()> {
    let mut config = AgentConfig::new(folder.join(FOLDER), urls.shop.parse()?);
    config.marketplace = Some(client(&urls.gateway, keys)?);
    config.webhook_secrets = vec![keys.webhook_secret.parse()?];
    config.admin_email = Some(Secret::new(EMAIL));
    let running = Agent::start(config, listener, tasks.shutdown()).await.context("the shop")?;
    tasks.spawn("the shop", running.stopped());
    Ok(())
}

pub(super) fn client(gateway: &str, keys: &ShopKeys) -> anyhow::Result<ClientConfig> {
    Ok(ClientConfig {
        url: gateway.parse()?,
        publishable_key: Secret::new(&keys.publishable_key),
        secret_key: Some(keys.secret_key.clone()),
        instance_id: Some(Secret::new(&keys.instance_id)),
    })
}

/// The shop's pages.
pub(super) struct Pages {
    http: Client,
    url: String,
}

/// How the shop is.
#[derive(Debug, Deserialize)]
pub(super) struct Status {
    apps: Vec<AppStatus>,
    open_checkouts: usize,
}

/// How one of its apps is.
#[derive(Debug, Deserialize)]
pub(super) struct AppStatus {
    marketplace_id: String,
    pub(super) version: String,
    pub(super) state: String,
    pub(super) installed_at_ms: Option<i64>,
    problem: Option<String>,
}

/// A form of a page: the cookie that it came with, and the token in it.
struct Form {
    cookie: String,
    token: String,
}

impl Pages {
    /// Of the shop at this address. The client must not follow redirects.
    pub(super) fn new(http: Client, url: &str) -> Self {
        Self { http, url: url.to_owned() }
    }

    /// Presses Buy; where the buyer is sent to pay.
    pub(super) async fn buy(&self, app: &str, version: &str) -> anyhow::Result<Url> {
        let answer = self.press("buy", app, app, version).await?;
        location(&answer)?.parse().context("the shop sends the buyer to no URL")
    }

    /// Presses Install on the page that asks about a static app, and waits until it is done.
    pub(super) async fn install(&self, app: &str, version: &str) -> anyhow::Result<AppStatus> {
        self.press("install", &format!("{app}/consent"), app, version).await?;
        self.wait_for(app).await
    }

    /// How the shop is now.
    pub(super) async fn status(&self) -> anyhow::Result<Status> {
        self.ask("").await
    }

    /// Waits until the app is installed.
    pub(super) async fn wait_for(&self, app: &str) -> anyhow::Result<AppStatus> {
        let status = self.ask(&format!("?wait_for={app}&seconds={PATIENCE_SECONDS}")).await?;
        let why = status.why_not(app).to_owned();
        match status.find(app) {
            Some(app) if app.state == "installed" => Ok(app),
            _ => bail!("{app} is not installed after {PATIENCE_SECONDS} s: {why}"),
        }
    }

    async fn ask(&self, query: &str) -> anyhow::Result<Status> {
        let answer =
            self.http.get(format!("{}/admin/marketplace/status.json{query}", self.url)).send().await?;
        ensure!(answer.status().is_success(), "the shop's status answers {}", answer.status());
        answer.json().await.context("the shop's status cannot be read")
    }

    async fn press(&self, button: &str, page: &str, app: &str, version: &str) -> anyhow::Result<Response> {
        let form = self.open(page).await?;
        let fields = [("csrf", form.token.as_str()), ("app", app), ("version", version), ("allowed", "")];
        let request = self.http.post(format!("{}/admin/marketplace/{button}", self.url));
        let answer = request.header(header::COOKIE, form.cookie).form(&fields).send().await?;
        ensure!(
            answer.status() == StatusCode::SEE_OTHER,
            "the shop answers {} to {button}; its log says why",
            answer.status()
        );
        Ok(answer)
    }

    async fn open(&self, page: &str) -> anyhow::Result<Form> {
        let answer = self.http.get(format!("{}/admin/marketplace/app/{page}", self.url)).send().await?;
        ensure!(answer.status().is_success(), "the app's page in the shop answers {}", answer.status());
        let cookie = answer.headers().get(header::SET_COOKIE).and_then(|value| value.to_str().ok());
        let cookie = cookie.and_then(|cookie| cookie.split(';').next()).context("the shop sets no cookie")?;
        let cookie = cookie.to_owned();
        let page = answer.text().await?;
        let token = token(&page).context("the app's page has no form: there is nothing to press")?;
        Ok(Form { cookie, token: token.to_owned() })
    }
}

impl Status {
    /// The app, if the shop knows of it.
    pub(super) fn find(self, app: &str) -> Option<AppStatus> {
        self.apps.into_iter().find(|known| known.marketplace_id == app)
    }

    /// Why the app is not installed.
    fn why_not(&self, app: &str) -> &str {
        match self.apps.iter().find(|known| known.marketplace_id == app) {
            Some(known) => known.problem.as_deref().unwrap_or("it is still being installed"),
            None if self.open_checkouts > 0 => "no licence has arrived for its checkout",
            None => "its installation was cancelled or given up; the app's page in the shop says why",
        }
    }

    /// Whether the app is here or on its way.
    pub(super) fn has(&self, app: &str) -> bool {
        self.apps.iter().any(|known| known.marketplace_id == app)
    }
}

/// Where an answer sends the browser.
pub(super) fn location(answer: &Response) -> anyhow::Result<&str> {
    let to = answer.headers().get(header::LOCATION).and_then(|value| value.to_str().ok());
    to.context("the answer sends the browser nowhere")
}

/// The token of the page's first form.
fn token(page: &str) -> Option<&str> {
    let field = page.split("name=\"csrf\"").nth(1)?;
    field.split("value=\"").nth(1)?.split('"').next()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_token_stands_in_the_hidden_field() {
        let page = r#"<form><input type="hidden" name="csrf" value="abc123"><button>Buy</button></form>"#;
        assert_eq!(token(page), Some("abc123"));
        assert_eq!(token("<p>nothing to press</p>"), None);
    }

    #[test]
    fn an_app_that_was_cancelled_is_not_told_as_still_coming() -> serde_json::Result<()> {
        let none: Status = serde_json::from_str(r#"{"apps":[],"open_checkouts":0}"#)?;
        assert!(none.why_not("@v/app").contains("cancelled or given up"));
        let unpaid: Status = serde_json::from_str(r#"{"apps":[],"open_checkouts":1}"#)?;
        assert!(unpaid.why_not("@v/app").contains("no licence has arrived"));
        let app = r#"{"marketplace_id":"@v/app","version":"1.0.0","state":"pending"}"#;
        let coming: Status = serde_json::from_str(&format!(r#"{{"apps":[{app}],"open_checkouts":1}}"#))?;
        assert_eq!(coming.why_not("@v/app"), "it is still being installed");
        Ok(())
    }
}
