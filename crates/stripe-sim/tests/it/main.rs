//! The stand-in from outside: over HTTP, as Mercato meets it.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod api;
mod control;
mod page;
mod persistence;
mod support;
mod webhooks;
