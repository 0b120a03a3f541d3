//! The containers of docker-compose.yml, for as long as a test.

use std::{
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::Context as _;
use serde_json::{Value, json};
use testkit::{RECEIVE_ON, eventually, free_ports, paths};
use tokio::process::Command;

use super::{
    engine::{Engine, output},
    images::{self, Programs},
};
use crate::run::{cargo, program, succeed};

const PROJECT: &str = "mercato-test";
/// Another than that of `.env`: a deployment of this machine may have that one.
const SUBNET: &str = "172.30.81.0/24";
/// Where containers of that network reach this machine: the engine takes its first address.
const HERE: &str = "172.30.81.1";
/// Containers start one after the other, each when those that it needs answer.
const UP_LIMIT: Duration = Duration::from_mins(10);
const SERVICES: [&str; 5] = ["gateway", "catalog-svc", "license-svc", "payments-svc", "webhook-dispatcher"];

/// A deployment on free ports, with a project name and volumes of its own.
pub(super) struct Deployment<'a> {
    engine: &'a Engine,
    folder: PathBuf,
    vars: Vec<(&'static str, String)>,
}

impl<'a> Deployment<'a> {
    pub(super) fn plan(engine: &'a Engine, programs: Programs) -> anyhow::Result<Self> {
        let folder = paths::target_dir()?.join("compose");
        let settings = empty_settings(&folder)?;
        let mut vars = addresses(free_ports()?);
        vars.extend([
            ("COMPOSE_PROJECT_NAME", PROJECT.to_owned()),
            ("COMPOSE_PROFILES", "demo".to_owned()),
            ("SETTINGS", settings.display().to_string()),
            ("OUTSIDE_SUBNET", SUBNET.to_owned()),
            ("ALLOW_CIDRS", format!("[{SUBNET}]")),
            // On a busy machine a container takes its time.
            ("COMPOSE_HTTP_TIMEOUT", "300".to_owned()),
        ]);
        vars.extend(match programs {
            Programs::Release => vec![],
            Programs::Dev => vec![("BUILD_PROFILE", "dev".to_owned())],
            Programs::Here => vec![("BINARIES", images::BINARIES.to_owned())],
        });
        Ok(Self { engine, folder, vars })
    }

    pub(super) async fn build(&self, programs: Programs) -> anyhow::Result<()> {
        if programs == Programs::Here {
            images::from_here(self.engine).await?;
        }
        succeed(self.compose(&["build"])).await
    }

    /// Starts all, waits until the demo's shop is open, and writes down what tests need to know.
    pub(super) async fn up(&self) -> anyhow::Result<()> {
        // What an interrupted run has left would be met with the keys of this one.
        self.down().await?;
        succeed(self.compose(&["up", "--detach", "--no-build"])).await?;
        let told =
            async || output(self.compose(&["exec", "-T", "demo", "cat", "/data/demo.json"])).await.ok();
        let demo: Value = serde_json::from_str(&eventually("the demo", UP_LIMIT, told).await?)?;
        fs::write(self.file(), self.tell(&demo).to_string())?;
        Ok(())
    }

    fn tell(&self, demo: &Value) -> Value {
        let compose: Vec<_> = self.engine.compose().iter().map(|part| part.to_string_lossy()).collect();
        json!({
            "gateway_url": self.var("PUBLIC_URL"),
            "payments_url": format!("http://localhost:{}", self.var("STRIPE_WEBHOOK_PORT")),
            "stripe_url": demo["stripe_url"],
            "admin_key": demo["admin_key"],
            "stripe_key": demo["stripe_key"],
            "stripe_webhook_secret": demo["stripe_webhook_secret"],
            "settings": self.var("SETTINGS"),
            "compose": compose,
        })
    }

    /// The suite that also runs over processes, one area after the other: each may want other settings.
    pub(super) async fn play_scenarios(&self, only: Option<&str>) -> anyhow::Result<()> {
        let area = only.map_or_else(|| "in_five_processes".to_owned(), |area| format!("{area}::in_five"));
        let args =
            ["test", "--workspace", "--test", "scenarios", &area, "--", "--test-threads=1", "--nocapture"];
        succeed(self.test(&args)).await
    }

    pub(super) async fn play_kills(&self) -> anyhow::Result<()> {
        let args = ["test", "--workspace", "--test", "kill", "--", "--test-threads=1", "--nocapture"];
        succeed(self.test(&args)).await
    }

    /// Tests that find the deployment, and whose receivers it finds.
    fn test(&self, args: &[&str]) -> Command {
        let mut command = self.engine.tell(cargo(args));
        command.envs(self.vars.iter().cloned());
        command.env("MERCATO_TEST_DEPLOYMENT", self.file()).env(RECEIVE_ON, HERE);
        command
    }

    pub(super) async fn down(&self) -> anyhow::Result<()> {
        succeed(self.compose(&["down", "--volumes", "--remove-orphans", "--timeout", "10"])).await
    }

    /// What each container has written, in a file.
    pub(super) async fn keep_logs(&self) -> anyhow::Result<()> {
        let (ps, logs) = (self.compose(&["ps", "--all"]), self.compose(&["logs", "--no-color"]));
        fs::write(
            self.folder.join("containers.log"),
            output(ps).await.unwrap_or_else(|error| error.to_string()),
        )?;
        let file = self.folder.join("services.log");
        fs::write(&file, output(logs).await.unwrap_or_else(|error| error.to_string()))?;
        eprintln!("what the containers wrote: {}", file.display());
        Ok(())
    }

    /// The variables with which docker-compose is called, for a person.
    pub(super) fn how_to_use_it(&self) -> String {
        let exports = self.vars.iter().map(|(name, value)| format!("export {name}='{value}'\n"));
        let engine = self.engine.vars().iter();
        let engine = engine.map(|(name, value)| format!("export {name}='{}'\n", value.display()));
        let all: String = engine.chain(exports).collect();
        format!("\n{all}\nIt runs: shop at http://localhost:{}/admin/marketplace", self.var("DEMO_SHOP_PORT"))
    }

    fn compose(&self, args: &[&str]) -> Command {
        let (first, rest) = self
            .engine
            .compose()
            .split_first()
            .map_or(("docker-compose".as_ref(), &[][..]), |it| (it.0.as_os_str(), it.1));
        let mut command = self.engine.tell(program(first, &[]));
        command.args(rest).args(args).envs(self.vars.iter().cloned());
        command
    }

    fn var(&self, name: &str) -> &str {
        self.vars.iter().find(|(of, _)| *of == name).map_or("", |(_, value)| value)
    }

    fn file(&self) -> PathBuf {
        self.folder.join("deployment.json")
    }
}

/// Ports that nobody uses, and the addresses that follow from them.
fn addresses([gateway, payments, prometheus, shop, app, stripe]: [u16; 6]) -> Vec<(&'static str, String)> {
    let shop_url = format!("http://localhost:{shop}/admin/marketplace");
    vec![
        ("PUBLIC_URL", format!("http://localhost:{gateway}")),
        ("GATEWAY_PORT", gateway.to_string()),
        ("STRIPE_WEBHOOK_PORT", payments.to_string()),
        ("PROMETHEUS_PORT", prometheus.to_string()),
        ("DEMO_SHOP_PORT", shop.to_string()),
        ("DEMO_APP_PORT", app.to_string()),
        ("DEMO_STRIPE_PORT", stripe.to_string()),
        ("STRIPE_API_URL", format!("http://demo:{stripe}")),
        ("PAID_URL", format!("{shop_url}/thanks")),
        ("CANCELLED_URL", shop_url),
    ]
}

/// As they are shipped: without a variable.
fn empty_settings(folder: &Path) -> anyhow::Result<PathBuf> {
    let settings = folder.join("settings");
    fs::create_dir_all(&settings)?;
    for service in SERVICES {
        let file = settings.join(format!("{service}.env"));
        fs::write(&file, "").with_context(|| format!("{} can't be written", file.display()))?;
    }
    Ok(settings)
}
