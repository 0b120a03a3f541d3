//! How an event is told: at once, from memory. Its message stays on the bus, where it is durable, until what came of the
//! first attempt is in the store.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use bytes::Bytes;
use platform::{
    AppError, AppResult,
    clock::millis,
    ids::{derive, made_at_ms},
    telemetry::TraceContext,
};
use tokio::{sync::OwnedSemaphorePermit, time::Instant};

use super::{App, directory::Known, intake::not_known_yet};
use crate::{
    sender::{Fresh, Job, Receipt, Receipts, Slot},
    store::{lease::Lease, message},
};

/// An event as the bus hands it out.
#[derive(Debug, Clone)]
pub struct HandedOut {
    /// `evt_…`
    pub event_id: String,
    /// How often it was handed out, this time included.
    pub count: u64,
}

/// What endpoints are told of an event. Not to be shown: it may hold a licence's key.
#[derive(Clone)]
pub struct Told {
    /// The event's name.
    pub event: &'static str,
    /// Byte by byte.
    pub body: Bytes,
}

/// What the first attempts of one hand-out have in common.
pub(super) struct Telling<'a> {
    pub(super) handed_out: &'a HandedOut,
    pub(super) message: Arc<message::Model>,
    pub(super) body: Bytes,
    pub(super) receipts: Receipts,
}

impl App {
    /// Tells an instance of an event, if its endpoint takes it; returns when the store knows what came of it, and goes on
    /// from there.
    pub async fn tell_instance(
        &self,
        handed_out: &HandedOut,
        instance_id: &str,
        told: Told,
    ) -> AppResult<()> {
        let done = self.tell_now(handed_out, instance_id, told).await;
        if done.is_ok() {
            self.unmade.forget(&handed_out.event_id);
        }
        done
    }

    async fn tell_now(&self, handed_out: &HandedOut, instance_id: &str, told: Told) -> AppResult<()> {
        let message_id = derive("msg", &handed_out.event_id, "");
        if self.may_be_known(handed_out) && self.is_known(handed_out, &message_id).await? {
            return Ok(());
        }
        let endpoint = self.known_endpoint(instance_id).await;
        let endpoint = endpoint.and_then(|known| known.ok_or_else(not_known_yet));
        let endpoint = endpoint.inspect_err(|_| self.note_unmade(&handed_out.event_id))?;
        if !endpoint.is_told(told.event) {
            return Ok(());
        }
        let telling = self.telling(handed_out, instance_id, told)?;
        self.begin(&telling, &endpoint, None)?;
        telling.ended().await
    }

    /// `instance_id`: empty for what is told to many. Sealed here, once for all of them.
    pub(super) fn telling<'a>(
        &self,
        handed_out: &'a HandedOut,
        instance_id: &str,
        Told { event, body }: Told,
    ) -> AppResult<Telling<'a>> {
        let trace = TraceContext::current();
        let message = message::Model {
            id: derive("msg", &handed_out.event_id, ""),
            instance_id: instance_id.to_owned(),
            event: event.to_owned(),
            sealed_body: self.seal_body(&body)?,
            traceparent: trace.traceparent,
            tracestate: trace.tracestate,
            created_at_ms: self.clock.now_ms(),
        };
        Ok(Telling { handed_out, message: Arc::new(message), body, receipts: Receipts::default() })
    }

    /// Hands the first attempt to the worker.
    pub(super) fn begin(
        &self,
        telling: &Telling<'_>,
        endpoint: &Known,
        place: Option<OwnedSemaphorePermit>,
    ) -> AppResult<()> {
        let job = self.fresh_job(telling, endpoint, telling.receipts.expect(), place);
        self.jobs.try_send(job).map_err(|_| AppError::unavailable("the dispatcher is ending"))
    }

    /// Most events come once, and soon: for them no row is looked up. One that is older may have waited here for so long
    /// that another replica was given it too, or its outbox was published again.
    pub(super) fn may_be_known(&self, handed_out: &HandedOut) -> bool {
        let made_at_ms = made_at_ms(&handed_out.event_id).unwrap_or(0);
        handed_out.count > 1 || made_at_ms < self.clock.now_ms() - millis(self.patience())
    }

    async fn is_known(&self, handed_out: &HandedOut, message_id: &str) -> AppResult<bool> {
        let known = self.lookups.is_known(message_id).await;
        known.inspect_err(|_| self.note_unmade(&handed_out.event_id))
    }

    /// Notes that a hand-out of the event ended without an attempt.
    pub(crate) fn note_unmade(&self, event_id: &str) {
        self.unmade.note(event_id);
    }

    fn fresh_job(
        &self,
        telling: &Telling<'_>,
        endpoint: &Known,
        receipt: Receipt,
        place: Option<OwnedSemaphorePermit>,
    ) -> Job {
        let Telling { handed_out, message, body, .. } = telling;
        let endpoint_id = &endpoint.recipient.endpoint_id;
        let (slot, not_before_ms) = self.slot_of_first(endpoint, self.clock.now_ms());
        let unmade = self.unmade.of(&handed_out.event_id);
        let attempt = i64::try_from(handed_out.count.saturating_sub(unmade)).unwrap_or(i64::MAX).max(1);
        let fresh = Fresh {
            message: Arc::clone(message),
            instance_id: endpoint.instance_id.clone(),
            receipt,
            place,
            not_before_ms,
        };
        Job {
            lease: Lease {
                delivery_id: derive("dly", &handed_out.event_id, endpoint_id),
                attempt,
                token: attempt,
            },
            lease_ends: Instant::now() + self.rules.lease,
            failures: 0,
            event: message.event.clone(),
            place: None,
            give_up_at_ms: None,
            recipient: Arc::clone(&endpoint.recipient),
            body: body.clone(),
            trace: message.trace(),
            slot,
            fresh: Some(Box::new(fresh)),
            is_probe: false,
        }
    }

    /// The room for a first attempt, if it may be made now; otherwise, where the rate does not permit it, when it may.
    fn slot_of_first(&self, endpoint: &Known, now_ms: i64) -> (Option<Slot>, i64) {
        if !endpoint.takes(now_ms) {
            return (None, 0);
        }
        let Some(slot) = self.slots.enter(&endpoint.recipient.endpoint_id) else { return (None, 0) };
        match slot.permits(endpoint.rate, now_ms) {
            Ok(()) => (Some(slot), 0),
            Err(not_before_ms) => (None, not_before_ms),
        }
    }
}

impl Telling<'_> {
    /// Returns when the store knows what came of every attempt that was begun.
    pub(super) async fn ended(self) -> AppResult<()> {
        if self.receipts.are_given().await {
            return Ok(());
        }
        Err(AppError::unavailable("what came of an attempt was not recorded"))
    }
}

/// Hand-outs of which this process knows that no attempt came: they are not noted as lost attempts. What it does not
/// remember is: the replica that had the message may have made one.
#[derive(Clone, Default)]
pub(super) struct Unmade(Arc<Mutex<HashMap<String, u64>>>);

impl Unmade {
    /// More are not remembered.
    const MOST: usize = 10_000;

    fn note(&self, event_id: &str) {
        let mut counts = self.counts();
        if counts.len() < Self::MOST || counts.contains_key(event_id) {
            *counts.entry(event_id.to_owned()).or_default() += 1;
        }
    }

    fn of(&self, event_id: &str) -> u64 {
        self.counts().get(event_id).copied().unwrap_or(0)
    }

    pub(super) fn forget(&self, event_id: &str) {
        self.counts().remove(event_id);
    }

    fn counts(&self) -> MutexGuard<'_, HashMap<String, u64>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
