//! What every service's command line does.

use std::{future::Future, net::SocketAddr, process::ExitCode, time::Duration};

use anyhow::Context as _;
use clap::Subcommand;
use sea_orm_migration::MigratorTrait;
use time::{OffsetDateTime, format_description::well_known::Rfc3339};
use tokio::net::TcpListener;

use crate::{
    Parts, Shutdown,
    admin::{self, AdminConfig},
    bus::{
        Bus,
        jetstream::{JetStreamBus, NatsConfig},
    },
    config::{self, Config},
    db::{self, DatabaseConfig, Db},
    lifecycle::{self, LifecycleConfig},
    outbox,
    telemetry::{Telemetry, TelemetryConfig},
};

/// The sections that every service's configuration has.
pub struct Base<'a> {
    /// `telemetry`.
    pub telemetry: &'a TelemetryConfig,
    /// `admin`.
    pub admin: &'a AdminConfig,
    /// `bus`.
    pub bus: &'a NatsConfig,
    /// `lifecycle`.
    pub lifecycle: &'a LifecycleConfig,
}

/// A service's configuration.
pub trait ServiceConfig: Config {
    /// Its common sections.
    fn base(&self) -> Base<'_>;
}

/// A service that keeps rows.
pub trait StoreConfig: ServiceConfig {
    /// Its schema, such as `license`.
    const SCHEMA: &'static str;

    /// `database`.
    fn database(&self) -> &DatabaseConfig;
}

/// What a service with a store can be told.
#[derive(Debug, Subcommand)]
pub enum StoreCommand {
    /// Bring the schema up to date and end. Two at once are safe.
    Migrate,
    /// Publish again what was announced since a time, for a bus that lost data. At most 7 days back.
    Republish {
        /// RFC 3339, for example 2026-11-22T08:00:00Z.
        #[arg(long)]
        since: String,
    },
}

/// Runs the process: one runtime, the error as the last line, the exit code.
pub fn main(life: impl Future<Output = anyhow::Result<()>>) -> ExitCode {
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return failed(&error.into()),
    };
    let ended = runtime.block_on(life);
    // What does not end by itself (a blocking look-up) must not hold up the process.
    runtime.shutdown_timeout(Duration::from_secs(1));
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => failed(&error),
    }
}

fn failed(error: &anyhow::Error) -> ExitCode {
    eprintln!("error: {error:#}");
    ExitCode::FAILURE
}

/// `serve`: configuration, telemetry, the bus, the admin port, then `run` until the first signal.
pub async fn serve<C, R, F>(name: &'static str, run: R) -> anyhow::Result<()>
where
    C: ServiceConfig,
    R: FnOnce(C, Parts, Shutdown) -> F,
    F: Future<Output = anyhow::Result<()>>,
{
    let config: C = config::load()?;
    let Base { telemetry, admin, bus, lifecycle } = config.base();
    let (admin, drain) = (admin.listen, lifecycle.drain());
    let telemetry = Telemetry::start(telemetry, name)?;
    crate::tls::install_provider();
    let shutdown = lifecycle::on_signals()?;
    let parts = Parts::new(Bus::new(JetStreamBus::connect(bus).await?));
    let admin = bind("admin.listen", admin).await?;
    tokio::spawn(admin::serve(admin, parts.readiness.clone(), telemetry.metrics(), shutdown.clone()));
    tracing::info!(version = env!("CARGO_PKG_VERSION"), "starting");
    let ended = run(config, parts, shutdown).await;
    telemetry.stop(drain.min(Duration::from_secs(5))).await;
    ended
}

/// Binds a configured address, naming the key when it cannot.
pub async fn bind(key: &str, address: SocketAddr) -> anyhow::Result<TcpListener> {
    TcpListener::bind(address).await.with_context(|| format!("{key}: cannot listen on {address}"))
}

/// Connects the service's store and refuses one whose schema is behind.
pub async fn open_store<C: StoreConfig, M: MigratorTrait>(config: &C, parts: &Parts) -> anyhow::Result<Db> {
    let db = Db::connect(config.database(), C::SCHEMA).await?;
    db::require_current::<M>(&db).await?;
    let checked = db.clone();
    parts.readiness.add("store", move || {
        let db = checked.clone();
        async move { db.is_ready().await }
    });
    Ok(db)
}

/// `migrate` and `republish`.
pub async fn run_store_command<C: StoreConfig, M: MigratorTrait>(
    command: StoreCommand,
) -> anyhow::Result<()> {
    let config: C = config::load()?;
    let db = Db::connect(config.database(), C::SCHEMA).await?;
    match command {
        StoreCommand::Migrate => {
            db::migrate::<M>(&db, C::SCHEMA).await?;
            println!("the schema `{}` is up to date", C::SCHEMA);
        }
        StoreCommand::Republish { since } => {
            let since = OffsetDateTime::parse(&since, &Rfc3339)
                .context("--since must be a time such as 2026-11-22T08:00:00Z")?;
            let count = outbox::republish(&db, since.unix_timestamp() * 1000).await?;
            println!(
                "{count} message(s) will be published again by the running service, each once the bus has forgotten its id (10 minutes)"
            );
        }
    }
    Ok(())
}

/// `healthcheck`: asks this service's own admin port whether it is ready.
pub async fn healthcheck<C: ServiceConfig>() -> anyhow::Result<()> {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let config: C = config::load()?;
    let mut address = config.base().admin.listen;
    if address.ip().is_unspecified() {
        address.set_ip(std::net::Ipv4Addr::LOCALHOST.into());
    }
    let ask = async {
        let mut stream = tokio::net::TcpStream::connect(address).await?;
        stream.write_all(b"GET /readyz HTTP/1.0\r\nhost: localhost\r\n\r\n").await?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await?;
        anyhow::Ok(answer)
    };
    let answer =
        tokio::time::timeout(Duration::from_secs(3), ask).await.context("no answer within 3 seconds")??;
    let status = answer.split_whitespace().nth(1).unwrap_or_default();
    anyhow::ensure!(status == "200", "not ready: {}", answer.lines().last().unwrap_or_default());
    Ok(())
}
