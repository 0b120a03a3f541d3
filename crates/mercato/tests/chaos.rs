//! The short form of `cargo xtask chaos`: seconds of faults against the whole marketplace, each seed by its name.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use chaos::{plan::Form, stage};

/// What each seed protects. One that has failed stays here, by the name of what broke.
const SEEDS: [(&str, u64); 1] = [("every sale has one licence and is told by the rules", 1)];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_each_seed_protects_holds() {
    for (protects, seed) in SEEDS {
        let folder = stage::folder(&format!("test-{seed}")).unwrap();
        let report = chaos::run(seed, &Form::short(), &folder).await;
        let report = report.unwrap_or_else(|error| panic!("{protects} (seed {seed}): {error:#}"));
        assert!(report.holds(), "{protects}; logs: {}\n{report}", folder.display());
        assert!(report.verdict.sales > 50 && report.faults.len() >= 10, "{report}");
    }
}
