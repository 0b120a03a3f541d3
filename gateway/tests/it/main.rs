//! The gateway's integration tests.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod harness;
mod hosted;
mod installations;
mod introspect;
mod keys;
mod openapi;
mod requests;
mod vendor;
mod verify;
