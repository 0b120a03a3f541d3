//! catalog-svc over real stores and real buses: SQLite with the embedded bus, `PostgreSQL` with `JetStream`.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod feed;
mod harness;
mod hostile;
mod packages;
mod releases;
mod replicas;
mod s3;
mod updates;
mod vendors;
