//! A shop's agent as a process of its own, and its pages as an administrator's browser uses them.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use http::Method;
use serde_json::Value;
use tempfile::TempDir;
use testkit::{
    child::{Program, Running},
    eventually, free_port,
    market::{Caller, Market, Registration, Reply},
    paths,
};

pub(crate) const EMAIL: &str = "merchant-of-the-shop@shop.example";
const SOON: Duration = Duration::from_mins(1);

/// A registered shop; it runs from [`Agent::start`] on.
pub(crate) struct Agent {
    pub(crate) registration: Registration,
    folder: TempDir,
    url: String,
    browser: Caller,
    secret_reader: Caller,
    running: Option<Running>,
}

impl Agent {
    pub(crate) async fn new(market: &Market) -> Self {
        let url = format!("http://127.0.0.1:{}", free_port().unwrap());
        let registration = market.admin().unwrap().register("private-shop", &url).await.unwrap();
        let secret_reader = Caller::new(&market.gateway_url()).unwrap().bearer(&registration.secret_key);
        Self {
            registration,
            folder: TempDir::new().unwrap(),
            browser: Caller::new(&url).unwrap(),
            secret_reader,
            url,
            running: None,
        }
    }

    /// Where it keeps its state and its plugins.
    pub(crate) fn data(&self) -> &Path {
        self.folder.path()
    }

    /// Starts it against a marketplace at this URL.
    pub(crate) async fn start(mut self, marketplace: &str) -> Self {
        let given = &self.registration;
        let vars = [
            ("CARPHACOM_FEDERATION_URL", marketplace),
            ("CARPHACOM_FEDERATION_PK", &given.publishable_key),
            ("TENANT_LISTEN", self.url.trim_start_matches("http://")),
            ("TENANT_INSTANCE_ID", &given.instance_id),
            ("TENANT_WEBHOOK_SECRET", &given.webhook_secret),
            ("TENANT_SECRET_KEY", &given.secret_key),
            ("TENANT_ADMIN_EMAIL", EMAIL),
            // More than a shop would log.
            ("RUST_LOG", "debug"),
        ];
        let program = Program::new(paths::binary("tenant").unwrap()).args(["serve"]).clear_env().envs(vars);
        let program = program.envs([("TENANT_DATA", self.data())]).log(&self.log_file());
        self.running = Some(program.spawn().unwrap());
        eventually("the shop's agent", SOON, async || self.browser.get("/healthz").await.ok()).await.unwrap();
        self
    }

    fn log_file(&self) -> PathBuf {
        self.data().join("agent.log")
    }

    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(self.log_file()).unwrap()
    }

    /// A page.
    pub(crate) async fn open(&self, path: &str) -> Reply {
        let page = self.browser.get(path).await.unwrap();
        page.success().unwrap();
        page
    }

    /// A button of an app's page; where it leads.
    pub(crate) async fn press(&self, button: &str, app: &str, version: &str) -> String {
        let page = self.open(&format!("/admin/marketplace/app/{app}")).await;
        let fields = [("app", app), ("version", version), ("allowed", "")];
        self.send(&page, &format!("/admin/marketplace/{button}"), &fields).await
    }

    /// The page that asks before something is done with an app (`consent`, `remove`), and its button.
    pub(crate) async fn confirm(&self, question: &str, button: &str, app: &str) {
        let page = self.open(&format!("/admin/marketplace/app/{app}/{question}")).await;
        let html = String::from_utf8_lossy(&page.bytes);
        let hidden = |name: &str| {
            let field = format!("name=\"{name}\" value=\"");
            html.split(&field).nth(1).map(|rest| rest.split('"').next().unwrap().to_owned())
        };
        let names = ["app", "version", "allowed", "after"];
        let fields: Vec<_> = names.iter().filter_map(|name| Some((*name, hidden(name)?))).collect();
        let fields: Vec<_> = fields.iter().map(|(name, value)| (*name, value.as_str())).collect();
        self.send(&page, &format!("/admin/marketplace/{button}"), &fields).await;
    }

    /// The button under "Bought something that isn't here?".
    pub(crate) async fn look_for_licenses(&self) {
        let page = self.open("/admin/plugins").await;
        self.send(&page, "/admin/marketplace/licenses", &[]).await;
    }

    async fn send(&self, page: &Reply, path: &str, fields: &[(&str, &str)]) -> String {
        let html = String::from_utf8_lossy(&page.bytes);
        let csrf = html.split("name=\"csrf\" value=\"").nth(1).expect("a form").split('"').next().unwrap();
        let cookie = page.header("set-cookie").split(';').next().unwrap();
        let request = self.browser.request(Method::POST, path).header("cookie", cookie);
        let fields: Vec<_> = [("csrf", csrf)].into_iter().chain(fields.iter().copied()).collect();
        let answer = self.browser.send(request.form(&fields)).await.unwrap();
        assert!(answer.status < 400, "{path}: {}", String::from_utf8_lossy(&answer.bytes));
        answer.header("location").to_owned()
    }

    /// Waits until the app is installed.
    pub(crate) async fn installed(&self, app: &str) {
        let path = format!("/admin/marketplace/status.json?wait_for={app}&seconds=30");
        let status = self.open(&path).await.body;
        let known = status["apps"].as_array().unwrap().iter().find(|known| known["marketplace_id"] == app);
        assert_eq!(
            known.map(|known| &known["state"]),
            Some(&Value::from("installed")),
            "{status}\n{}",
            self.log()
        );
    }

    /// The key of its only licence.
    pub(crate) async fn license_key(&self) -> String {
        let page = self.secret_reader.get("/store/marketplace/licenses").await.unwrap().ok().unwrap();
        page["licenses"][0]["license_key"].as_str().unwrap().to_owned()
    }
}
