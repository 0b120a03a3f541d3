//! What a purchase is, and what news about its payment make of it. Pure: no IO, no clock, no chance.

pub mod order;
pub mod purchase;
