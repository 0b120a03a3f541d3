//! `cargo xtask up`.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use serde_json::json;
use testkit::{
    free_ports, local_address,
    market::{Backing, FiveProcesses, Keys, Limits, Options, Plan, Service},
    paths,
    servers::Servers,
};

use crate::{
    run::{cargo, interrupted, program, succeed},
    servers,
};

pub(crate) const HELP: &str = "\
Runs Mercato as in production: gateway, catalog-svc, license-svc, payments-svc and webhook-dispatcher as processes of
their own, on PostgreSQL, NATS JetStream and Valkey, each store migrated first.

Beside them runs what makes it a demo: the stand-in for Stripe, a shop to click in, and a catalogue that is imported
through the operator's REST calls. It prints where to click. Ctrl-C ends everything; all data is throw-away.

    cargo xtask up          # click
    cargo xtask up --buy    # one purchase without a browser, each step with its milliseconds, then the end

Servers that the environment names (MERCATO_TEST_DATABASE_URL, MERCATO_TEST_NATS_URL, MERCATO_TEST_REDIS_URL) are used
and not started: the schemas of an earlier run must not be in that database, because the keys are new each time.

What each process writes is in `up/` of cargo's target directory, a file for each.";

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Buy one app without a browser, tell each step, and end
    #[arg(long)]
    buy: bool,
    /// Send traces to this OTLP/gRPC collector, such as http://127.0.0.1:4317
    #[arg(long, value_name = "URL")]
    otlp: Option<String>,
}

pub(crate) async fn run(args: Args) -> anyhow::Result<()> {
    let started = tokio::select! {
        started = start(&args) => started,
        () = interrupted() => bail!("interrupted"),
    };
    let Up { servers, mut services, around } = started?;
    let done = tokio::select! {
        done = demo(&args, &around) => done,
        ended = services.one_has_ended() => ended.and_then(|(service, status)| bail!("{service} ended with {status}")),
        // That is how it is meant to end.
        () = interrupted() => Ok(()),
    };
    services.stop().await?;
    servers.stop().await?;
    done
}

/// What runs, and the file that tells the demo where.
struct Up {
    servers: Servers,
    services: FiveProcesses,
    around: PathBuf,
}

async fn start(args: &Args) -> anyhow::Result<Up> {
    succeed(cargo(&["build", "--workspace", "--bins"])).await?;
    let folder = empty_folder()?;
    let servers = servers::start().await?;
    let (services, around) = start_services(args, &servers, &folder).await?;
    eprintln!("the five services are ready; what they write: {}/*.log", folder.display());
    Ok(Up { servers, services, around })
}

/// Emptied, so that nothing of an earlier run is met with the keys of this one.
fn empty_folder() -> anyhow::Result<PathBuf> {
    let folder = paths::target_dir()?.join("up");
    if folder.exists() {
        std::fs::remove_dir_all(&folder).with_context(|| format!("{} can't be emptied", folder.display()))?;
    }
    std::fs::create_dir_all(&folder)?;
    Ok(folder)
}

/// Starts the five, and writes down what the demo needs to know of them.
async fn start_services(
    args: &Args,
    servers: &Servers,
    folder: &Path,
) -> anyhow::Result<(FiveProcesses, PathBuf)> {
    let (keys, plan) = (Keys::generate(), Plan::new()?);
    let [stripe, shop] = free_ports()?.map(local_address);
    let backing = Backing {
        database_url: servers.database_url().to_owned(),
        nats_url: servers.nats_url().to_owned(),
        redis_url: servers.redis_url().to_owned(),
        stripe_url: format!("http://{stripe}"),
    };
    let options =
        Options { limits: Limits::AsShipped, otlp_endpoint: args.otlp.clone(), ..Options::default() };
    let options = back_to(options, &format!("http://{shop}/admin/marketplace"));
    let services = plan.start(keys.clone(), backing, options, folder).await?;
    let around = json!({
        "gateway_url": services.gateway_url(),
        "payments_url": services.payments_url(),
        "stripe_listen": stripe.to_string(),
        "shop_listen": shop.to_string(),
        "admin_key": keys.admin_key,
        "stripe_key": keys.stripe_api_key,
        "stripe_webhook_secret": keys.stripe_webhook_secret,
    });
    let file = folder.join("around.json");
    std::fs::write(&file, around.to_string())?;
    Ok((services, file))
}

/// Whoever has paid, or has turned back, is sent to the shop's marketplace.
fn back_to(options: Options, marketplace: &str) -> Options {
    options.var(Service::Payments, "MERCATO__STRIPE__SUCCESS_URL", &format!("{marketplace}/thanks")).var(
        Service::Payments,
        "MERCATO__STRIPE__CANCEL_URL",
        marketplace,
    )
}

/// The catalogue, the shop and the stand-in for Stripe, until the purchase is made or Ctrl-C.
async fn demo(args: &Args, around: &Path) -> anyhow::Result<()> {
    let mut command = program(paths::binary("mercato")?, &["demo", "--around"]);
    command.arg(around).arg("--data").arg(around.with_file_name("demo"));
    if args.buy {
        command.arg("--buy");
    }
    succeed(command).await
}
