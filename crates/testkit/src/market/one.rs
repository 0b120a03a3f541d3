//! The whole marketplace as one process on embedded parts: `mercato serve`.

use std::{net::SocketAddr, path::Path};

use anyhow::Context as _;

use super::{
    Keys, Options,
    options::{Vars, var},
};
use crate::{free_ports, local_address, paths, process::Process};

/// The binary, and its name in logs.
pub(super) const NAME: &str = "mercato";

/// Where the process will listen.
#[derive(Debug, Clone, Copy)]
pub(super) struct Place {
    gateway: SocketAddr,
    payments: SocketAddr,
    admin_port: u16,
}

/// The process; it ends with this value.
#[derive(Debug)]
pub(super) struct OneProcess {
    pub(super) place: Place,
    pub(super) process: Process,
    pub(super) admin_key: String,
}

impl Place {
    pub(super) fn free() -> anyhow::Result<Self> {
        let [gateway, payments, admin_port] = free_ports()?;
        Ok(Self { gateway: local_address(gateway), payments: local_address(payments), admin_port })
    }

    pub(super) fn gateway_url(self) -> String {
        format!("http://{}", self.gateway)
    }

    pub(super) fn payments_url(self) -> String {
        format!("http://{}", self.payments)
    }

    /// Starts it on an empty folder, waits until it is ready, and reads the operator's key that it made.
    pub(super) async fn start(
        self,
        keys: &Keys,
        stripe_url: &str,
        options: &Options,
        folder: &Path,
    ) -> anyhow::Result<OneProcess> {
        let data = folder.join("data");
        let mut vars = self.vars(keys, stripe_url, options);
        vars.push(var("MERCATO__DATA", &data.display()));
        let (binary, log) = (paths::binary(NAME)?, folder.join(format!("{NAME}.log")));
        let process = Process::start_logging_to(log, &binary, &["serve"], vars, self.admin_port).await?;
        let admin_key = admin_key(&data.join("secrets.json"))?;
        Ok(OneProcess { place: self, process, admin_key })
    }

    fn vars(self, keys: &Keys, stripe_url: &str, options: &Options) -> Vars {
        let public_url = options.public_url.clone().unwrap_or_else(|| self.gateway_url());
        let mut vars = vec![
            var("MERCATO__HTTP__LISTEN", &self.gateway),
            var("MERCATO__HTTP__PUBLIC_URL", &public_url),
            var("MERCATO__ADMIN__LISTEN", &local_address(self.admin_port)),
            var("MERCATO__STRIPE_WEBHOOK__LISTEN", &self.payments),
            var("MERCATO__STRIPE__API_URL", &stripe_url),
            var("MERCATO__STRIPE__SECRET_KEY", &keys.stripe_api_key),
            var("MERCATO__STRIPE__WEBHOOK_SECRETS", &keys.stripe_webhook_secret),
            var("MERCATO__STRIPE__SUCCESS_URL", &format!("{public_url}/docs#paid")),
            var("MERCATO__STRIPE__CANCEL_URL", &format!("{public_url}/docs#cancelled")),
        ];
        let collector = options.otlp_endpoint.as_ref();
        vars.extend(collector.map(|endpoint| var("OTEL_EXPORTER_OTLP_ENDPOINT", &endpoint)));
        vars.extend(options.limits.vars());
        vars.extend(options.delivery.vars());
        vars.extend(options.vars.iter().map(|(_, name, value)| (name.clone(), value.clone())));
        vars
    }
}

impl OneProcess {
    /// What it wrote, without the line that shows the operator their new key.
    pub(super) fn log(&self) -> String {
        let written = self.process.output();
        written
            .lines()
            .filter(|line| !line.contains(&self.admin_key))
            .fold(String::new(), |text, line| text + line + "\n")
    }
}

fn admin_key(secrets: &Path) -> anyhow::Result<String> {
    let text = std::fs::read(secrets).with_context(|| format!("no keys in {}", secrets.display()))?;
    let secrets: serde_json::Value = serde_json::from_slice(&text)?;
    super::admin::text(&secrets, "admin_key")
}
