//! What the service does.

mod checkout;
mod meters;
mod orders;
mod stripe_events;

use std::{sync::Arc, time::Duration};

use platform::{Clock, Ids, Shutdown, db::Db, sealing::Sealer};

pub(crate) use self::{
    checkout::OpenSession,
    meters::{Meters, stripe_event},
    orders::Page,
    stripe_events::SessionEvent,
};
use crate::{store::keys, stripe};

/// What the e-mail address of an order is sealed for in the store.
const EMAIL: &str = "order.customer_email";

const HOUSEKEEPING: Duration = Duration::from_hours(1);

/// The use cases and what they need.
#[derive(Clone)]
pub(crate) struct App {
    pub(crate) db: Db,
    pub(crate) clock: Clock,
    pub(crate) ids: Ids,
    /// For what is kept here.
    pub(crate) sealer: Sealer,
    /// For what is announced.
    pub(crate) bus_sealer: Sealer,
    pub(crate) stripe: stripe::Client,
    /// How long a payment page may be paid.
    pub(crate) session: Duration,
    pub(crate) meters: Arc<Meters>,
}

impl App {
    /// Forgets old idempotency keys, once an hour until `shutdown`.
    pub(crate) async fn keep_tidy(self, shutdown: Shutdown) {
        while shutdown.run_until_cancelled(self.clock.sleep(HOUSEKEEPING)).await.is_some() {
            if let Err(error) = keys::delete_old(self.db.write(), self.clock.now_ms()).await {
                tracing::warn!(?error, "old idempotency keys could not be removed");
            }
        }
    }
}
