//! The platform against real servers.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod bus;
mod calls;
mod limits;
mod outbox;
mod stores;
