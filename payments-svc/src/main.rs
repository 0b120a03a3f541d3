//! The command line of payments-svc.

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use payments_svc::{Config, Migrator, NAME};
use platform::service::{self, StoreCommand};

/// Checkout and orders of a Mercato marketplace: asks Stripe for a payment page, hears from Stripe what was paid, and
/// announces it.
///
/// It needs DATABASE_URL, NATS_URL, MERCATO__GRPC__LISTEN, MERCATO__GRPC__CALLERS__GATEWAY, MERCATO__HTTP__LISTEN,
/// MERCATO__ADMIN__LISTEN, MERCATO__STRIPE__SECRET_KEY, MERCATO__STRIPE__WEBHOOK_SECRETS,
/// MERCATO__STRIPE__SUCCESS_URL, MERCATO__STRIPE__CANCEL_URL, MERCATO__SEALING__KEYS and MERCATO__BUS_SEALING__KEYS;
/// docs/payments.md names the others.
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
