//! Types and rules of delivering. Pure: no store, no network, no clock, no randomness.

pub mod address;
pub mod answer;
pub mod callback;
pub mod circuit;
pub mod cursor;
pub mod delivery;
pub mod endpoint;
pub mod event;
pub mod health;
pub mod kind;
pub mod rate;
pub mod reason;
pub mod replay;
pub mod retry_after;
pub mod schedule;
pub mod settings;
pub mod target;
pub mod verification;

#[cfg(test)]
mod table;
