//! A seeded run of faults against the whole marketplace on real servers, and the verdict on what it came to.
//!
//! A seed decides every fault: what happens, to whom, when, for how long. While shops buy and the operator suspends,
//! reinstates and revokes, processes and servers are killed and frozen, connections cut, stalled and slowed, Stripe's
//! events lost, repeated and mixed up, receivers turn bad, clocks are stepped. Then all is mended, and when nothing is on
//! its way any more, every sale must have one licence, which stands as the operator left it, and every licence and every
//! act must have been told.

pub mod acts;
pub mod dice;
pub mod fault;
pub mod inflict;
pub mod install;
pub mod judge;
pub mod load;
pub mod outlet;
pub mod plan;
pub mod report;
pub mod road;
pub mod settle;
pub mod stage;
pub mod standing;

use std::{collections::BTreeMap, path::Path, sync::Arc};

use anyhow::Context as _;
use tokio::time::Instant as Moment;

use crate::{
    acts::act_on_all,
    inflict::{Inflicted, inflict},
    install::install_all,
    judge::{Done, Verdict},
    load::sell,
    plan::Form,
    report::Report,
    settle::{Awaited, Observer},
    stage::Stage,
};

/// One run; the logs of all processes and the report lie in `folder`.
pub async fn run(seed: u64, form: &Form, folder: &Path) -> anyhow::Result<Report> {
    let stage = Arc::new(Stage::start(form, folder).await.context("the marketplace could not be started")?);
    let (plan, begun) = (form.plan(seed), Moment::now());
    let (faults, load, acts, (installs, refused)) = tokio::try_join!(
        inflict(&stage, &plan, begun),
        sell(&stage, form.sales(seed), form.length, begun),
        act_on_all(&stage, form.cases(seed), begun),
        install_all(&stage, form.length, begun),
    )?;
    let last = faults.iter().map(|one| one.undone_ms).max().unwrap_or(0);
    let observer = Observer::connect(&stage).await?;
    let awaited = Awaited { sales: i64::try_from(load.sales.len())?, acts: i64::try_from(acts.count())? };
    let unsettled = observer.settled(&stage, awaited, form.patience).await?;
    let settled_ms = begun.elapsed().as_millis();
    let surprises = [load.surprises, acts.surprises.clone(), refused].concat();
    let done = Done { sales: load.sales, acts, installs };
    let report = Report {
        seed,
        fault_seconds: seconds(last),
        recovery_seconds: seconds(settled_ms.saturating_sub(last)),
        kinds: kinds(&faults),
        clocks_were_stepped: stage.ground.has_clocks(),
        unsettled: unsettled.map(|what| what.to_string()),
        verdict: Verdict::reach(&stage, form, &done).await?,
        dead_messages: observer.dead_messages().await?,
        ended_by_themselves: stage.ended().await?.iter().map(ToString::to_string).collect(),
        surprises,
        faults,
    };
    report.write(folder)?;
    Ok(report)
}

fn kinds(faults: &[Inflicted]) -> BTreeMap<String, usize> {
    let mut kinds = BTreeMap::new();
    for one in faults {
        *kinds.entry(one.planned.fault.kind()).or_default() += 1;
    }
    kinds
}

#[expect(clippy::cast_precision_loss, reason = "minutes in milliseconds")]
fn seconds(millis: u128) -> f64 {
    millis as f64 / 1000.0
}
