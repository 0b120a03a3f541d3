//! `mercato demo`: a marketplace with a few apps, a stand-in for Stripe and a shop, to click in.

mod around;
mod buy;
mod forward;
mod guest_book;
mod marketplace;
mod operator;
mod ports;
mod running;
mod samples;
mod shop;
mod urls;
mod words;

use std::{env, path::PathBuf, time::Duration};

use around::Told;
use buy::Stopwatch;
use clap::Args;
pub use guest_book::NextRelease;
use platform::{
    Shutdown, lifecycle,
    telemetry::{LogFormat, Telemetry, TelemetryConfig},
};
pub use ports::Ports;
pub use running::{Demo, Options, Running, start};

const DEFAULT_FOLDER: &str = "data/demo";
/// How long the last spans may take on their way to the collector.
const LAST_SPANS: Duration = Duration::from_secs(2);

/// Try the marketplace: nine apps, one of them on a server of its own, a stand-in for Stripe, and a shop that buys.
///
/// Everything runs in this process and listens on this machine only. What is bought stays in the data folder.
#[derive(Debug, Default, Args)]
#[command(after_help = words::EXAMPLES)]
pub struct DemoArgs {
    /// Buy one app without a browser, tell each step with its milliseconds, and end. Uses a folder of its own, which
    /// it removes, and free ports, unless these are named.
    #[arg(long)]
    buy: bool,
    /// The folder that keeps everything; `data/demo` where none is named.
    #[arg(long, value_name = "FOLDER")]
    data: Option<PathBuf>,
    /// Take six ports from this one on, in place of 8080 to 8082, 8090, 12111 and 8091.
    #[arg(long, value_name = "PORT", conflicts_with = "ephemeral")]
    port_base: Option<u16>,
    /// Take any free ports.
    #[arg(long)]
    ephemeral: bool,
    /// Open only the catalogue, the shop and the stand-in for Stripe, around services that run elsewhere, as this
    /// file says; `cargo xtask up` writes it. `-`: as the variables MERCATO__… say; docker-compose.yml sets them.
    #[arg(long, value_name = "FILE", hide_short_help = true, conflicts_with_all = ["port_base", "ephemeral"])]
    around: Option<PathBuf>,
    /// Tell what happens inside, on standard error.
    #[arg(long, short)]
    verbose: bool,
}

/// Does what the command line says.
pub async fn run(args: DemoArgs) -> anyhow::Result<()> {
    let telemetry = Telemetry::start(&args.telemetry(), "mercato")?;
    let shutdown = lifecycle::on_signals()?;
    let ended = if args.buy {
        buy_one(&args, &telemetry, shutdown).await
    } else {
        stay_open(&args, &telemetry, shutdown).await
    };
    telemetry.stop(LAST_SPANS).await;
    ended
}

async fn stay_open(args: &DemoArgs, telemetry: &Telemetry, shutdown: Shutdown) -> anyhow::Result<()> {
    let running = args.start(None, telemetry, shutdown).await?;
    match args.told() {
        Some(Told::Environment) => words::places(&running.demo),
        _ => words::welcome(&running.demo),
    }
    running.until_stopped().await
}

async fn buy_one(args: &DemoArgs, telemetry: &Telemetry, shutdown: Shutdown) -> anyhow::Result<()> {
    // Removed with everything in it when it is dropped: after the demo has ended.
    let throw_away = args.data.is_none().then(tempfile::tempdir).transpose()?;
    let folder = throw_away.as_ref().map(|folder| folder.path().to_owned());
    let watch = Stopwatch::start();
    let running = args.start(folder, telemetry, shutdown.clone()).await?;
    let bought = tokio::select! {
        bought = buy::one(&running.demo, watch) => bought,
        () = shutdown.cancelled() => Err(anyhow::anyhow!("it was interrupted, or a part of it ended")),
    };
    // Why a part ended says more than what did not come of it.
    running.stop().await?;
    bought
}

impl DemoArgs {
    async fn start(
        &self,
        throw_away: Option<PathBuf>,
        telemetry: &Telemetry,
        shutdown: Shutdown,
    ) -> anyhow::Result<Running> {
        let options = self.options(throw_away);
        match self.told() {
            Some(told) => around::start(&told, &options.data, shutdown).await,
            None => start(options, Some(telemetry), shutdown).await,
        }
    }

    fn told(&self) -> Option<Told> {
        let file = self.around.clone()?;
        Some(if file.as_os_str() == "-" { Told::Environment } else { Told::File(file) })
    }

    fn options(&self, throw_away: Option<PathBuf>) -> Options {
        let ports = match self.port_base {
            Some(base) => Ports::From(base),
            None if self.ephemeral || throw_away.is_some() => Ports::Free,
            None => Ports::Usual,
        };
        let data = throw_away.or_else(|| self.data.clone()).unwrap_or_else(|| DEFAULT_FOLDER.into());
        Options { data, ports }
    }

    fn telemetry(&self) -> TelemetryConfig {
        TelemetryConfig {
            otlp_endpoint: env::var("OTEL_EXPORTER_OTLP_ENDPOINT").ok(),
            log_format: LogFormat::Human,
            log_filter: if self.verbose { "info" } else { "warn" }.to_owned(),
            ..TelemetryConfig::default()
        }
    }
}
