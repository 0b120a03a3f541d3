//! `tenant serve`: the agent as a program of its own.

use std::process::ExitCode;

use clap::Parser as _;
use tenant::agent::cli::{Cli, run};
use tracing_subscriber::EnvFilter;

fn main() -> ExitCode {
    let cli = Cli::parse();
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).init();
    platform::service::main(run(cli))
}
