//! `start`.

use std::time::Duration;

use anyhow::{Context as _, ensure};
use testkit::{
    child::{Program, Signal},
    eventually, paths,
};
use tokio::time::Instant;

use crate::report::{Report, median};

/// Until the demo is ready.
const BOUND_SECONDS: f64 = 3.0;
const LIMIT: Duration = Duration::from_mins(1);

#[derive(Debug, Clone, Copy, clap::Args)]
pub(crate) struct Args {
    /// Starts on an empty folder; the median counts
    #[arg(long, default_value_t = 5)]
    rounds: usize,
}

impl Default for Args {
    fn default() -> Self {
        Self { rounds: 5 }
    }
}

/// From the start of `mercato demo` on an empty folder until it says that everything answers.
pub(crate) async fn run(args: Args) -> anyhow::Result<Report> {
    ensure!(args.rounds > 0, "at least one round");
    let (mut first, mut again) = (Vec::new(), Vec::new());
    for round in 1..=args.rounds {
        let folder = tempfile::tempdir()?;
        let data = folder.path().join("demo");
        first.push(demo(&data).await?);
        again.push(demo(&data).await?);
        eprintln!(
            "start {round}: {:.2} s, on the same folder again {:.2} s",
            first[round - 1],
            again[round - 1]
        );
    }
    let report = Report::new("start", "seconds", median(first), BOUND_SECONDS);
    Ok(report.with_measure("again_seconds", median(again)).with("rounds", args.rounds))
}

async fn demo(data: &std::path::Path) -> anyhow::Result<f64> {
    let folder = data.to_str().context("not a name in UTF-8")?;
    let log = data.with_extension("log");
    let program =
        Program::new(paths::binary("mercato")?).args(["demo", "--ephemeral", "--data", folder]).log(&log);
    let began = Instant::now();
    let mut running = program.spawn()?;
    // It writes this file when everything answers, and removes it at its end.
    let ready = eventually("the demo", LIMIT, || {
        let (there, ended) = (data.join("demo.json").is_file(), running.ended().unwrap_or_default());
        std::future::ready((there || ended.is_some()).then_some(ended))
    });
    if let Some(status) = ready.await? {
        let said = std::fs::read_to_string(log).unwrap_or_default();
        anyhow::bail!("the demo ended with {status}; it wrote:\n{said}");
    }
    let took = began.elapsed().as_secs_f64();
    running.signal(Signal::TERM)?;
    eventually("the demo's end", LIMIT, || std::future::ready(running.ended().transpose())).await??;
    Ok(took)
}
