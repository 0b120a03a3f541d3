//! Rows of the orders and of the tenants' idempotency keys.

pub(crate) mod keys;
pub(crate) mod migrations;
pub(crate) mod orders;
