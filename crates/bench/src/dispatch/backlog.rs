//! `dispatch-backlog`: what a great many pending deliveries cost.

use std::time::Duration;

use anyhow::{Context as _, ensure};
use tokio::time::{Instant, sleep};

use super::{
    burst::burst,
    events::Form,
    ledger::Ledger,
    stage::{Setup, Stage},
    usage::{Watch, peak_mib},
};
use crate::{
    load::count,
    report::{Report, rounded},
};

#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Args {
    /// Deliveries that are pending and due, each with its own message
    #[arg(long, default_value_t = 1_000_000)]
    pending: usize,
    /// Endpoints that they are spread over
    #[arg(long, default_value_t = 100)]
    endpoints: usize,
    /// Seconds for which the dispatcher works on them
    #[arg(long, default_value_t = 20)]
    seconds: u64,
    /// Messages from the bus that the memory without a backlog is measured with
    #[arg(long, default_value_t = 5_000)]
    messages: usize,
    #[command(flatten)]
    setup: Setup,
}

impl Default for Args {
    fn default() -> Self {
        Self { pending: 1_000_000, endpoints: 100, seconds: 20, messages: 5_000, setup: Setup::default() }
    }
}

/// The most memory that a dispatcher takes which starts on a backlog, beside one that had only the bus to serve; and
/// how fast the backlog goes away.
pub(crate) async fn run(args: Args) -> anyhow::Result<Report> {
    ensure!(args.pending > 0 && args.endpoints > 0 && args.messages > 0, "nothing to measure");
    let mut stage = Stage::open(args.endpoints, &args.setup).await?;
    burst(&mut stage, Form::Each, args.messages).await?;
    let without = peak(&stage)?;
    stage.stop_dispatchers().await?;
    eprintln!("writing {} pending deliveries …", args.pending);
    stage.store.fill(args.pending).await?;
    let before = stage.store.delivered().await?;
    let ledger = stage.receiver.note_in(Ledger::new(0..0, 0));
    let began = Instant::now();
    stage.start_dispatcher().await?;
    let watch = Watch::start(stage.processes())?;
    // The time is what is measured: how much goes away in it.
    sleep(Duration::from_secs(args.seconds)).await;
    let (cores, posted) = (watch.cores()?, ledger.extra()?.strange);
    let settled = stage.store.delivered().await? - before;
    let per_second = count(settled) / began.elapsed().as_secs_f64();
    ensure!(settled > 0, "nothing of the backlog was delivered");
    Ok(Report::new("dispatch-backlog", "MiB resident at most", peak(&stage)?, without)
        .with("settled_per_second", rounded(per_second))
        .with("pending", args.pending)
        .with("settled", settled)
        .with("posted", posted)
        .with("endpoints", args.endpoints)
        .with("cores", cores))
}

fn peak(stage: &Stage) -> anyhow::Result<f64> {
    peak_mib(stage.dispatcher_id().context("no dispatcher runs")?)
}
