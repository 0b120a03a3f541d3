//! A payment, and what may become of it.

use serde::{Deserialize, Serialize};

use super::ids::Mint;

/// The ids of a subscription that began with this session.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Recurring {
    /// `sub_…`
    pub subscription: String,
    /// `in_…`
    pub invoice: String,
    /// `cus_…`
    pub customer: String,
}

/// Money given back.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refund {
    /// `re_…`
    pub id: String,
    /// In the currency's smallest unit.
    pub amount: u64,
    /// Unix time.
    pub created: i64,
}

/// A buyer's bank contests the charge.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Dispute {
    /// `dp_…`
    pub id: String,
    /// `fraudulent`, `general`, …
    pub reason: String,
    /// `needs_response`, `won`, `lost`, `warning_needs_response`, `warning_closed`.
    pub status: String,
    /// Unix time.
    pub created: i64,
}

/// One try to pay, with the ids it created.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Payment {
    /// `pi_…`
    pub intent: String,
    /// `ch_…` of the last try.
    pub charge: String,
    /// Whether the money arrives days later (SEPA debit) and not at once (card).
    pub delayed: bool,
    /// Unix time.
    pub created: i64,
    /// Given back so far.
    pub refunds: Vec<Refund>,
    /// The dispute about it.
    pub dispute: Option<Dispute>,
}

impl Payment {
    /// A try to pay: it keeps the intent of the one before and has a charge of its own.
    #[must_use]
    pub fn attempt(before: Option<Self>, delayed: bool, now: i64, mint: &mut Mint<'_>) -> Self {
        let (intent, created) =
            before.map_or_else(|| (mint.id("pi_3"), now), |old| (old.intent, old.created));
        let charge = mint.id(if delayed { "py_3" } else { "ch_3" });
        Self { intent, charge, delayed, created, refunds: Vec::new(), dispute: None }
    }

    /// The sum given back so far.
    #[must_use]
    pub fn refunded(&self) -> u64 {
        self.refunds.iter().map(|refund| refund.amount).sum()
    }
}
