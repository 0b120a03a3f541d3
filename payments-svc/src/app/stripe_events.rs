//! Stripe tells what became of an order.

use platform::{AppError, AppResult, db::Tx, inbox, outbox};
use proto::events::{OrderPaid, OrderSnapshot, purpose, subject};

use super::{App, EMAIL};
use crate::{
    domain::order::{Heard, Order, Outcome},
    store::orders::{self, Stored},
};

/// Under this name the inbox remembers Stripe's event ids.
const CONSUMER: &str = "stripe";

/// An event about a Checkout session.
#[derive(Debug, Clone)]
pub(crate) struct SessionEvent {
    /// `ord_…`, as our metadata say it.
    pub(crate) order_id: Option<String>,
    /// `cs_…`
    pub(crate) session_id: String,
    pub(crate) heard: Heard,
}

/// What came of an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Taken {
    /// It was about one of our orders.
    Effect(Outcome),
    /// Taken before.
    Repeated,
    /// It names no order of ours: another product on the same Stripe account. It is not noted as taken.
    NotOurs,
}

impl Taken {
    /// For metrics.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Effect(outcome) => outcome.as_str(),
            Self::Repeated => "repeated",
            Self::NotOurs => "not_ours",
        }
    }
}

impl App {
    /// Takes an event, once; what it changes and what it announces commit together.
    pub(crate) async fn take_session_event(&self, event: &SessionEvent) -> AppResult<Taken> {
        let now_ms = self.clock.now_ms();
        let tx = self.db.begin().await?;
        if !inbox::is_first(&*tx, CONSUMER, &event.heard.event_id, now_ms).await? {
            return Ok(Taken::Repeated);
        }
        let Some(Stored { order, sealed_email }) = find_order(&tx, event).await? else {
            return self.without_order(event);
        };
        let (order, outcome) = take(&tx, order, &event.heard, now_ms).await?;
        orders::update_order(&*tx, &order).await?;
        if outcome == Outcome::Paid {
            self.announce_paid(&tx, &order, &sealed_email, now_ms).await?;
        }
        tx.commit().await?;
        self.note(&order, &event.heard, outcome);
        Ok(Taken::Effect(outcome))
    }

    /// The licence goes to the address that was given at the checkout: it is the shop's administrator who spoke there.
    /// What the payer typed at Stripe is for Stripe's receipt, and never comes into our hands.
    async fn announce_paid(&self, tx: &Tx, order: &Order, sealed_email: &[u8], now_ms: i64) -> AppResult<()> {
        let email = self.sealer.open(EMAIL, sealed_email)?;
        let snapshot = OrderSnapshot {
            order_id: order.id.clone(),
            revision: order.revision,
            state: order.state.as_str().to_owned(),
            instance_id: order.instance_id.clone(),
            marketplace_id: order.marketplace_id.clone(),
            version: order.version.clone(),
            amount_cents: order.amount_cents,
            currency: order.currency.clone(),
            sealed_customer_email: self.bus_sealer.seal(purpose::CUSTOMER_EMAIL, &email)?,
            occurred_at_ms: now_ms,
        };
        let event = OrderPaid { order: Some(snapshot) };
        outbox::announce(&**tx, &self.ids, now_ms, subject::ORDER_PAID, &event).await?;
        Ok(())
    }

    /// An order of ours that is not here was lost with the store (an older backup, a failover): money may have been paid for
    /// it, so that Stripe must say it again until the order is back. Nothing is noted as taken.
    fn without_order(&self, event: &SessionEvent) -> AppResult<Taken> {
        let Some(id) = &event.order_id else {
            tracing::warn!(event = event.heard.event_id, "an event of Stripe is about no order of ours");
            return Ok(Taken::NotOurs);
        };
        self.meters.missing.increment(1);
        tracing::error!(
            order = id,
            event = event.heard.event_id,
            "Stripe tells of an order that is not in the store; restore it within three days, while Stripe repeats the event"
        );
        Err(AppError::unavailable(
            "the order that this event names is not here now; send the event again later",
        ))
    }

    fn note(&self, order: &Order, heard: &Heard, outcome: Outcome) {
        match outcome {
            Outcome::Mismatch => {
                self.meters.mismatches.increment(1);
                tracing::error!(
                    order = order.id,
                    event = heard.event_id,
                    asked_cents = order.amount_cents,
                    paid_cents = heard.amount_cents,
                    "what was paid is not what the order asks for; nothing is issued: look at the order and at its payment \
                     in Stripe's dashboard, and refund it there"
                );
            }
            Outcome::Crowded => {
                self.meters.crowded.increment(1);
                tracing::error!(
                    order = order.id,
                    event = heard.event_id,
                    "money is under way for an order whose time was up, while a newer order for the same app can be paid; \
                     should both be paid, refund one of them in Stripe's dashboard"
                );
            }
            Outcome::Paid | Outcome::Moved => {
                self.meters.came_into(order.state);
                if outcome == Outcome::Paid {
                    self.meters.paid_cents.increment(order.amount_cents.unsigned_abs());
                }
                tracing::info!(
                    order = order.id,
                    event = heard.event_id,
                    state = order.state.as_str(),
                    "the order moved"
                );
            }
            Outcome::Stale => {}
        }
    }
}

/// What the event makes of the order. One that was let go is live again if its place is free.
async fn take(tx: &Tx, order: Order, heard: &Heard, now_ms: i64) -> AppResult<(Order, Outcome)> {
    if order.is_revived_by(heard) {
        let other = orders::find_live_for_update(&**tx, &order.instance_id, &order.marketplace_id).await?;
        if other.is_some() {
            return Ok(order.crowded(heard));
        }
    }
    Ok(order.heard(heard, now_ms))
}

async fn find_order(tx: &Tx, event: &SessionEvent) -> AppResult<Option<Stored>> {
    if let Some(id) = &event.order_id
        && let Some(stored) = orders::find_for_update(&**tx, id).await?
    {
        return Ok(Some(stored));
    }
    orders::find_by_session_for_update(&**tx, &event.session_id).await
}
