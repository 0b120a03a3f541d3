//! webhook-dispatcher from outside: events on the bus, a shop or an app that may misbehave, operators' calls; on both stores and
//! both buses.
#![allow(clippy::unwrap_used, clippy::expect_used)]

/// Runs the test functions on SQLite with the embedded bus, and on PostgreSQL with `JetStream`.
macro_rules! over_both {
    ($($test:ident),+ $(,)?) => {
        mod embedded {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $test() {
                super::$test(crate::harness::Dispatcher::start(crate::harness::On::Embedded).await).await;
            })+
        }
        mod servers {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $test() {
                super::$test(crate::harness::Dispatcher::start(crate::harness::On::Servers).await).await;
            })+
        }
    };
}

mod apps;
mod callbacks;
mod delivering;
mod endpoints;
mod events;
mod failing;
mod fanout;
mod first_attempts;
mod harness;
mod health;
mod hostile;
mod leases;
mod lists;
mod metrics;
mod moves;
mod operators;
mod outage;
mod pruning;
mod replays;
mod replays_killed;
mod serials;
mod settings;
mod tracing;
mod verification;
