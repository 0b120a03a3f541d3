//! The dispatcher's rows: endpoints, messages, deliveries, attempts, serials.

pub mod attempt;
pub mod backlog;
mod bulk;
pub mod delivery;
pub mod endpoint;
pub mod lease;
pub mod message;
pub mod migrations;
pub mod serial;

#[cfg(test)]
mod tests;
