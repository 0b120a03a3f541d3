//! The short form of `cargo xtask chaos`: seconds of faults against the whole marketplace, each seed by the name of what
//! it protects.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use chaos::{plan::Form, stage};

/// A test for each. A seed that has failed stays here, by the name of what broke and with the fault that broke it: what it
/// broke by then is told in the commit that added it.
macro_rules! seeds {
    ($($name:ident = $seed:literal by $fault:literal),+ $(,)?) => {
        $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        async fn $name() {
            hold($seed, $fault).await;
        })+
    };
}

seeds! {
    a_store_that_breaks_off_in_the_middle_of_a_statement_is_away_and_no_fault_of_ours = 3 by "shut down PostgreSQL at once",
}

async fn hold(seed: u64, fault: &str) {
    let folder = stage::folder(&format!("test-{seed}")).unwrap();
    let report = chaos::run(seed, &Form::short(), &folder).await.unwrap();
    assert!(report.holds(), "seed {seed}; logs: {}\n{report}", folder.display());
    let verdict = &report.verdict;
    assert!(verdict.sales >= 50 && verdict.installs > 10 && verdict.acts >= 5, "{report}");
    assert!(report.faults.len() >= 10 && report.kinds.contains_key(fault), "{report}");
}
