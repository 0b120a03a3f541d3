//! The command line.

use clap::{Parser, Subcommand};

use crate::{demo, keys, serve};

/// A self-hosted, federated app marketplace, in one process.
///
/// Without a command it runs the demo: a marketplace with a few apps, a stand-in for Stripe and a shop to click in.
#[derive(Debug, Parser)]
#[command(name = "mercato", version)]
pub struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, Subcommand)]
enum Command {
    Demo(demo::DemoArgs),
    Serve(serve::ServeArgs),
    Keys(keys::KeysArgs),
}

impl Cli {
    /// Does what was asked for.
    pub async fn run(self) -> anyhow::Result<()> {
        match self.command.unwrap_or_else(|| Command::Demo(demo::DemoArgs::default())) {
            Command::Demo(args) => demo::run(args).await,
            Command::Serve(args) => serve::run(args).await,
            Command::Keys(args) => keys::run(&args),
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }
}
