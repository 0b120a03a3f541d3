//! `dispatch-latency` and `dispatch-isolation`: at a fixed rate, whether earlier messages are delivered or not.

use std::{ops::Range, time::Duration};

use anyhow::ensure;
use serde_json::{Map, Value};
use tokio::time::Instant;

use super::{
    bus::Published,
    events::Form,
    ledger::Ledger,
    stage::{Setup, Stage},
    usage::Watch,
};
use crate::report::{Latencies, Report};

const LIMIT: Duration = Duration::from_mins(2);
/// What is asked of the dispatcher, from publish to receipt.
const P50_LIMIT_MS: f64 = 3.0;
const P99_LIMIT_MS: f64 = 7.0;

#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Latency {
    /// Messages per second
    #[arg(long, default_value_t = 200)]
    rate: usize,
    /// Seconds for which they come
    #[arg(long, default_value_t = 30)]
    seconds: usize,
    /// Endpoints that they are spread over
    #[arg(long, default_value_t = 1)]
    endpoints: usize,
    #[command(flatten)]
    setup: Setup,
}

impl Default for Latency {
    fn default() -> Self {
        Self { rate: 200, seconds: 30, endpoints: 1, setup: Setup::default() }
    }
}

#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Isolation {
    /// Endpoints that messages are spread over
    #[arg(long, default_value_t = 200)]
    endpoints: usize,
    /// Those of them that take requests and never answer
    #[arg(long, default_value_t = 100)]
    hanging: usize,
    /// Messages per second over all endpoints
    #[arg(long, default_value_t = 200)]
    rate: usize,
    /// Seconds for which they come, with and without anybody hanging
    #[arg(long, default_value_t = 30)]
    seconds: usize,
    /// Seconds that the last of the healthy ones are waited for
    #[arg(long, default_value_t = 60)]
    patience: u64,
    #[command(flatten)]
    setup: Setup,
}

impl Default for Isolation {
    fn default() -> Self {
        let setup = Setup::default();
        Self { endpoints: 200, hanging: 100, rate: 200, seconds: 30, patience: 60, setup }
    }
}

/// From the moment at which a message is due to be published until its shop has it. Publishing, which waits for the disk of
/// NATS, and what comes after it are told apart.
pub(crate) async fn latency(args: &Latency) -> anyhow::Result<Report> {
    ensure!(args.rate > 0 && args.seconds > 0 && args.endpoints > 0, "nothing to measure");
    let mut stage = Stage::open(args.endpoints, &args.setup).await?;
    let paced = at_rate(&mut stage, args.rate, args.seconds).await?;
    paced.ledger.wait(LIMIT).await?;
    stage.store.wait_delivered(stage.made(), LIMIT).await?;
    stage.store.check_all_delivered(stage.made()).await?;
    let latencies = paced.latencies(|_| true);
    let publishing = Latencies::new(paced.published.iter().map(|one| one.stored - one.due).collect());
    let after = paced.after_publishing();
    let report = Report::new(
        "dispatch-latency",
        "ms at the 99th percentile",
        latencies.percentile_ms(99),
        P99_LIMIT_MS,
    );
    Ok(report
        .with_latencies(&latencies)
        .with("p50_limit_ms", P50_LIMIT_MS)
        .with("publish_p50_ms", publishing.percentile_ms(50))
        .with("publish_p99_ms", publishing.percentile_ms(99))
        .with("receipt_after_publish_p50_ms", after.percentile_ms(50))
        .with("receipt_after_publish_p99_ms", after.percentile_ms(99))
        .with("rate", args.rate)
        .with("seconds", args.seconds)
        .with("endpoints", args.endpoints)
        .with("repeated", paced.ledger.extra()?.repeated)
        .with("checked", stage.check_sample(&paced.ledger)?)
        .with("cores", paced.cores))
}

/// The healthy endpoints' latency while others hang, beside the same while nobody does.
pub(crate) async fn isolation(args: &Isolation) -> anyhow::Result<Report> {
    ensure!(args.rate > 0 && args.seconds > 0 && args.hanging < args.endpoints, "nothing to measure");
    let mut stage = Stage::open(args.endpoints, &args.setup).await?;
    let is_healthy = |shop: usize| !hangs(shop, args.hanging, args.endpoints);
    let calm = at_rate(&mut stage, args.rate, args.seconds).await?;
    calm.ledger.wait(LIMIT).await?;
    let before = calm.latencies(is_healthy);
    stage.receiver.hang(|shop| !is_healthy(shop));
    let rough = at_rate(&mut stage, args.rate, args.seconds).await?;
    let late = rough.wait_for(is_healthy, Duration::from_secs(args.patience)).await;
    let after = rough.latencies(is_healthy);
    let checked = stage.check_sample(&calm.ledger)? + stage.check_sample(&rough.ledger)?;
    let (ours, reference) = (after.percentile_ms(99), before.percentile_ms(99));
    Ok(Report::new("dispatch-isolation", "ms at the healthy ones' 99th percentile", ours, reference)
        .with("p50_ms", after.percentile_ms(50))
        .with("reference_p50_ms", before.percentile_ms(50))
        .with("endpoints", args.endpoints)
        .with("hanging", args.hanging)
        .with("rate", args.rate)
        .with("seconds", args.seconds)
        .with("not_told_in_time", late)
        .with("repeated", rough.ledger.extra()?.repeated)
        .with("checked", checked)
        .with("cores", rough.cores))
}

