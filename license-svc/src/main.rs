//! The process `license-svc`.

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use license_svc::{Config, Migrator, NAME};
use platform::service::{self, StoreCommand};

/// The shops that federate with the marketplace, their keys, the licences they have bought and the apps they run.
///
/// Reads `DATABASE_URL`, `NATS_URL` and `MERCATO__SECTION__KEY`: `admin.listen`, `grpc.listen`, `grpc.callers.<name>`,
/// `license.issuer`, `license.token_key`, `license.sealing_key`, `license.lookup_key`, `sealing.keys`,
/// `bus_sealing.keys`. Any of them may be given as `…_FILE`.
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
    #[command(flatten)]
    Store(StoreCommand),
}

fn main() -> ExitCode {
    service::main(async {
        match Cli::parse().command {
            Command::Serve => service::serve(NAME, license_svc::serve).await,
            Command::Healthcheck => service::healthcheck::<Config>().await,
            Command::Store(command) => service::run_store_command::<Config, Migrator>(command).await,
        }
    })
}
