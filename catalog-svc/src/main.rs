//! The process of the catalogue.

use std::process::ExitCode;

use catalog_svc::{Config, Migrator, NAME};
use clap::{Parser, Subcommand};
use platform::service::{self, StoreCommand};

/// What Mercato sells: vendors, apps, their releases and the bytes of each, search and updates.
///
/// Needs DATABASE_URL, NATS_URL, MERCATO__ADMIN__LISTEN, MERCATO__GRPC__LISTEN, MERCATO__GRPC__CALLERS__GATEWAY,
/// MERCATO__ARTIFACTS__URL (file:///folder or s3://bucket/prefix), MERCATO__CATALOG__SIGNING_KEY (the base64
/// of an Ed25519 seed), MERCATO__SEALING__KEYS and MERCATO__BUS_SEALING__KEYS (id:base64 of 32 bytes).
#[derive(Parser)]
#[command(version, verbatim_doc_comment)]
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
            Command::Serve => service::serve(NAME, catalog_svc::serve).await,
            Command::Healthcheck => service::healthcheck::<Config>().await,
            Command::Store(command) => service::run_store_command::<Config, Migrator>(command).await,
        }
    })
}
