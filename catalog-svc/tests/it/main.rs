//! catalog-svc over real stores and real buses: SQLite with the embedded bus, `PostgreSQL` with `JetStream`.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod earlier;
mod feed;
mod harness;
mod hosted;
mod hostile;
mod notice;
mod packages;
mod releases;
mod replicas;
mod s3;
mod secrets;
mod updates;
mod vendors;
