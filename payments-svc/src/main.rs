//! The command line of payments-svc.

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use payments_svc::{Config, Migrator, NAME};
use platform::service::{self, StoreCommand};

/// Checkout and orders: asks Stripe for a payment page, hears from Stripe what was paid, and announces it.
///
/// Needs DATABASE_URL, NATS_URL and, after MERCATO__: ADMIN__LISTEN, GRPC__LISTEN, GRPC__CALLERS__GATEWAY, HTTP__LISTEN,
/// STRIPE__SECRET_KEY, STRIPE__WEBHOOK_SECRETS, STRIPE__SUCCESS_URL, STRIPE__CANCEL_URL, SEALING__KEYS and
/// BUS_SEALING__KEYS. The README of payments-svc names the others.
#[derive(Parser)]
#[command(version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Take calls and Stripe's events until SIGTERM.
    Serve,
    /// Ask the running service whether it is ready; exit 0 if so.
    Healthcheck,
    #[command(flatten)]
    Store(StoreCommand),
}

fn main() -> ExitCode {
    service::main(async {
        match Cli::parse().command {
            Command::Serve => service::serve(NAME, payments_svc::serve).await,
            Command::Healthcheck => service::healthcheck::<Config>().await,
            Command::Store(command) => service::run_store_command::<Config, Migrator>(command).await,
        }
    })
}
