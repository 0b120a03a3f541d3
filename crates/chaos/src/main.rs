//! `cargo xtask chaos` builds and runs this.

use std::{process::ExitCode, time::Duration};

use anyhow::Context as _;
use chaos::{plan::Form, stage};
use clap::Parser;

/// A seeded run of faults against the whole marketplace; `cargo xtask chaos --help` tells all.
#[derive(Parser)]
struct Cli {
    /// For how many minutes faults happen
    #[arg(long, default_value_t = 10)]
    minutes: u64,
    /// Decides every fault; by chance without it
    #[arg(long)]
    seed: Option<u64>,
    /// The form that the tests run: seconds instead of minutes
    #[arg(long, conflicts_with = "minutes")]
    short: bool,
    /// Print the plan of the seed and end
    #[arg(long)]
    plan: bool,
}

#[tokio::main]
async fn main() -> ExitCode {
    match run(Cli::parse()).await {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn run(cli: Cli) -> anyhow::Result<bool> {
    let seed = cli.seed.unwrap_or_else(by_chance);
    let form = if cli.short { Form::short() } else { Form::long(Duration::from_secs(60 * cli.minutes)) };
    println!("seed {seed}");
    if cli.plan {
        form.plan(seed).iter().for_each(|planned| println!("{planned}"));
        form.cases(seed).iter().for_each(|case| println!("{case}"));
        return Ok(true);
    }
    let folder = stage::folder(&format!("seed-{seed}"))?;
    let report = chaos::run(seed, &form, &folder).await;
    let report = report.with_context(|| {
        format!("seed {seed} ended before its verdict; what each process wrote: {}/*.log", folder.display())
    })?;
    println!("\n{report}");
    println!("logs and report: {}", folder.display());
    Ok(report.holds())
}

#[expect(clippy::disallowed_methods, reason = "a seed that nobody has given is chance")]
fn by_chance() -> u64 {
    u64::from(rand::random::<u32>())
}
