//! The `gateway` process.

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use platform::service;

/// The marketplace's public REST API, in front of the gRPC services.
///
/// Configuration comes from the environment: NATS_URL, REDIS_URL (optional), MERCATO__HTTP__LISTEN,
/// MERCATO__HTTP__PUBLIC_URL, MERCATO__OPERATOR__KEYS, MERCATO__DOWNLOADS__KEYS, MERCATO__IDENTITY__CREDENTIAL and
/// MERCATO__PEERS__{CATALOG,LICENSE,PAYMENTS,WEBHOOKS}__URL. docs/configuration.md lists every key.
#[derive(Parser)]
#[command(version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Take requests until SIGTERM.
    Serve,
    /// Ask the running service whether it is ready; exit 0 if so.
    Healthcheck,
}

fn main() -> ExitCode {
    service::main(async {
        match Cli::parse().command {
            Command::Serve => service::serve(gateway::NAME, gateway::serve).await,
            Command::Healthcheck => service::healthcheck::<gateway::Config>().await,
        }
    })
}
