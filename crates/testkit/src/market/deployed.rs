//! A marketplace that is there already: the containers of docker-compose.yml, spoken to at their published ports.

use std::{
    collections::BTreeMap,
    fs, io,
    path::PathBuf,
    process::{Output, Stdio},
    time::Duration,
};

use anyhow::{Context as _, ensure};
use serde_json::Value;
use tokio::process::Command;

use super::{
    Keys, Options, Service,
    admin::text,
    keys::token,
    options::{Vars, var},
};
use crate::{eventually, paths};

/// Names a file that tells of a deployment; `cargo xtask compose-test` writes it. Five processes are then not started:
/// the deployment's are used.
pub const DEPLOYMENT: &str = "MERCATO_TEST_DEPLOYMENT";
/// A container is stopped, made anew and started, each after those that it needs.
const READY_LIMIT: Duration = Duration::from_mins(3);

/// A deployment that others use too, one after the other.
#[derive(Debug)]
pub(super) struct Deployed {
    pub(super) gateway_url: String,
    pub(super) payments_url: String,
    pub(super) stripe_url: String,
    admin_key: String,
    stripe_key: String,
    stripe_webhook_secret: String,
    /// `SETTINGS` of `.env`: a file of variables for each service.
    settings: PathBuf,
    /// The program that manages the containers, with its options.
    compose: Vec<String>,
    /// What makes names unique in it.
    pub(super) tag: String,
}

impl Deployed {
    /// The one that the environment names.
    pub(super) fn find() -> anyhow::Result<Option<Self>> {
        let Some(file) = std::env::var_os(DEPLOYMENT) else { return Ok(None) };
        let told = fs::read(&file).with_context(|| format!("{} can't be read", file.display()))?;
        Self::told(&serde_json::from_slice(&told)?).map(Some)
    }

    fn told(told: &Value) -> anyhow::Result<Self> {
        Ok(Self {
            gateway_url: text(told, "gateway_url")?,
            payments_url: text(told, "payments_url")?,
            stripe_url: text(told, "stripe_url")?,
            admin_key: text(told, "admin_key")?,
            stripe_key: text(told, "stripe_key")?,
            stripe_webhook_secret: text(told, "stripe_webhook_secret")?,
            settings: text(told, "settings")?.into(),
            compose: serde_json::from_value(told["compose"].clone())?,
            tag: token("")[..6].to_owned(),
        })
    }

    /// The keys that outsiders hold; the others are made by chance and open nothing there.
    pub(super) fn keys(&self) -> Keys {
        Keys {
            admin_key: self.admin_key.clone(),
            stripe_api_key: self.stripe_key.clone(),
            stripe_webhook_secret: self.stripe_webhook_secret.clone(),
            ..Keys::generate()
        }
    }

    /// Makes it what a test wants: services whose settings change are made anew, the others stay.
    pub(super) async fn configure(&self, options: &Options) -> anyhow::Result<()> {
        ensure!(
            options.otlp_endpoint.is_none() && options.stripe_data.is_none() && options.public_url.is_none(),
            "a deployment has a collector, a stand-in for Stripe and an address of its own"
        );
        let mut is_changed = false;
        for service in Service::ALL {
            is_changed |= self.settle(service, &vars(service, options))?;
        }
        if is_changed {
            self.compose(&["up", "--detach", "--no-build"]).await?;
        }
        self.until_ready().await
    }

    /// Writes a service's settings; whether they are others than before.
    fn settle(&self, service: Service, vars: &Vars) -> anyhow::Result<bool> {
        let file = self.settings.join(format!("{service}.env"));
        let lines: Vec<String> = vars.iter().map(|(name, value)| format!("{name}={value}\n")).collect();
        let text = lines.concat();
        let before = fs::read_to_string(&file).unwrap_or_default();
        fs::write(&file, &text).with_context(|| format!("{} can't be written", file.display()))?;
        Ok(before != text)
    }

    /// Each service is asked whether it is ready, as the engine asks it; and so is the stand-in for Stripe.
    pub(super) async fn until_ready(&self) -> anyhow::Result<()> {
        for service in Service::ALL {
            self.until_answers(&[service.name(), "/usr/local/bin/service", "healthcheck"]).await?;
        }
        self.until_answers(&["demo", "test", "-f", "/data/demo.json"]).await
    }

