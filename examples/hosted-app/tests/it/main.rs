//! The sample app over HTTP, its command line, and the guide that goes with it.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod callbacks;
mod command;
mod guide;
mod harness;
mod http;
mod page;
mod slow;
mod vectors;
