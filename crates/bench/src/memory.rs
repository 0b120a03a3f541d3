//! `memory`.

use std::time::Duration;

use anyhow::Context as _;
use serde_json::{Map, Value};
use testkit::market::{Market, Options, Topology};

use crate::report::{Report, rounded};

/// What an idle service may take.
const BOUND_MIB: f64 = 40.0;

#[derive(Debug, Clone, Copy, clap::Args)]
pub(crate) struct Args {
    /// Seconds to wait after the start: what that needed is given back by then
    #[arg(long, default_value_t = 10)]
    idle_seconds: u64,
}

impl Default for Args {
    fn default() -> Self {
        Self { idle_seconds: 10 }
    }
}

/// The resident memory of each service that has started and had nothing to do.
pub(crate) async fn run(args: Args) -> anyhow::Result<Report> {
    let market = Market::start(Topology::FiveProcesses, Options::default()).await?;
    tokio::time::sleep(Duration::from_secs(args.idle_seconds)).await;
    let mut each = Map::new();
    let mut most: f64 = 0.0;
    for (name, kib) in market.resident_kib()? {
        let mib = f64::from(u32::try_from(kib).context("more than 4 TiB")?) / 1024.0;
        eprintln!("{name}: {mib:.1} MiB");
        each.insert(name, Value::from(rounded(mib)));
        most = most.max(mib);
    }
    Ok(Report::new("memory", "MiB of the largest", most, BOUND_MIB).with("services", each))
}
