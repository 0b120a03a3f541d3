//! `dispatch`, `dispatch-100`, `dispatch-spread` and `dispatch-two`: a burst at full speed.
//!
//! The burst is on JetStream, stored and acknowledged, before a dispatcher gets any of it: NATS holds it back and then
//! lets it loose. So the dispatcher is measured and not the publisher, whose every message is synced to the disk, and
//! the reference needs no bus either. What the dispatcher itself costs NATS (handing out, acknowledging) is measured.

use std::time::Duration;

use anyhow::{Context as _, ensure};
use serde_json::{Map, Value};
use tokio::time::Instant;

use super::{
    events::Form,
    ledger::Ledger,
    reference::bare_loop,
    stage::{Setup, Stage},
    usage::Watch,
};
use crate::{
    load::count,
    report::{Latencies, Report, median, rounded},
};

const LIMIT: Duration = Duration::from_mins(10);
const SPREAD: usize = 100;

#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Args {
    /// Deliveries of each round
    #[arg(long, default_value_t = 20_000)]
    deliveries: usize,
    /// Rounds, alternating with the reference's; the median counts
    #[arg(long, visible_alias = "runs", default_value_t = 3)]
    rounds: usize,
    /// Connections of the bare loop; at least one for each endpoint
    #[arg(long, default_value_t = 64)]
    connections: usize,
    #[command(flatten)]
    setup: Setup,
}

impl Default for Args {
    fn default() -> Self {
        Self { deliveries: 20_000, rounds: 3, connections: 64, setup: Setup::default() }
    }
}

/// Each message makes one delivery, all to one endpoint.
pub(crate) async fn one_to_one(args: &Args) -> anyhow::Result<Report> {
    beside_the_bare_loop("dispatch", Form::Each, 1, args).await
}

/// Each message makes a hundred deliveries, one for each endpoint.
pub(crate) async fn one_to_all(args: &Args) -> anyhow::Result<Report> {
    ensure!(args.deliveries.is_multiple_of(SPREAD), "the deliveries must be a multiple of {SPREAD}");
    beside_the_bare_loop("dispatch-100", Form::All, SPREAD, args).await
}

/// Each message makes one delivery, spread over a hundred endpoints.
pub(crate) async fn spread(args: &Args) -> anyhow::Result<Report> {
    beside_the_bare_loop("dispatch-spread", Form::Each, SPREAD, args).await
}

async fn beside_the_bare_loop(
    name: &'static str,
    form: Form,
    shops: usize,
    args: &Args,
) -> anyhow::Result<Report> {
    check(args)?;
    let mut stage = Stage::open(shops, &args.setup).await?;
    if form == Form::All {
        stage.subscribe().await?;
    }
    let (mut bursts, mut reference) = (Vec::new(), Vec::new());
    for round in 1..=args.rounds {
        let bare = reference_round(&mut stage, form, args).await?;
        let burst = burst(&mut stage, form, args.deliveries).await?;
        eprintln!(
            "{name} {round}: {:.0}/s, bare {bare:.0}/s, ratio {:.3}; published {:.0}/s; cores {}",
            burst.per_second,
            burst.per_second / bare,
            burst.published_per_second,
            Value::Object(burst.cores.clone())
        );
        reference.push(bare);
        bursts.push(burst);
    }
    let rates = |of: fn(&Burst) -> f64| median(bursts.iter().map(of).collect());
    let ratios: Vec<_> =
        bursts.iter().zip(&reference).map(|(one, bare)| rounded(one.per_second / bare)).collect();
    let report = Report::new(name, "deliveries/s", rates(|one| one.per_second), median(reference));
    let report = report.with("ratios", ratios);
    Ok(describe(report, &bursts, shops, args).with("connections", args.connections))
}

/// Two dispatchers beside one, over a hundred endpoints.
pub(crate) async fn two(args: &Args) -> anyhow::Result<Report> {
    check(args)?;
    let mut stage = Stage::open(SPREAD, &args.setup).await?;
    let one = bursts(&mut stage, "one dispatcher", args).await?;
    stage.start_dispatcher().await?;
    let two = bursts(&mut stage, "two dispatchers", args).await?;
    let rate = |bursts: &[Burst]| median(bursts.iter().map(|one| one.per_second).collect());
    let report = Report::new("dispatch-two", "deliveries/s", rate(&two), rate(&one));
    Ok(describe(report, &two, SPREAD, args))
}

