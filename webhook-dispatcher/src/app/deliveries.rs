use platform::{AppError, AppResult, db::Tx};
use sea_orm::{DatabaseTransaction, DbBackend, IsolationLevel, TransactionOptions, TransactionTrait as _};

use wire::open2b::Operation;

use super::App;
use crate::{
    domain::{delivery::State, kind::Kind},
    store::{attempt, delivery, endpoint, prune},
};

/// One delivery with every attempt of it.
#[derive(Debug)]
pub struct DeliveryDetail {
    /// The delivery.
    pub delivery: delivery::Model,
    /// Its attempts, in their order.
    pub attempts: Vec<attempt::Model>,
}

impl App {
    /// One delivery.
    pub async fn get_delivery(&self, id: &str) -> AppResult<DeliveryDetail> {
        let snapshot = self.snapshot().await?;
        let delivery = delivery::find(&snapshot, id).await?.ok_or_else(no_delivery)?;
        let attempts = attempt::list(&snapshot, id).await?;
        Ok(DeliveryDetail { delivery, attempts })
    }

    /// Both reads see one moment: a delivery is never shown without the attempt that settled it. SQLite's transactions
    /// are like that anyway.
    async fn snapshot(&self) -> AppResult<DatabaseTransaction> {
        let is_postgres = self.db.backend() == DbBackend::Postgres;
        let isolation_level = is_postgres.then_some(IsolationLevel::RepeatableRead);
        let options = TransactionOptions { isolation_level, ..TransactionOptions::default() };
        Ok(self.db.read().begin_with_options(options).await?)
    }

    /// Sends a delivery again, now: the same id, the next attempt, the schedule from its beginning. One that is in
    /// flight is left to end.
    pub async fn replay(&self, id: &str) -> AppResult<delivery::Model> {
        let tx = self.db.begin().await?;
        let endpoint_id = delivery::find(&*tx, id).await?.ok_or_else(no_delivery)?.endpoint_id;
        // The endpoint first, as everywhere: two transactions that lock both can't wait for each other.
        let endpoint = endpoint::find(&*tx, &endpoint_id).await?;
        let current = delivery::find_to_change(&*tx, id).await?.ok_or_else(no_delivery)?;
        if current.settled_at_ms.is_some() {
            may_be_sent_again(&current)?;
        }
        may_be_told(endpoint.as_ref(), &current.event)?;
        if current.is(State::Pending) && current.lease_until_ms > 0 {
            return Ok(current);
        }
        self.require_body(&tx, &current).await?;
        let again = again(current, self.clock.now_ms());
        delivery::update(&*tx, &again).await?;
        tx.commit().await?;
        self.wake.notify_one();
        Ok(again)
    }

    /// What the delivery says is kept until the transaction ends.
    async fn require_body(&self, tx: &Tx, delivery: &delivery::Model) -> AppResult<()> {
        let kept = prune::keep_bodies(&**tx, vec![delivery.message_id.clone()]).await?;
        if kept.contains(&delivery.message_id) {
            return Ok(());
        }
        let days = self.rules.payload_retention.unwrap_or(self.rules.retention).as_secs() / 86_400;
        Err(AppError::conflict(format!(
            "what this delivery says was kept for {days} days and is gone, so it can't be sent again; the shop can list \
             its licences"
        )))
    }
}

fn again(delivery: delivery::Model, now_ms: i64) -> delivery::Model {
    delivery::Model {
        state: State::Pending.as_str().to_owned(),
        failures: 0,
        next_attempt_at_ms: now_ms,
        lease_until_ms: 0,
        held_since_ms: None,
        dead_reason: None,
        settled_at_ms: None,
        ..delivery
    }
}

/// What is held for the endpoint is not sent by a replay.
fn may_be_told(endpoint: Option<&endpoint::Model>, event: &str) -> AppResult<()> {
    let right = match endpoint {
        Some(endpoint) if !endpoint.holds(event) => return Ok(()),
        Some(endpoint) if !endpoint.is_disabled() => {
            "the endpoint is not verified yet; replay its endpoint-verification, or enable it without one, and what is \
             held for it goes on"
        }
        _ => "the endpoint is disabled; enable it, and what is held for it goes on",
    };
    Err(AppError::conflict(right))
}

/// What a callback came to was told and acted upon when it settled: a second ending would contradict the first.
fn may_be_sent_again(settled: &delivery::Model) -> AppResult<()> {
    let right = match settled.kind() {
        Kind::Webhook => return Ok(()),
        _ if settled.is(State::Superseded) => {
            "a later callback to the same app and shop has taken the place of this one; look at that one"
        }
        Kind::Callback(Operation::Install) => {
            "this Install has settled, and its API key is gone; the shop can install the app again"
        }
        Kind::Callback(_) => {
            "this callback has settled, and the installation has moved on; the shop can ask for it again"
        }
    };
    Err(AppError::conflict(right))
}

fn no_delivery() -> AppError {
    AppError::not_found("there is no delivery with this id; list the deliveries to see their ids")
}
