use std::sync::Arc;

use platform::{AppError, AppResult, clock::millis, inbox, telemetry::TraceContext};
use tokio::time::Instant;

use super::{App, TELL_LICENSES};
use crate::{
    domain::{delivery::State, event},
    sender::{Job, Slot},
    store::{delivery, endpoint, lease::Lease, message},
};

impl App {
    /// Keeps an event to be told to an instance, and hands its first attempt to the worker if there is room.
    pub async fn tell_license_issued(
        &self,
        event_id: &str,
        instance_id: &str,
        body: Vec<u8>,
    ) -> AppResult<()> {
        let begun = Instant::now();
        let tx = self.db.begin().await?;
        let now_ms = self.clock.now_ms();
        if !inbox::is_first(&*tx, TELL_LICENSES, event_id, now_ms).await? {
            return Ok(());
        }
        let (endpoint, store_now_ms) =
            endpoint::find_to_tell(&*tx, instance_id).await?.ok_or_else(not_known_yet)?;
        let message = self.message(instance_id, event::LICENSE_ISSUED, &body, now_ms)?;
        let slot = self.slot_for(&endpoint, now_ms);
        let lease_until_ms = slot.as_ref().map(|_| store_now_ms + millis(self.rules.lease));
        let delivery = self.delivery(&message, &endpoint, lease_until_ms);
        let job = match slot {
            Some(slot) => Some(self.first_job(&message, &delivery, &endpoint, body, (slot, begun))?),
            None => None,
        };
        message::create(&*tx, message).await?;
        delivery::create(&*tx, delivery).await?;
        tx.commit().await?;
        metrics::counter!("webhook_messages_total", "event" => event::LICENSE_ISSUED).increment(1);
        match job {
            Some(job) => self.hand_over(job).await,
            None => self.wake.notify_one(),
        }
        Ok(())
    }

    fn message(&self, instance_id: &str, event: &str, body: &[u8], now_ms: i64) -> AppResult<message::Model> {
        let trace = TraceContext::current();
        Ok(message::Model {
            id: self.ids.generate("msg"),
            instance_id: instance_id.to_owned(),
            event: event.to_owned(),
            sealed_body: self.seal_body(body)?,
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
        lease_until_ms: Option<i64>,
    ) -> delivery::Model {
        let state = if endpoint.is_disabled() { State::Held } else { State::Pending };
        let leases = i64::from(lease_until_ms.is_some());
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
            next_attempt_at_ms: message.created_at_ms.max(endpoint.throttled_until_ms),
            lease_until_ms: lease_until_ms.unwrap_or(0),
            held_since_ms: endpoint.is_disabled().then_some(message.created_at_ms),
            dead_reason: None,
            created_at_ms: message.created_at_ms,
            settled_at_ms: None,
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
            recipient: Arc::new(self.recipient(endpoint)?),
            body: body.into(),
            trace: message.trace(),
            slot,
        })
    }
}

fn not_known_yet() -> AppError {
    AppError::unavailable("the endpoint of the instance is not known yet")
}
