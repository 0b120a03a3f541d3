//! From a folder to a demo that runs, and its end.

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use platform::{Clock, Random, Shutdown, admin, lifecycle::Tasks, secret::Secret, telemetry::Telemetry};
use serde::{Deserialize, Serialize};
use stripe_sim::{SimConfig, StripeSim, WebhookEndpoint};
use tenant::Client;
use tokio::net::TcpListener;

use super::{
    guest_book::{NextRelease, Publisher},
    marketplace::{self, DemoKeys},
    operator::{Operator, ShopKeys},
    ports::{Bound, Ports},
    samples,
    shop::{self, Pages},
    urls::Urls,
};
use crate::{
    assembly::{Assembly, Listeners},
    private,
    secrets::Secrets,
};

const FILE: &str = "demo.json";

/// How a demo is started.
#[derive(Debug, Clone)]
pub struct Options {
    /// The folder that keeps everything.
    pub data: PathBuf,
    /// Where it listens.
    pub ports: Ports,
}

/// Where a running demo is, and its keys: what `demo.json` in its folder says while it runs.
#[derive(Clone, Serialize, Deserialize)]
pub struct Demo {
    /// The process: one that was killed leaves its file behind.
    pub pid: u32,
    /// The folder that keeps everything.
    pub data: PathBuf,
    /// The REST API.
    pub gateway_url: String,
    /// Where Stripe's events arrive.
    pub payments_url: String,
    /// The stand-in for Stripe.
    pub stripe_url: String,
    /// The shop.
    pub shop_url: String,
    /// The hosted app, which shows the shops that have it.
    pub hosted_url: String,
    /// A newer version of it, ready to be published.
    pub next_release: NextRelease,
    /// `/livez`, `/readyz`, `/metrics`, where the process serves them.
    pub admin_url: Option<String>,
    /// The operator's `ak_…`.
    pub admin_key: String,
    /// The shop's `inst_…`.
    pub instance_id: String,
    /// The shop's `pk_…`.
    pub publishable_key: String,
    /// The shop's `sk_…`.
    pub secret_key: String,
    /// The shop's `whsec_…`.
    pub webhook_secret: String,
    /// The key that the stand-in for Stripe takes.
    pub stripe_key: String,
    /// The secret by which it signs its events.
    pub stripe_webhook_secret: String,
    /// Milliseconds from the start until everything answered.
    pub ready_ms: i64,
}

/// A demo that runs. It ends with its shutdown, or when one of its parts does.
pub struct Running {
    /// Where it is, and its keys.
    pub demo: Demo,
    pub(super) shutdown: Shutdown,
    pub(super) ended: tokio::task::JoinHandle<anyhow::Result<()>>,
}

impl Running {
    /// Ends it and waits for the end.
    pub async fn stop(self) -> anyhow::Result<()> {
        self.shutdown.cancel();
        self.until_stopped().await
    }

    /// Waits for the end.
    pub async fn until_stopped(self) -> anyhow::Result<()> {
        let ended = self.ended.await?;
        private::remove(&self.demo.data.join(FILE))?;
        ended
    }
}

/// The demo's folder, and the keys that those outside the services hold.
pub(super) struct Folder {
    pub(super) path: PathBuf,
    pub(super) admin_key: Secret,
    pub(super) keys: DemoKeys,
}

/// Starts a demo; it is ready when this returns. The admin port is only served where telemetry is handed in.
pub async fn start(
    options: Options,
    telemetry: Option<&Telemetry>,
    shutdown: Shutdown,
) -> anyhow::Result<Running> {
    platform::tls::install_provider();
    let clock = Clock::system();
    let began_ms = clock.now_ms();
    let bound = options.ports.bind().await?;
    let (folder, secrets) = Folder::open(&options.data)?;
    let urls = Urls::of(&bound)?;
    // Whatever fails from here on takes down what was started before it.
    let guard = shutdown.clone().drop_guard();
    let settings = marketplace::settings(&folder.path, secrets, &folder.keys, &bound, &urls)?;
    let Bound { gateway, payments, admin, shop, stripe, hosted } = bound;
    let mut assembly = Assembly::start(settings, Listeners { gateway, payments }, shutdown.clone()).await?;
    // Only now is it certain that no other demo runs on this folder: what the file says is of one that was killed.
    private::remove(&folder.path.join(FILE))?;
    start_stripe(assembly.tasks(), stripe, &folder, &urls).await?;
    if let Some(telemetry) = telemetry {
        tokio::spawn(admin::serve(admin, assembly.readiness(), telemetry.metrics(), shutdown.clone()));
    }
    assembly.until_ready().await?;
    let open = open_for_business(assembly.tasks(), shop, hosted, &folder, &urls).await?;
    let mut demo = folder.describe(&urls, open, telemetry.is_some());
    demo.ready_ms = clock.now_ms() - began_ms;
    demo.write()?;
    guard.disarm();
    Ok(Running { demo, shutdown, ended: tokio::spawn(assembly.run_to_end()) })
}