    async fn until_answers(&self, question: &[&str]) -> anyhow::Result<()> {
        let ask = async || self.compose(&[&["exec", "-T"], question].concat()).await.ok();
        eventually(&format!("{} to be ready", question[0]), READY_LIMIT, ask).await.map(drop)
    }

    /// `kill -9` of a container, by the name of its service in docker-compose.yml.
    pub(super) fn kill(&self, container: &str) -> anyhow::Result<()> {
        self.compose_now(&["kill", "-s", "SIGKILL", container]).map(drop)
    }

    /// Starts a container that was killed, and waits until all are ready.
    pub(super) async fn start(&self, container: &str) -> anyhow::Result<()> {
        self.compose(&["start", container]).await?;
        self.until_ready().await
    }

    /// What each service has written so far, by its name.
    pub(super) fn logs(&self) -> BTreeMap<String, String> {
        let written = |service: Service| {
            let logs = self.compose_now(&["logs", "--no-color", service.name()]);
            (service.to_string(), logs.unwrap_or_else(|error| error.to_string()))
        };
        Service::ALL.into_iter().map(written).collect()
    }

    async fn compose(&self, args: &[&str]) -> anyhow::Result<String> {
        let mut command = Command::from(self.command(args)?);
        said(args, command.kill_on_drop(true).output().await)
    }

    fn compose_now(&self, args: &[&str]) -> anyhow::Result<String> {
        said(args, self.command(args)?.output())
    }

    fn command(&self, args: &[&str]) -> anyhow::Result<std::process::Command> {
        let (program, options) = self.compose.split_first().context("`compose` names no program")?;
        let mut command = std::process::Command::new(program);
        command.args(options).args(args).current_dir(paths::workspace_root()).stdin(Stdio::null());
        Ok(command)
    }
}

fn said(args: &[&str], ran: io::Result<Output>) -> anyhow::Result<String> {
    let output = ran.context("the program that manages the containers can't be run")?;
    let errors = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "`{}` ended with {}:\n{errors}", args.join(" "), output.status);
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// What a service is told in addition to what docker-compose.yml says.
fn vars(service: Service, options: &Options) -> Vars {
    let mut vars = match service {
        Service::Gateway => options.limits.vars(),
        Service::Dispatcher => options.delivery.vars(),
        _ => Vec::new(),
    };
    // Which networks may be called is said in `.env`, as for every shop.
    vars.retain(|(name, _)| name != "MERCATO__DELIVERY__ALLOW_CIDRS");
    let wanted = options.vars.iter().filter(|(of, ..)| *of == service);
    vars.extend(wanted.map(|(_, name, value)| var(name, value)));
    vars
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use serde_json::json;

    use super::*;
    use crate::market::Limits;

    #[test]
    fn each_service_is_told_what_concerns_it_and_a_change_is_noticed() {
        let folder = tempfile::tempdir().unwrap();
        let deployed = Deployed::told(&json!({
            "gateway_url": "g", "payments_url": "p", "stripe_url": "s", "admin_key": "ak_1", "stripe_key": "sk_test_1",
            "stripe_webhook_secret": "whsec_1", "settings": folder.path(), "compose": ["true"],
        }));
        let deployed = deployed.unwrap();
        assert_eq!(deployed.keys().admin_key, "ak_1");
        let options = Options { limits: Limits::AsShipped, ..Options::default() };
        let options = options.var(Service::Catalog, "A", "1");
        let settle = |service| deployed.settle(service, &vars(service, &options)).unwrap();
        assert!(settle(Service::Catalog) && !settle(Service::Catalog));
        assert!(!settle(Service::Gateway), "nothing was said, and nothing is");
        assert_eq!(fs::read_to_string(folder.path().join("catalog-svc.env")).unwrap(), "A=1\n");
        assert!(settle(Service::Dispatcher));
        let dispatcher = fs::read_to_string(folder.path().join("webhook-dispatcher.env")).unwrap();
        assert!(dispatcher.contains("SCHEDULE_SECONDS=[1, 1, 2, 4, 8]\n") && !dispatcher.contains("CIDRS"));
    }
}