/// Spreads the hanging ones evenly among all.
fn hangs(shop: usize, hanging: usize, endpoints: usize) -> bool {
    shop * hanging % endpoints < hanging
}

/// Messages that were published at a rate.
struct Paced {
    numbers: Range<usize>,
    shops: usize,
    published: Vec<Published>,
    ledger: std::sync::Arc<Ledger>,
    cores: Map<String, Value>,
}

async fn at_rate(stage: &mut Stage, rate: usize, seconds: usize) -> anyhow::Result<Paced> {
    let (numbers, messages) = stage.make(Form::Each, rate * seconds)?;
    let ledger = stage.receiver.note_in(Ledger::new(numbers.clone(), numbers.len()));
    let watch = Watch::start(stage.processes())?;
    let published = stage.bus.publish_at_rate(&messages, rate).await?;
    Ok(Paced { numbers, shops: stage.shops.len(), published, ledger, cores: watch.cores()? })
}

impl Paced {
    /// The latencies of these shops; of what has not come what it has waited for until now.
    fn latencies(&self, shops: impl Fn(usize) -> bool) -> Latencies {
        let now = Instant::now();
        let latency = |(number, due)| self.ledger.at(number).unwrap_or(now).saturating_duration_since(due);
        Latencies::new(self.of(shops).map(latency).collect())
    }

    /// From the bus's word that a message is stored to its receipt. What came before that word came at once.
    fn after_publishing(&self) -> Latencies {
        let now = Instant::now();
        let told = self.numbers.clone().map(|number| self.ledger.at(number).unwrap_or(now));
        let after = told.zip(&self.published).map(|(told, one)| told.saturating_duration_since(one.stored));
        Latencies::new(after.collect())
    }

    /// Waits until these shops have been told of all; how much has not come when patience ends.
    async fn wait_for(&self, shops: impl Fn(usize) -> bool, patience: Duration) -> usize {
        let missing = || self.of(&shops).filter(|(number, _)| self.ledger.at(*number).is_none()).count();
        let all = testkit::eventually("the healthy ones", patience, async || (missing() == 0).then_some(()));
        // That some are late is what this shape is there to find out.
        all.await.ok();
        missing()
    }

    /// The numbers of these shops, and when they were due. One shop comes after the other.
    fn of(&self, shops: impl Fn(usize) -> bool) -> impl Iterator<Item = (usize, Instant)> {
        let due = self.published.iter().map(|one| one.due);
        let all = self.numbers.clone().zip(due).enumerate();
        all.filter(move |(place, _)| shops(place % self.shops)).map(|(_, one)| one)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::sync::Arc;

    use http::HeaderValue;

    use super::*;

    fn paced(came: &[usize]) -> Paced {
        let ledger = Ledger::new(10..14, 4);
        for number in came {
            ledger.note(Some(*number), Some(&HeaderValue::from_static("dly_1")));
        }
        let due = Instant::now() - Duration::from_secs(5);
        let published = vec![Published { due, stored: due }; 4];
        Paced { numbers: 10..14, shops: 2, published, ledger: Arc::new(ledger), cores: Map::new() }
    }

    #[test]
    fn exactly_so_many_hang_and_not_all_in_a_row() {
        for (hanging, endpoints) in [(100, 200), (1, 3), (0, 5), (199, 200)] {
            let which: Vec<_> = (0..endpoints).map(|shop| hangs(shop, hanging, endpoints)).collect();
            assert_eq!(which.iter().filter(|one| **one).count(), hanging);
        }
        assert!(hangs(0, 100, 200) && !hangs(1, 100, 200) && hangs(2, 100, 200));
    }

    #[tokio::test]
    async fn what_has_not_come_is_counted_and_has_waited_until_now() {
        // The first shop has 10 and 12, the second 11 and 13.
        let some = paced(&[10, 12, 11]);
        assert_eq!(some.wait_for(|shop| shop == 0, Duration::from_millis(30)).await, 0);
        assert_eq!(some.wait_for(|shop| shop == 1, Duration::from_millis(30)).await, 1);
        assert!(some.latencies(|shop| shop == 1).percentile_ms(99) >= 5_000.0);
        assert_eq!(some.of(|_| true).count(), 4);
    }
}
