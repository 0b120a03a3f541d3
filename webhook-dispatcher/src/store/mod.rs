//! The dispatcher's rows: endpoints, messages, deliveries, attempts, serials, replays.

pub mod attempt;
pub mod backlog;
mod bulk;
pub mod delivery;
pub mod endpoint;
pub mod lease;
pub mod list;
pub mod mark;
pub mod message;
pub mod migrations;
pub mod page;
pub mod prune;
pub mod replay;
pub mod serial;
pub mod stats;

#[cfg(test)]
mod tests;
