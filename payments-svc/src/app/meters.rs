//! What is counted, there from the start: a counter that appears with its first event has no rate for it.

use metrics::Counter;

use super::stripe_events::Taken;
use crate::{
    domain::order::{CURRENCY, Outcome, State},
    http::KINDS,
};

/// Kept, so that no order looks them up by name.
pub(crate) struct Meters {
    /// By the state's place: orders that came into it.
    orders: [Counter; State::ALL.len()],
    /// What was paid, in the currency's smallest unit.
    pub(super) paid_cents: Counter,
    pub(super) missing: Counter,
    pub(super) mismatches: Counter,
    pub(super) crowded: Counter,
}

impl Meters {
    pub(crate) fn new() -> Self {
        for result in Outcome::ALL.map(Taken::Effect).into_iter().chain([Taken::Repeated, Taken::NotOurs]) {
            for kind in KINDS {
                stripe_event(kind, result.as_str()).increment(0);
            }
        }
        Self {
            orders: State::ALL
                .map(|state| metrics::counter!("payments_orders_total", "state" => state.as_str())),
            paid_cents: metrics::counter!("payments_paid_cents_total", "currency" => CURRENCY),
            missing: metrics::counter!("payments_missing_orders_total"),
            mismatches: metrics::counter!("payments_mismatches_total"),
            crowded: metrics::counter!("payments_crowded_orders_total"),
        }
    }

    /// An order has come into this state.
    pub(super) fn came_into(&self, state: State) {
        let place = State::ALL.iter().position(|known| *known == state);
        if let Some(counter) = place.and_then(|place| self.orders.get(place)) {
            counter.increment(1);
        }
    }
}

/// Stripe's events of a type, by what came of them.
pub(crate) fn stripe_event(kind: &'static str, result: &'static str) -> Counter {
    metrics::counter!("payments_stripe_events_total", "type" => kind, "result" => result)
}
