//! A shop against a marketplace that speaks contracts.md section 2, over real HTTP.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod marketplace;
mod registry;
mod release;
mod shop;

mod buying;
mod client;
mod decisions;
mod hosted;
mod installing;
mod licences;
mod local;
mod pages;
mod static_apps;
mod webhooks;
