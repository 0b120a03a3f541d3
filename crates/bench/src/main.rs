//! The benchmarks of this project.

mod bare;
mod dispatch;
mod gateway;
mod lists;
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

`dispatch` and its like start servers of their own. Run directly, the others need a PostgreSQL in MERCATO_TEST_DATABASE_URL, and the two others that tests need.";

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
    /// A burst from JetStream to one endpoint, beside a loop that only posts signed webhooks
    Dispatch(dispatch::Burst),
    /// The same of messages that are told to a hundred endpoints each
    #[command(name = "dispatch-100")]
    DispatchAll(dispatch::Burst),
    /// The same of messages that are told to one of a hundred endpoints each
    DispatchSpread(dispatch::Burst),
    /// From publish to receipt at a fixed rate, beside the 7 ms that 99 of 100 may take at most
    DispatchLatency(dispatch::Latency),
    /// The healthy endpoints' latency while others hang, beside the same while nobody does
    DispatchIsolation(dispatch::Isolation),
    /// Two dispatchers beside one
    DispatchTwo(dispatch::Burst),
    /// A dispatcher's memory with a backlog in its store, beside the same without
    DispatchBacklog(dispatch::Backlog),
    /// What operators list of a store that holds a great deal, beside counting it exactly; with the plans
    Lists(lists::Args),
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
        Benchmark::Dispatch(args) => dispatch::one_to_one(&args).await?.print(),
        Benchmark::DispatchAll(args) => dispatch::one_to_all(&args).await?.print(),
        Benchmark::DispatchSpread(args) => dispatch::spread(&args).await?.print(),
        Benchmark::DispatchLatency(args) => dispatch::latency(&args).await?.print(),
        Benchmark::DispatchIsolation(args) => dispatch::isolation(&args).await?.print(),
        Benchmark::DispatchTwo(args) => dispatch::two(&args).await?.print(),
        Benchmark::DispatchBacklog(args) => dispatch::backlog(args).await?.print(),
        Benchmark::Lists(args) => lists::run(args).await?.print(),
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
    dispatch::one_to_one(&dispatch::Burst::default()).await?.print();
    dispatch::one_to_all(&dispatch::Burst::default()).await?.print();
    dispatch::spread(&dispatch::Burst::default()).await?.print();
    dispatch::latency(&dispatch::Latency::default()).await?.print();
    dispatch::isolation(&dispatch::Isolation::default()).await?.print();
    dispatch::two(&dispatch::Burst::default()).await?.print();
    dispatch::backlog(dispatch::Backlog::default()).await?.print();
    lists::run(lists::Args::default()).await?.print();
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