async fn bursts(stage: &mut Stage, what: &str, args: &Args) -> anyhow::Result<Vec<Burst>> {
    let mut bursts = Vec::with_capacity(args.rounds);
    for round in 1..=args.rounds {
        let done = burst(stage, Form::Each, args.deliveries).await?;
        let cores = Value::Object(done.cores.clone());
        eprintln!("dispatch-two {round}, {what}: {:.0}/s; cores {cores}", done.per_second);
        bursts.push(done);
    }
    Ok(bursts)
}

fn check(args: &Args) -> anyhow::Result<()> {
    ensure!(args.deliveries > 0 && args.rounds > 0 && args.connections > 0, "nothing to measure");
    Ok(())
}

/// What a burst came to.
pub(super) struct Burst {
    per_second: f64,
    /// How fast it was put on the bus before.
    published_per_second: f64,
    /// From the moment it was let loose.
    latencies: Latencies,
    repeated: usize,
    checked: usize,
    cores: Map<String, Value>,
}

/// Deliveries per second, from the moment at which the first message may be taken until the receivers have counted
/// all and the store has recorded all.
pub(super) async fn burst(stage: &mut Stage, form: Form, deliveries: usize) -> anyhow::Result<Burst> {
    let (numbers, messages) = stage.make(form, deliveries)?;
    stage.bus.hold_back(form.subject()).await?;
    let (last, ahead) = messages.split_last().context("an empty burst")?;
    let published_per_second = stage.bus.publish_all(ahead).await?;
    let ledger = stage.receiver.note_in(Ledger::new(numbers.clone(), numbers.len()));
    let watch = Watch::start(stage.processes())?;
    let began = Instant::now();
    stage.bus.let_loose(form.subject()).await?;
    // A resumed consumer looks at its stream when something happens there: without this, at its next heartbeat.
    stage.bus.publish_all(std::slice::from_ref(last)).await?;
    ledger.wait(LIMIT).await?;
    stage.store.wait_delivered(stage.made(), LIMIT).await?;
    let per_second = count(numbers.len()) / began.elapsed().as_secs_f64();
    let cores = watch.cores()?;
    stage.store.check_all_delivered(stage.made()).await?;
    let told = numbers.filter_map(|number| ledger.at(number)).map(|at| at.saturating_duration_since(began));
    Ok(Burst {
        per_second,
        published_per_second,
        latencies: Latencies::new(told.collect()),
        repeated: ledger.extra()?.repeated,
        checked: stage.check_sample(&ledger)?,
        cores,
    })
}

/// The same numbers that the next burst will have, so that the bytes are the same.
async fn reference_round(stage: &mut Stage, form: Form, args: &Args) -> anyhow::Result<f64> {
    let numbers = stage.made()..stage.made() + args.deliveries;
    let ledger = stage.receiver.note_in(Ledger::new(numbers.clone(), numbers.len()));
    let per_second = bare_loop(&stage.shops, form, numbers, args.connections, &stage.clock).await?;
    ledger.wait(LIMIT).await?;
    stage.check_sample(&ledger)?;
    Ok(per_second)
}

fn describe(report: Report, bursts: &[Burst], shops: usize, args: &Args) -> Report {
    let middle = |of: &dyn Fn(&Burst) -> f64| rounded(median(bursts.iter().map(of).collect()));
    report
        .with("first_ms", middle(&|one| one.latencies.percentile_ms(0)))
        .with("p50_ms", middle(&|one| one.latencies.percentile_ms(50)))
        .with("p99_ms", middle(&|one| one.latencies.percentile_ms(99)))
        .with("deliveries", args.deliveries)
        .with("endpoints", shops)
        .with("rounds", args.rounds)
        .with("repeated", bursts.iter().map(|one| one.repeated).sum::<usize>())
        .with("checked", bursts.iter().map(|one| one.checked).sum::<usize>())
        .with("published_per_second", middle(&|one| one.published_per_second))
        .with("cores", bursts.last().map(|one| one.cores.clone()).unwrap_or_default())
}
