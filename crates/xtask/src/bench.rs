//! `cargo xtask bench`.

use anyhow::Context as _;
use testkit::paths;

use crate::{
    run::{cargo, program, succeed},
    servers,
};

pub(crate) const HELP: &str = "\
Builds everything in release mode, starts PostgreSQL, NATS and Valkey, and runs one benchmark, or all of them.

Each benchmark prints as its last line one JSON object: its name, our figure, the reference's figure of the same run,
and their ratio. The reference is the least program that could do the same work, under the same load.

    cargo xtask bench            # all
    cargo xtask bench verify     # one
    cargo xtask bench dispatch --deliveries 5000 --rounds 1    # with its own options

Close other programs first: two figures of one run compare well, figures of different machines do not.";

#[derive(clap::Args)]
pub(crate) struct Args {
    /// The benchmark's name; all of them without it
    name: Option<String>,
    /// Options of that benchmark, as `bench <name> --help` tells them
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    options: Vec<String>,
}

pub(crate) async fn run(args: Args) -> anyhow::Result<()> {
    // The services too: `sale` runs them as processes.
    succeed(cargo(&["build", "--release", "--workspace", "--bins"])).await?;
    let bench = paths::target_dir()?.join("release/bench");
    let servers = servers::start().await?;
    let mut command = program(&bench, &[]);
    command.args(&args.name).args(&args.options).envs(servers.env());
    let done = succeed(command).await.context("the benchmark failed");
    servers.stop().await?;
    done
}
