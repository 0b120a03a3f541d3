//! Stripe's rules, as far as Mercato meets them. Pure: no clock, no randomness, no IO.

pub mod checkout;
pub mod currency;
pub mod delivery;
pub mod error;
pub mod event;
pub mod ids;
pub mod objects;
pub mod page;
pub mod params;
pub mod payment;
pub mod session;
