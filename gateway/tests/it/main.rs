//! The gateway's integration tests.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod harness;
mod keys;
mod openapi;
mod requests;
mod verify;
