//! The dispatcher's rows: endpoints, messages, deliveries, attempts.

pub mod attempt;
pub mod delivery;
pub mod endpoint;
pub mod lease;
pub mod message;
pub mod migrations;
