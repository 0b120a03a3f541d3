//! The platform against real servers.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod bus;
