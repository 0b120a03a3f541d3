//! The project's chores: `cargo xtask test`, `lint`, `interop`, `bench`, `chaos`, `fuzz`, `servers`, `up`.

mod bench;
mod chaos;
mod fuzz;
mod interop;
mod kubernetes;
mod lint;
mod python;
mod rules;
mod run;
mod servers;
mod test;
mod tools;
mod up;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

#[derive(Parser)]
#[command(name = "cargo xtask", about = "The chores of this project", arg_required_else_help = true)]
struct Cli {
    #[command(subcommand)]
    chore: Chore,
}

#[derive(Subcommand)]
enum Chore {
    /// Start PostgreSQL, NATS and Valkey, build everything, run every test
    #[command(long_about = test::HELP)]
    Test(test::Args),
    /// Check format, clippy, dependencies, and the rules that keep the house in shape
    #[command(long_about = lint::HELP)]
    Lint(lint::Args),
    /// Check against other languages' own libraries, and in a browser
    #[command(long_about = interop::HELP)]
    Interop(interop::Args),
    /// Measure the release build
    #[command(long_about = bench::HELP)]
    Bench(bench::Args),
    /// Let things go wrong for ten minutes while shops buy, and judge what came of it
    #[command(long_about = chaos::HELP)]
    Chaos(chaos::Args),
    /// Search for bytes that break a reader of strangers' bytes
    #[command(long_about = fuzz::HELP)]
    Fuzz(fuzz::Args),
    /// Hold the test servers for other commands
    #[command(long_about = servers::HELP)]
    Servers(servers::Args),
    /// Run the five services on real servers, with a shop to click in
    #[command(long_about = up::HELP)]
    Up(up::Args),
}

#[tokio::main]
async fn main() -> ExitCode {
    let chore = Cli::parse().chore;
    let done = match chore {
        // It ends what it runs in order.
        Chore::Up(args) => up::run(args).await,
        chore => tokio::select! {
            done = perform(chore) => done,
            () = run::interrupted() => Err(anyhow::anyhow!("interrupted")),
        },
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn perform(chore: Chore) -> anyhow::Result<()> {
    match chore {
        Chore::Test(args) => test::run(args).await,
        Chore::Lint(args) => lint::run(args).await,
        Chore::Interop(args) => interop::run(args).await,
        Chore::Bench(args) => bench::run(args).await,
        Chore::Chaos(args) => chaos::run(args).await,
        Chore::Fuzz(args) => fuzz::run(args).await,
        Chore::Servers(args) => servers::run(args).await,
        Chore::Up(args) => up::run(args).await,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_command_line_is_consistent_and_each_chore_explains_itself() {
        let mut command = Cli::command();
        command.build();
        command.clone().debug_assert();
        for chore in command.get_subcommands().filter(|chore| chore.get_name() != "help") {
            assert!(
                chore.get_long_about().is_some_and(|text| text.to_string().len() > 200),
                "{}",
                chore.get_name()
            );
        }
    }
}
