//! How an event is told: at once, from memory. Its message stays on the bus, where it is durable, until what came of the
//! first attempt is in the store.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use platform::{
    AppError, AppResult,
    clock::millis,
    ids::{derive, made_at_ms},
    telemetry::TraceContext,
};
use tokio::{sync::oneshot, time::Instant};

use super::{App, directory::Known, intake::not_known_yet};
use crate::{
    domain::event,
    sender::{Fresh, Job},
    store::lease::Lease,
};

/// An event as the bus hands it out.
#[derive(Debug, Clone)]
pub struct HandedOut {
    /// `evt_…`
    pub event_id: String,
    /// How often it was handed out, this time included.
    pub count: u64,
}

impl App {
    /// Tells an instance of a licence; returns when the store knows what came of it, and goes on from there.
    pub async fn tell_license_issued(
        &self,
        handed_out: &HandedOut,
        instance_id: &str,
        body: Vec<u8>,
    ) -> AppResult<()> {
        let told = self.tell_now(handed_out, instance_id, body).await;
        if told.is_ok() {
            self.unmade.forget(&handed_out.event_id);
        }
        told
    }

    async fn tell_now(&self, handed_out: &HandedOut, instance_id: &str, body: Vec<u8>) -> AppResult<()> {
        let message_id = derive("msg", &handed_out.event_id, "");
        if self.may_be_known(handed_out) && self.is_known(handed_out, &message_id).await? {
            return Ok(());
        }
        let endpoint = self.known_endpoint(instance_id).await;
        let endpoint = endpoint.and_then(|known| known.ok_or_else(not_known_yet));
        let endpoint = endpoint.inspect_err(|_| self.note_unmade(&handed_out.event_id))?;
        if !endpoint.is_told(event::LICENSE_ISSUED) {
            return Ok(());
        }
        let (recorded, written) = oneshot::channel();
        let fresh = Fresh {
            message_id,
            instance_id: instance_id.to_owned(),
            sealed_body: self.seal_body(&body)?,
            created_at_ms: self.clock.now_ms(),
            recorded,
        };
        let job = self.fresh_job(handed_out, fresh, &endpoint, body);
        self.jobs.try_send(job).map_err(|_| AppError::unavailable("the dispatcher is ending"))?;
        written.await.map_err(|_| AppError::unavailable("what came of an attempt was not recorded"))
    }

    /// Most events come once, and soon: for them no row is looked up. One that is older may have waited here for so long
    /// that another replica was given it too, or its outbox was published again.
    fn may_be_known(&self, handed_out: &HandedOut) -> bool {
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

    fn fresh_job(&self, handed_out: &HandedOut, fresh: Fresh, endpoint: &Known, body: Vec<u8>) -> Job {
        let endpoint_id = &endpoint.recipient.endpoint_id;
        let may = !endpoint.is_disabled && endpoint.throttled_until_ms <= fresh.created_at_ms;
        let unmade = self.unmade.of(&handed_out.event_id);
        let attempt = i64::try_from(handed_out.count.saturating_sub(unmade)).unwrap_or(i64::MAX).max(1);
        Job {
            lease: Lease {
                delivery_id: derive("dly", &handed_out.event_id, endpoint_id),
                attempt,
                token: attempt,
            },
            lease_ends: Instant::now() + self.rules.lease,
            failures: 0,
            event: event::LICENSE_ISSUED.to_owned(),
            place: None,
            give_up_at_ms: None,
            recipient: Arc::clone(&endpoint.recipient),
            body: body.into(),
            trace: TraceContext::current(),
            slot: if may { self.slots.enter(endpoint_id) } else { None },
            fresh: Some(Box::new(fresh)),
        }
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

    fn forget(&self, event_id: &str) {
        self.counts().remove(event_id);
    }

    fn counts(&self) -> MutexGuard<'_, HashMap<String, u64>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
