//! How a callback is taken in: kept in the store first, in its place, and then handed to the worker if it need not wait.

use std::{sync::Arc, time::Duration};

use platform::{AppError, AppResult, clock::millis, db::Tx, inbox, telemetry::TraceContext};
use tokio::time::Instant;

use super::{
    App, REQUEST_CALLBACKS,
    callbacks::{Ended, Start},
};
use crate::{
    domain::{
        callback::{Ending, Place},
        delivery::State,
        endpoint::Owner,
        kind::CALLBACK,
    },
    sender::{Job, Slot},
    store::{delivery, endpoint, lease::Lease, message},
};

/// A callback to be made.
pub(super) struct Telling {
    /// The instance that it is about.
    pub(super) instance_id: String,
    /// The operation.
    pub(super) event: &'static str,
    /// What to say.
    pub(super) body: Vec<u8>,
    pub(super) marketplace_id: String,
    pub(super) installation_id: String,
    pub(super) place: Place,
    /// How long it is tried; `None`: until its schedule is over.
    pub(super) time: Option<Duration>,
}

/// A delivery as it is born, the room in the pipeline that it has if it begins at once, and what ends with its birth.
struct Born {
    message: message::Model,
    delivery: delivery::Model,
    slot: Option<Slot>,
    ended: Vec<Ended>,
}

impl App {
    /// Keeps what is to be told, and hands its first attempt to the worker if there is room and it need not wait.
    pub(super) async fn tell(&self, event_id: &str, telling: Telling) -> AppResult<()> {
        let begun = Instant::now();
        let tx = self.db.begin().await?;
        if !inbox::is_first(&*tx, REQUEST_CALLBACKS, event_id, self.clock.now_ms()).await? {
            return Ok(());
        }
        let owner = Owner::App(telling.marketplace_id.clone());
        let (endpoint, store_now_ms) =
            endpoint::find_to_tell(&*tx, &owner).await?.ok_or_else(not_known_yet)?;
        let Some(born) = self.bear(&tx, &telling, &endpoint, store_now_ms).await? else {
            return tx.commit().await;
        };
        let Born { message, delivery, slot, ended } = born;
        let slot = slot.map(|slot| (slot, begun));
        let job = slot.map(|slot| self.first_job(&message, &delivery, &endpoint, telling.body, slot));
        let job = job.transpose()?;
        tx.commit().await?;
        metrics::counter!("webhook_messages_total", "event" => telling.event).increment(1);
        ended.into_iter().for_each(Ended::count);
        match job {
            Some(job) => self.hand_over(job).await,
            None => self.wake.notify_one(),
        }
        Ok(())
    }

    /// Creates the message and its delivery. Nothing: it was taken before.
    async fn bear(
        &self,
        tx: &Tx,
        telling: &Telling,
        endpoint: &endpoint::Model,
        store_now_ms: i64,
    ) -> AppResult<Option<Born>> {
        let now_ms = self.clock.now_ms();
        let taken = self.take_place(tx, &telling.place, (now_ms, store_now_ms)).await?;
        let Some((start, mut ended)) = taken else { return Ok(None) };
        let message = self.message(telling, now_ms)?;
        let slot = if start == Start::Now { self.slot_for(endpoint, now_ms) } else { None };
        let lease_until_ms = slot.as_ref().map(|_| store_now_ms + millis(self.rules.lease));
        let delivery = self.delivery(&message, endpoint, telling, lease_until_ms);
        message::create(&**tx, message.clone()).await?;
        delivery::create(&**tx, delivery.clone()).await?;
        if start == Start::Never {
            ended.push(self.settle(tx, delivery.clone(), Ending::Superseded, None, now_ms).await?);
        }
        Ok(Some(Born { message, delivery, slot, ended }))
    }

    fn message(&self, telling: &Telling, now_ms: i64) -> AppResult<message::Model> {
        let trace = TraceContext::current();
        Ok(message::Model {
            id: self.ids.generate("msg"),
            instance_id: telling.instance_id.clone(),
            event: telling.event.to_owned(),
            sealed_body: self.seal_body(&telling.body)?,
            traceparent: trace.traceparent,
            tracestate: trace.tracestate,
            created_at_ms: now_ms,
        })
    }

    /// Without a slot the delivery waits in the store: for its endpoint, or for room in the pipeline.
    fn slot_for(&self, endpoint: &endpoint::Model, now_ms: i64) -> Option<Slot> {
        if endpoint.is_disabled() || endpoint.throttled_until_ms > now_ms {
            return None;
        }
        self.slots.try_take(&endpoint.id)
    }

    fn delivery(
        &self,
        message: &message::Model,
        endpoint: &endpoint::Model,
        telling: &Telling,
        lease_until_ms: Option<i64>,
    ) -> delivery::Model {
        let state = if endpoint.is_disabled() { State::Held } else { State::Pending };
        let leases = i64::from(lease_until_ms.is_some());
        let created_at_ms = message.created_at_ms;
        delivery::Model {
            id: self.ids.generate("dly"),
            message_id: message.id.clone(),
            endpoint_id: endpoint.id.clone(),
            instance_id: message.instance_id.clone(),
            event: message.event.clone(),
            state: state.as_str().to_owned(),
            attempts: leases,
            lease_token: leases,
            failures: 0,
            next_attempt_at_ms: created_at_ms.max(endpoint.throttled_until_ms),
            lease_until_ms: lease_until_ms.unwrap_or(0),
            held_since_ms: endpoint.is_disabled().then_some(created_at_ms),
            dead_reason: None,
            created_at_ms,
            settled_at_ms: None,
            kind: CALLBACK.to_owned(),
            marketplace_id: Some(telling.marketplace_id.clone()),
            installation_id: Some(telling.installation_id.clone()),
            serial: Some(telling.place.serial.clone()),
            sequence: Some(telling.place.sequence),
            give_up_at_ms: telling.time.map(|time| created_at_ms + millis(time)),
        }
    }

    fn first_job(
        &self,
        message: &message::Model,
        delivery: &delivery::Model,
        endpoint: &endpoint::Model,
        body: Vec<u8>,
        (slot, begun): (Slot, Instant),
    ) -> AppResult<Job> {
        Ok(Job {
            lease: Lease::of(delivery),
            lease_ends: begun + self.rules.lease,
            failures: 0,
            event: delivery.event.clone(),
            place: delivery.place(),
            give_up_at_ms: delivery.give_up_at_ms,
            recipient: Arc::new(self.recipient(endpoint)?),
            body: body.into(),
            trace: message.trace(),
            slot: Some(slot),
            fresh: None,
            is_probe: false,
        })
    }
}

pub(super) fn not_known_yet() -> AppError {
    AppError::unavailable("the endpoint is not known yet")
}
