//! The `mercato` process.

use std::process::ExitCode;

use clap::Parser as _;
use mercato::cli::Cli;
use platform::service;

fn main() -> ExitCode {
    service::main(Cli::parse().run())
}
