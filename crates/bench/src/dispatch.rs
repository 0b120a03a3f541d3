//! `dispatch` and its like: from a message on JetStream to a signed, recorded delivery.
//!
//! PostgreSQL, NATS, the dispatchers and the shops share this machine; nothing else runs.

mod backlog;
mod burst;
mod bus;
mod events;
mod ledger;
mod pace;
mod receiver;
mod reference;
mod shop;
mod stage;
mod store;
mod usage;

pub(crate) use backlog::{Args as Backlog, run as backlog};
pub(crate) use burst::{Args as Burst, one_to_all, one_to_one, spread, two};
pub(crate) use pace::{Isolation, Latency, isolation, latency};
