//! A sale and all that surrounds it, by HTTP alone, over both topologies: one process on embedded parts, and five
//! processes on PostgreSQL, NATS and Valkey.
//!
//! Each module is an area with one marketplace for each topology. Its scenarios run in it side by side, each with a
//! vendor and shops of its own, and are named after what a person would say broke.

#![allow(clippy::unwrap_used, clippy::expect_used)]

#[macro_use]
mod stage;

mod app;
mod feed;
mod further_events;
mod hosted_installs;
mod hosted_life;
mod hosted_requests;
mod hosted_versions;
mod limits;
mod operators;
mod operators_delivery;
mod packages;
mod payments;
mod requests;
mod sale;
mod seats;
mod shops;
mod stripe_events;
mod verified_shops;
