//! The benchmarks of this project.

mod bare;
mod gateway;
mod load;
mod memory;
mod open_loop;
mod receipts;
mod report;
mod sale;
mod stage;
mod start;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

const HELP: &str = "\
Measures Mercato beside the least program that could do the same work, in the same run and under the same load, in
rounds that alternate. The last line of each benchmark is one JSON object: `name`, `ours`, `reference`, `ratio`, the
`unit` of the two, and what else belongs to it. What is said on the way goes to standard error.

The services are the binaries beside this program, so it is only worth something in release mode:

    cargo xtask bench              # builds, starts PostgreSQL, and runs all of them
    cargo xtask bench sale

Run directly, it needs a PostgreSQL in MERCATO_TEST_DATABASE_URL, and the two others that tests need.";

#[derive(Parser)]
#[command(name = "bench", version, about = "The benchmarks of this project", long_about = HELP)]
struct Cli {
    /// All of them without a name
    #[command(subcommand)]
    benchmark: Option<Benchmark>,
}

#[derive(Subcommand)]
enum Benchmark {
    /// Checks of a licence through the gateway, beside a bare handler that answers the same bytes
    Verify(load::Load),
    /// Pages of the feed through the gateway, beside a bare handler that answers the same bytes
    Feed(load::Load),
    /// From Stripe's event to the shop's receipt, beside a loop that only posts signed webhooks
    Sale(sale::Args),
    /// What each idle service takes of the memory, beside the 40 MiB that it may
    Memory(memory::Args),
    /// From `mercato demo` to its answer, beside the 3 seconds that it may take
    Start(start::Args),
    /// The bare handler, as a process of its own
    #[command(hide = true)]
    Bare(bare::Args),
}

#[tokio::main]
async fn main() -> ExitCode {
    let done = match Cli::parse().benchmark {
        Some(benchmark) => run(benchmark).await,
        None => run_all().await,
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn run(benchmark: Benchmark) -> anyhow::Result<()> {
    match benchmark {
        Benchmark::Verify(load) => gateway::verify(load).await?.print(),
        Benchmark::Feed(load) => gateway::feed(load).await?.print(),
        Benchmark::Sale(args) => sale::run(args).await?.print(),
        Benchmark::Memory(args) => memory::run(args).await?.print(),
        Benchmark::Start(args) => start::run(args).await?.print(),
        Benchmark::Bare(args) => bare::run(args).await?,
    }
    Ok(())
}

async fn run_all() -> anyhow::Result<()> {
    gateway::verify(load::Load::default()).await?.print();
    gateway::feed(load::Load::default()).await?.print();
    sale::run(sale::Args::default()).await?.print();
    memory::run(memory::Args::default()).await?.print();
    start::run(start::Args::default()).await?.print();
    Ok(())
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_command_line_is_consistent_and_teaches() {
        Cli::command().debug_assert();
        let help = Cli::command().render_long_help().to_string();
        assert!(help.contains("cargo xtask bench") && !help.contains("\n  bare "), "{help}");
    }
}
