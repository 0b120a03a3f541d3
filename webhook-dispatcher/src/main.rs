//! The process `webhook-dispatcher`.

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use platform::service::{self, StoreCommand};
use webhook_dispatcher::{Config, Migrator, NAME};

/// Tells shops what happened and hosted apps who installs them: signed, retried on a schedule, each attempt recorded.
///
/// Needs DATABASE_URL, NATS_URL, MERCATO__ADMIN__LISTEN, MERCATO__GRPC__LISTEN,
/// MERCATO__GRPC__CALLERS__<NAME>, MERCATO__SEALING__KEYS and MERCATO__BUS_SEALING__KEYS.
#[derive(Parser)]
#[command(name = NAME, version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Take events and operators' calls, and deliver, until SIGTERM.
    Serve,
    /// Ask the running service whether it is ready; exit 0 if so.
    Healthcheck,
    #[command(flatten)]
    Store(StoreCommand),
}

fn main() -> ExitCode {
    service::main(async {
        match Cli::parse().command {
            Command::Serve => Box::pin(service::serve(NAME, webhook_dispatcher::serve)).await,
            Command::Healthcheck => service::healthcheck::<Config>().await,
            Command::Store(command) => service::run_store_command::<Config, Migrator>(command).await,
        }
    })
}
