//! The command line.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context;
use clap::{Parser, Subcommand};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::{DEFAULT_API_KEY, RetrySchedule, SimConfig, StripeSim, WebhookEndpoint};

/// A local stand-in for Stripe: checkout sessions, a pay page, signed events. No money moves.
#[derive(Debug, Parser)]
#[command(name = "stripe-sim", version)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Serve Stripe's API, the pay page, and the control API until interrupted.
    #[command(after_help = EXAMPLES)]
    Serve(ServeArgs),
}

const EXAMPLES: &str = "\
Examples:
  Serve, and send events to a payments service:
    stripe-sim serve --endpoint http://127.0.0.1:8083/stripe/webhook,whsec_local

  Create a checkout session, and open the \"url\" of the answer in a browser:
    curl http://127.0.0.1:12111/v1/checkout/sessions -u sk_test_mercato: \\
      -d mode=payment -d success_url=http://127.0.0.1:12111/sim/ \\
      -d 'line_items[0][quantity]=1' -d 'line_items[0][price_data][currency]=eur' \\
      -d 'line_items[0][price_data][unit_amount]=4900' \\
      -d 'line_items[0][price_data][product_data][name]=SEO Essentials'

  Pay it without a browser:
    curl -X POST http://127.0.0.1:12111/sim/sessions/cs_test_…/pay

  What else can be asked of it:
    curl http://127.0.0.1:12111/sim/";

#[derive(Debug, clap::Args)]
struct ServeArgs {
    /// Address to listen on; port 0 takes a free one.
    #[arg(long, env = "STRIPE_SIM_LISTEN", default_value = "127.0.0.1:12111")]
    listen: String,
    /// How browsers reach it, where that is not the address itself.
    #[arg(long, env = "STRIPE_SIM_PUBLIC_URL", value_name = "URL")]
    public_url: Option<String>,
    /// The key that callers must send.
    #[arg(long, env = "STRIPE_SIM_API_KEY", default_value = DEFAULT_API_KEY, hide_env_values = true)]
    api_key: String,
    /// Where events are sent, and the secret that signs them; may be repeated.
    #[arg(long = "endpoint", value_name = "URL,WHSEC", value_parser = endpoint)]
    endpoints: Vec<WebhookEndpoint>,
    /// File that keeps sessions and undelivered events across restarts; in memory only without it.
    #[arg(long, env = "STRIPE_SIM_DATA", value_name = "FILE")]
    data: Option<PathBuf>,
    /// Seconds between the tries of a failed delivery; the last is repeated for three days.
    #[arg(long, value_name = "SECONDS", value_delimiter = ',', default_value = "1,2,5,10,30,60")]
    retry: Vec<u64>,
}

fn endpoint(text: &str) -> Result<WebhookEndpoint, String> {
    let (url, secret) = text
        .rsplit_once(',')
        .ok_or("expected URL,SECRET such as http://127.0.0.1:8083/stripe/webhook,whsec_local")?;
    WebhookEndpoint::new(url, secret).checked().map_err(|error| error.to_string())
}

/// Does what the command line says, until interrupted.
pub async fn run(cli: Cli) -> anyhow::Result<()> {
    let Command::Serve(args) = cli.command;
    let listener =
        TcpListener::bind(&args.listen).await.with_context(|| format!("cannot listen on {}", args.listen))?;
    let config = SimConfig {
        public_url: args.public_url,
        api_key: args.api_key,
        endpoints: args.endpoints,
        data: args.data,
        retry: RetrySchedule::new(args.retry.into_iter().map(Duration::from_secs).collect()),
        ..SimConfig::new(listener)
    };
    let stop = CancellationToken::new();
    let running = StripeSim::start(config, stop.clone()).await?;
    tracing::info!(url = running.url(), "the stand-in for Stripe is ready");
    interrupted().await?;
    stop.cancel();
    running.stopped().await;
    Ok(())
}

async fn interrupted() -> anyhow::Result<()> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut terminate = signal(SignalKind::terminate())?;
    tokio::select! {
        interrupt = tokio::signal::ctrl_c() => interrupt?,
        _ = terminate.recv() => {}
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        <Cli as clap::CommandFactory>::command().debug_assert();
    }

    #[test]
    fn an_endpoint_is_a_url_and_a_secret() {
        assert_eq!(endpoint("http://x/hook?a=1,2,whsec_1").unwrap().url, "http://x/hook?a=1,2");
        for wrong in ["http://x/hook", "ftp://x,whsec_1", "http://x,secret"] {
            assert!(endpoint(wrong).is_err(), "{wrong}");
        }
    }
}
