//! The demo around services that run elsewhere: beside the five processes of `cargo xtask up`, or in a container of its
//! own beside those of docker-compose.yml.

use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr},
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::Context as _;
use platform::{
    Clock, Random, Shutdown,
    config::{Config, Problems, load},
    lifecycle::Tasks,
    secret::Secret,
    service::bind,
};
use serde::Deserialize;

use super::{
    forward,
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
    /// The host by which the services reach this process, where it is another than the one that browsers use.
    #[serde(default)]
    known_as: Option<String>,
    /// Where the gateway is, as host:port, if `gateway_url` only leads there from outside: its port is taken here too,
    /// and what comes to it is handed on.
    #[serde(default)]
    gateway_behind: Option<String>,
    admin_key: Secret,
    stripe_key: Secret,
    stripe_webhook_secret: Secret,
}

impl Config for Services {
    const SECTIONS: &'static [&'static str] = &[];

    fn check(&self, problems: &mut Problems) {
        problems.check("gateway_url", self.gateway_url.parse::<url::Url>());
        problems.check("payments_url", self.payments_url.parse::<url::Url>());
    }
}

/// Where it is told of the services.
pub(super) enum Told {
    /// A file, in JSON.
    File(PathBuf),
    /// Variables of the environment, as those of every service.
    Environment,
}

/// Opens the stand-in for Stripe, the catalogue and the shop around the services that it is told of.
pub(super) async fn start(told: &Told, data: &Path, shutdown: Shutdown) -> anyhow::Result<Running> {
    platform::tls::install_provider();
    let clock = Clock::system();
    let began_ms = clock.now_ms();
    let services = told.services()?;
    let stripe = bind("stripe_listen", services.stripe_listen).await?;
    let shop = bind("shop_listen", services.shop_listen).await?;
    let hosted = bind("hosted_listen", services.hosted_listen.unwrap_or(ANY_PORT)).await?;
    let (folder, urls) = (services.folder(data)?, services.urls(hosted.local_addr()?));
    let mut tasks = Tasks::new(shutdown.clone());
    services.lead_to_the_gateway(&mut tasks).await?;
    start_stripe(&mut tasks, stripe, &folder, &urls).await?;
    let open = open_for_business(&mut tasks, shop, hosted, &folder, &urls).await?;
    let mut demo = folder.describe(&urls, open, false);
    demo.ready_ms = clock.now_ms() - began_ms;
    demo.write()?;
    let ended = tokio::spawn(async move { Ok(tasks.run_to_end(DRAIN).await?) });
    Ok(Running { demo, shutdown, ended })
}

impl Told {
    fn services(&self) -> anyhow::Result<Services> {
        match self {
            Self::File(file) => {
                private::find(file)?.with_context(|| format!("there is no file {}", file.display()))
            }
            Self::Environment => Ok(load()?),
        }
    }
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

    async fn lead_to_the_gateway(&self, tasks: &mut Tasks) -> anyhow::Result<()> {
        let Some(gateway) = &self.gateway_behind else { return Ok(()) };
        let url: url::Url = self.gateway_url.parse()?;
        let port = url.port_or_known_default().context("gateway_url: it has no port")?;
        let listener = bind("gateway_url", SocketAddr::from((Ipv4Addr::LOCALHOST, port))).await?;
        tasks.spawn("the way to the gateway", forward::serve(listener, gateway.clone(), tasks.shutdown()));
        Ok(())
    }

    fn urls(&self, hosted: SocketAddr) -> Urls {
        let seen_by_services = |listen: SocketAddr| match &self.known_as {
            Some(host) => format!("http://{host}:{}", listen.port()),
            None => seen_by_browsers(listen),
        };
        Urls {
            gateway: self.gateway_url.clone(),
            payments: self.payments_url.clone(),
            // Each service has its own; nothing of the demo asks them.
            admin: String::new(),
            shop: seen_by_browsers(self.shop_listen),
            shop_for_services: seen_by_services(self.shop_listen),
            stripe: seen_by_browsers(self.stripe_listen),
            hosted: format!("{}/", seen_by_browsers(hosted)),
            hosted_for_services: format!("{}/", seen_by_services(hosted)),
        }
    }
}

/// A container listens on every address; its ports are published on the host's own.
fn seen_by_browsers(listen: SocketAddr) -> String {
    if listen.ip().is_unspecified() {
        format!("http://localhost:{}", listen.port())
    } else {
        format!("http://{listen}")
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use platform::config::load_from;

    use super::*;

    fn services(more: &[(&str, &str)]) -> Services {
        let told = [
            ("GATEWAY_URL", "http://localhost:8080"),
            ("PAYMENTS_URL", "http://payments-svc:8081"),
            ("STRIPE_LISTEN", "0.0.0.0:12111"),
            ("SHOP_LISTEN", "0.0.0.0:8090"),
            ("ADMIN_KEY", "ak_1"),
            ("STRIPE_KEY", "sk_test_1"),
            ("STRIPE_WEBHOOK_SECRET", "whsec_1"),
        ];
        let vars: BTreeMap<_, _> = told
            .iter()
            .chain(more)
            .map(|(name, value)| (format!("MERCATO__{name}"), (*value).to_owned()))
            .collect();
        load_from(vars).unwrap()
    }

    #[test]
    fn in_a_container_browsers_and_services_reach_it_by_different_names() {
        let urls = services(&[("KNOWN_AS", "demo")]).urls("0.0.0.0:8091".parse().unwrap());
        assert_eq!(
            (urls.shop.as_str(), urls.stripe.as_str()),
            ("http://localhost:8090", "http://localhost:12111")
        );
        assert_eq!(urls.shop_for_services, "http://demo:8090");
        assert_eq!(
            (urls.hosted.as_str(), urls.hosted_for_services.as_str()),
            ("http://localhost:8091/", "http://demo:8091/")
        );
    }

    #[test]
    fn on_one_machine_everybody_uses_the_same_address() {
        let services = services(&[("SHOP_LISTEN", "127.0.0.1:4")]);
        let urls = services.urls("127.0.0.1:5".parse().unwrap());
        assert_eq!(
            (urls.shop.as_str(), urls.shop_for_services.as_str()),
            ("http://127.0.0.1:4", "http://127.0.0.1:4")
        );
        assert_eq!(urls.hosted, urls.hosted_for_services);
    }
}
