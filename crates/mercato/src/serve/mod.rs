//! `mercato serve`: one machine for real use.

mod config;
mod help;

use std::{path::PathBuf, time::Duration};

use clap::Args;
pub use config::{Config, StripeWebhook};
use platform::{Random, Shutdown, admin, lifecycle, service, telemetry::Telemetry};
use tokio::net::TcpListener;

use crate::{
    assembly::{Assembly, Listeners},
    private,
    secrets::Secrets,
    settings::Settings,
};

/// How long the last spans may take on their way to the collector.
const LAST_SPANS: Duration = Duration::from_secs(5);

/// Run the marketplace on one machine, for real use.
///
/// All five services in this process. Nothing else is needed: stores, bus and releases are files in the data folder.
/// PostgreSQL, NATS and Redis take their place where DATABASE_URL, NATS_URL or REDIS_URL name them.
/// The first start makes the folder and its keys, and prints the operator's admin key.
#[derive(Debug, Args)]
#[command(after_long_help = help::SERVE)]
pub struct ServeArgs {
    /// A TOML file with the configuration; variables of the environment win over it.
    #[arg(long, env = "MERCATO_CONFIG", value_name = "FILE")]
    config: Option<PathBuf>,
    /// The folder that keeps keys and data; `data/serve` where none is named.
    #[arg(long, value_name = "FOLDER")]
    data: Option<PathBuf>,
    /// Only check the configuration; exit 0 if it can be used.
    #[arg(long)]
    check: bool,
}

struct Bound {
    services: Listeners,
    admin: TcpListener,
}

/// Runs until the first signal.
pub async fn run(args: ServeArgs) -> anyhow::Result<()> {
    let config = Config::load(args.config.as_deref(), args.data.as_deref())?;
    if args.check {
        println!("the configuration can be used");
        return Ok(());
    }
    let telemetry = Telemetry::start(&config.telemetry, "mercato")?;
    let shutdown = lifecycle::on_signals()?;
    let bound = bind(&config).await?;
    let settings = prepare(&config)?;
    let ended = serve(settings, bound, &telemetry, shutdown).await;
    telemetry.stop(LAST_SPANS).await;
    ended
}

async fn bind(config: &Config) -> anyhow::Result<Bound> {
    Ok(Bound {
        services: Listeners {
            gateway: service::bind("http.listen", config.http.listen).await?,
            payments: service::bind("stripe_webhook.listen", config.stripe_webhook.listen).await?,
        },
        admin: service::bind("admin.listen", config.admin.listen).await?,
    })
}

/// Makes folder and keys on the first start. The key is printed to standard output, where no log goes.
fn prepare(config: &Config) -> anyhow::Result<Settings> {
    let folder = private::create_folder(&config.data)?;
    let (secrets, are_new) = Secrets::load_or_create(&folder, &Random::system())?;
    if are_new {
        println!("A new marketplace in {}.", folder.display());
        println!("The operator's admin key, shown this once: {}", secrets.admin_key.expose());
        println!("It is kept with the other keys in {}/secrets.json; back that file up.", folder.display());
    }
    Ok(config.settings(folder, secrets))
}

async fn serve(
    settings: Settings,
    bound: Bound,
    telemetry: &Telemetry,
    shutdown: Shutdown,
) -> anyhow::Result<()> {
    let assembly = Assembly::start(settings, bound.services, shutdown.clone()).await?;
    tokio::spawn(admin::serve(bound.admin, assembly.readiness(), telemetry.metrics(), shutdown));
    assembly.until_ready().await?;
    tracing::info!(version = env!("CARGO_PKG_VERSION"), "the marketplace is open");
    assembly.run_to_end().await
}
