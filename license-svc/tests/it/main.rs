//! license-svc over real stores and real buses: SQLite with the embedded bus, `PostgreSQL` with `JetStream`.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod access;
mod harness;
mod installs;
mod instances;
mod licenses;
mod metrics;
mod sales;
mod silent;
mod updates;
mod verify;
