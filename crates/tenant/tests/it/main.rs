//! A shop against a marketplace that speaks contracts.md section 2, over real HTTP.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod marketplace;
mod shop;

mod buying;
mod installing;
mod licences;
mod local;
mod pages;
mod webhooks;
