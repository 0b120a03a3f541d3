//! What a shop keeps in mind, and what may become of it. Pure.

mod job;
mod note;
mod offer;
mod permission;
mod state;

pub(crate) use job::{Job, Problem, Wish, retry_delay};
pub(crate) use note::{HostedNote, find_note};
pub(crate) use offer::Offer;
pub(crate) use permission::{added, in_plain_words};
pub(crate) use state::{Checkout, Issued, Marketplace, State, Taken};
