//! Readers that live in the services. A service's domain is pure (`cargo xtask lint` holds it), so each is compiled here
//! from its own file, without the store, the bus and the servers around it: a fuzzer builds in a minute, not in ten.
#![allow(dead_code, unreachable_pub, reason = "a service uses more of each than its readers")]

#[path = "../../../gateway/src/domain/installed.rs"]
pub(crate) mod installed;

#[path = "../../../gateway/src/domain/range.rs"]
pub(crate) mod range;

#[path = "../../../webhook-dispatcher/src/domain/address.rs"]
pub(crate) mod address;

#[path = "../../../webhook-dispatcher/src/domain/retry_after.rs"]
pub(crate) mod retry_after;

#[path = "../../../webhook-dispatcher/src/domain/target.rs"]
pub(crate) mod target;

#[path = "../../../crates/stripe-sim/src/delivery/signature.rs"]
mod stripe;

/// How the stand-in for Stripe signs: written apart from the code that verifies.
pub(crate) fn stripe_signature(secret: &str, at: i64, body: &[u8]) -> String {
    stripe::header(secret, at, body)
}
