//! What a shop keeps in mind, and what may become of it. Pure.

mod job;
mod offer;
mod permission;
mod state;

pub(crate) use job::{Job, Problem, retry_delay};
pub(crate) use offer::Offer;
pub(crate) use permission::in_plain_words;
pub(crate) use state::{Checkout, Issued, Marketplace, State, Taken};