pub(super) async fn start_stripe(
    tasks: &mut Tasks,
    listener: TcpListener,
    folder: &Folder,
    urls: &Urls,
) -> anyhow::Result<()> {
    let events = format!("{}/stripe/webhook", urls.payments);
    let mut config = SimConfig::new(listener);
    config.api_key = folder.keys.stripe_key.expose().to_owned();
    config.endpoints = vec![WebhookEndpoint::new(events, folder.keys.stripe_webhook_secret.expose())];
    config.data = Some(folder.path.join("stripe.json"));
    config.public_url = Some(urls.stripe.clone());
    let running = StripeSim::start(config, tasks.shutdown()).await.context("the stand-in for Stripe")?;
    tasks.spawn_quiet("the stand-in for Stripe", running.stopped());
    Ok(())
}

/// What came of opening.
pub(super) struct Open {
    shop: ShopKeys,
    next_release: NextRelease,
}

/// Publishes the apps, registers the shop, opens it, and gives it an app of which a newer version is published then.
pub(super) async fn open_for_business(
    tasks: &mut Tasks,
    shop: TcpListener,
    hosted: TcpListener,
    folder: &Folder,
    urls: &Urls,
) -> anyhow::Result<Open> {
    let http = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).build()?;
    let operator = Operator::new(http.clone(), urls.gateway.clone(), folder.admin_key.clone());
    let keys = marketplace::register(&operator, &folder.path, urls).await?;
    marketplace::publish(&operator, &folder.keys, &samples::FIRST).await?;
    let client = Client::new(shop::client(&urls.gateway, &keys)?, Random::system())?;
    let publisher = Publisher::new(&operator, folder, urls).await?;
    let next_release = publisher.open(tasks, hosted, &client).await?;
    shop::open(tasks, shop, &folder.path, urls, &keys).await?;
    fit_out(&client, &Pages::new(http, &urls.shop)).await.context("fitting out the shop")?;
    marketplace::publish(&operator, &folder.keys, &samples::THEN).await?;
    Ok(Open { shop: keys, next_release })
}

/// Gives the shop its first app, once: the marketplace's record says whether it ever had it, also where the one who
/// tries the demo has removed it.
async fn fit_out(client: &Client, shop: &Pages) -> anyhow::Result<()> {
    let (app, version) = samples::INSTALLED;
    if !client.installations(Some(&app.parse()?)).await?.is_empty() {
        return Ok(());
    }
    // A demo that was killed may have left it on its way.
    let is_coming = shop.status().await?.has(app);
    let installed = if is_coming { shop.wait_for(app).await } else { shop.install(app, version).await };
    installed.map(drop)
}

/// The folder, without what an earlier process said of itself there.
pub(super) fn prepare(path: &Path) -> anyhow::Result<PathBuf> {
    let path = private::create_folder(path)?;
    private::remove(&path.join(FILE))?;
    Ok(path)
}

impl Demo {
    /// Tells whoever looks into the folder that everything answers.
    pub(super) fn write(&self) -> anyhow::Result<()> {
        private::write(&self.data.join(FILE), self)
    }
}

impl Folder {
    fn open(path: &Path) -> anyhow::Result<(Self, Secrets)> {
        let path = private::create_folder(path)?;
        let random = Random::system();
        let (secrets, _) = Secrets::load_or_create(&path, &random)?;
        let keys = DemoKeys::load_or_create(&path, &random)?;
        Ok((Self { path, admin_key: secrets.admin_key.clone(), keys }, secrets))
    }

    pub(super) fn describe(&self, urls: &Urls, open: Open, has_admin: bool) -> Demo {
        let Open { shop, next_release } = open;
        let shown = |secret: &Secret| secret.expose().to_owned();
        Demo {
            pid: std::process::id(),
            data: self.path.clone(),
            gateway_url: urls.gateway.clone(),
            payments_url: urls.payments.clone(),
            stripe_url: urls.stripe.clone(),
            shop_url: urls.shop.clone(),
            hosted_url: urls.hosted.clone(),
            next_release,
            admin_url: has_admin.then(|| urls.admin.clone()),
            admin_key: shown(&self.admin_key),
            instance_id: shop.instance_id,
            publishable_key: shop.publishable_key,
            secret_key: shown(&shop.secret_key),
            webhook_secret: shown(&shop.webhook_secret),
            stripe_key: shown(&self.keys.stripe_key),
            stripe_webhook_secret: shown(&self.keys.stripe_webhook_secret),
            ready_ms: 0,
        }
    }
}
