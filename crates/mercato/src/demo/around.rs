//! The demo around services that run elsewhere: what `cargo xtask up` sets beside the five processes.

use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr},
    path::Path,
    time::Duration,
};

use anyhow::Context as _;
use platform::{Clock, Random, Shutdown, lifecycle::Tasks, secret::Secret, service::bind};
use serde::Deserialize;

use super::{
    marketplace::DemoKeys,
    running::{Folder, Running, open_for_business, prepare, start_stripe},
    urls::Urls,
};
use crate::private;

const DRAIN: Duration = Duration::from_secs(5);
const ANY_PORT: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0);

/// Where the services are, where the shop and the stand-in for Stripe shall be, and the keys of those outside.
#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct Services {
    gateway_url: String,
    payments_url: String,
    stripe_listen: SocketAddr,
    shop_listen: SocketAddr,
    /// Any free port where nothing is said.
    #[serde(default)]
    hosted_listen: Option<SocketAddr>,
    admin_key: Secret,
    stripe_key: Secret,
    stripe_webhook_secret: Secret,
}

/// Opens the stand-in for Stripe, the catalogue and the shop around the services that this file tells of.
pub(super) async fn start(file: &Path, data: &Path, shutdown: Shutdown) -> anyhow::Result<Running> {
    platform::tls::install_provider();
    let clock = Clock::system();
    let began_ms = clock.now_ms();
    let services: Services =
        private::find(file)?.with_context(|| format!("there is no file {}", file.display()))?;
    let stripe = bind("stripe_listen", services.stripe_listen).await?;
    let shop = bind("shop_listen", services.shop_listen).await?;
    let hosted = bind("hosted_listen", services.hosted_listen.unwrap_or(ANY_PORT)).await?;
    let (folder, urls) = (services.folder(data)?, services.urls(hosted.local_addr()?));
    let mut tasks = Tasks::new(shutdown.clone());
    start_stripe(&mut tasks, stripe, &folder, &urls).await?;
    let open = open_for_business(&mut tasks, shop, hosted, &folder, &urls).await?;
    let mut demo = folder.describe(&urls, open, false);
    demo.ready_ms = clock.now_ms() - began_ms;
    demo.write()?;
    let ended = tokio::spawn(async move { Ok(tasks.run_to_end(DRAIN).await?) });
    Ok(Running { demo, shutdown, ended })
}

impl Services {
    fn folder(&self, path: &Path) -> anyhow::Result<Folder> {
        let path = prepare(path)?;
        let keys = DemoKeys {
            stripe_key: self.stripe_key.clone(),
            stripe_webhook_secret: self.stripe_webhook_secret.clone(),
            ..DemoKeys::load_or_create(&path, &Random::system())?
        };
        Ok(Folder { path, admin_key: self.admin_key.clone(), keys })
    }

    fn urls(&self, hosted: SocketAddr) -> Urls {
        Urls {
            gateway: self.gateway_url.clone(),
            payments: self.payments_url.clone(),
            // Each service has its own; nothing of the demo asks them.
            admin: String::new(),
            shop: format!("http://{}", self.shop_listen),
            stripe: format!("http://{}", self.stripe_listen),
            hosted: format!("http://{hosted}/"),
        }
    }
}
