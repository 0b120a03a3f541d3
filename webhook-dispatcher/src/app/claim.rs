use std::{collections::HashMap, sync::Arc};

use platform::{AppResult, clock::millis, db::Tx};
use tokio::time::Instant;

use super::{
    App,
    admission::Admitted,
    callbacks::{Ended, Overtaken},
};
use crate::{
    domain::{answer::Outcome, callback::Ending},
    sender::{Job, Recipient, Slot},
    store::{
        attempt, delivery, endpoint,
        lease::{self, Claim, Lease},
        message,
    },
};

impl App {
    /// Claims due deliveries for the room there is and hands them to the worker. True: there may be more.
    pub(crate) async fn claim_due(&self) -> AppResult<bool> {
        let limit = self.rules.batch.min(self.slots.free());
        if limit == 0 {
            return Ok(false);
        }
        self.give_up_overdue().await?;
        let begun = Instant::now();
        let claimed = self.claim(limit).await?;
        let is_full = claimed.len() == limit;
        for job in self.jobs_of(claimed, begun).await? {
            self.hand_over(job).await;
        }
        Ok(is_full)
    }

    async fn claim(&self, limit: usize) -> AppResult<Vec<delivery::Model>> {
        let tx = self.db.begin().await?;
        let (now_ms, busy) = (self.clock.now_ms(), self.slots.busy());
        let lease_ms = millis(self.rules.lease);
        let mut claimed = lease::claim(&*tx, &Claim { now_ms, lease_ms, limit, busy: &busy }).await?;
        // Stores answer them in any order; where there is room for one, it is for the longest due.
        claimed.sort_unstable_by(|a, b| (a.next_attempt_at_ms, &a.id).cmp(&(b.next_attempt_at_ms, &b.id)));
        if claimed.is_empty() {
            return Ok(claimed);
        }
        note_lost(&tx, &claimed, now_ms).await?;
        let (in_turn, ended) = self.leave_out_overtaken(&tx, claimed, now_ms).await?;
        tx.commit().await?;
        if !ended.is_empty() {
            self.wake.notify_one();
        }
        ended.into_iter().for_each(Ended::count);
        Ok(in_turn)
    }

    /// Ends the callbacks that a later one waits for: their replica died in the middle of an attempt, so nobody else
    /// has ended them.
    async fn leave_out_overtaken(
        &self,
        tx: &Tx,
        claimed: Vec<delivery::Model>,
        now_ms: i64,
    ) -> AppResult<(Vec<delivery::Model>, Vec<Ended>)> {
        let overtaken = Overtaken::among(&**tx, &claimed).await?;
        let (to_end, in_turn): (Vec<_>, _) = claimed.into_iter().partition(|one| overtaken.has(one));
        let mut ended = Vec::with_capacity(to_end.len());
        for callback in to_end {
            // The attempt that this claim was for is not made.
            let unmade = delivery::Model { attempts: callback.attempts - 1, lease_until_ms: 0, ..callback };
            ended.push(self.settle(tx, unmade, Ending::Superseded, None, now_ms).await?);
        }
        Ok((in_turn, ended))
    }

    async fn jobs_of(&self, claimed: Vec<delivery::Model>, begun: Instant) -> AppResult<Vec<Job>> {
        let endpoints = self.endpoints(&claimed).await?;
        let admitted = self.admitted(claimed, &endpoints).await?;
        let recipients = self.recipients(&endpoints);
        let messages = self.messages(&admitted).await?;
        let (mut jobs, mut later) = (Vec::with_capacity(admitted.len()), Vec::new());
        for Admitted { delivery, is_probe } in admitted {
            let (endpoint_id, message_id) = (&delivery.endpoint_id, &delivery.message_id);
            let (Some(recipient), Some(message)) = (recipients.get(endpoint_id), messages.get(message_id))
            else {
                continue;
            };
            match self.slot_of_claimed(&delivery, endpoints.get(endpoint_id)) {
                Ok(slot) => {
                    let job = self.job(&delivery, Arc::clone(recipient), message, (slot, begun));
                    jobs.extend(job.map(|job| Job { is_probe, ..job }));
                }
                Err(at_ms) => later.push((Lease::of(&delivery), at_ms)),
            }
        }
        self.put_back(later).await;
        Ok(jobs)
    }

    /// Room for the attempt. An error: the endpoint was disabled or has moved meanwhile, a fresh message took the last
    /// slot, or the endpoint has all that its rate permits; when the delivery is due again.
    fn slot_of_claimed(
        &self,
        delivery: &delivery::Model,
        endpoint: Option<&endpoint::Model>,
    ) -> Result<Slot, i64> {
        if endpoint.is_some_and(|endpoint| endpoint.holds(&delivery.event)) {
            return Err(delivery.next_attempt_at_ms);
        }
        let slot = self.slots.try_take(&delivery.endpoint_id).ok_or(delivery.next_attempt_at_ms)?;
        slot.permits(endpoint.and_then(endpoint::Model::rate), self.clock.now_ms())?;
        Ok(slot)
    }

    /// The job, or nothing: the body cannot be opened (a sealing key is not configured); then the lease runs out and it
    /// is looked at again.
    fn job(
        &self,
        delivery: &delivery::Model,
        recipient: Arc<Recipient>,
        message: &message::Model,
        (slot, begun): (Slot, Instant),
    ) -> Option<Job> {
        let body = self.open_body(&message.sealed_body).inspect_err(|error| {
            tracing::error!(delivery = delivery.id, ?error, "a message cannot be opened");
        });
        Some(Job {
            lease: Lease::of(delivery),
            lease_ends: begun + self.rules.lease,
            failures: u32::try_from(delivery.failures).unwrap_or(u32::MAX),
            event: delivery.event.clone(),
            place: delivery.place(),
            give_up_at_ms: delivery.give_up_at_ms,
            recipient,
            body: body.ok()?.into(),
            trace: message.trace(),
            slot: Some(slot),
            fresh: None,
            is_probe: false,
        })
    }

    async fn endpoints(&self, claimed: &[delivery::Model]) -> AppResult<HashMap<String, endpoint::Model>> {
        let mut ids: Vec<String> = claimed.iter().map(|delivery| delivery.endpoint_id.clone()).collect();
        ids.sort_unstable();
        ids.dedup();
        let endpoints = endpoint::list_by_ids(self.db.read(), ids).await?;
        Ok(endpoints.into_iter().map(|endpoint| (endpoint.id.clone(), endpoint)).collect())
    }

    fn recipients(&self, endpoints: &HashMap<String, endpoint::Model>) -> HashMap<String, Arc<Recipient>> {
        let mut recipients = HashMap::with_capacity(endpoints.len());
        for (id, endpoint) in endpoints {
            match self.recipient(endpoint) {
                Ok(recipient) => drop(recipients.insert(id.clone(), Arc::new(recipient))),
                Err(error) => tracing::error!(endpoint = id, ?error, "an endpoint cannot be read"),
            }
        }
        recipients
    }

    async fn messages(&self, admitted: &[Admitted]) -> AppResult<HashMap<String, message::Model>> {
        let ids = admitted.iter().map(|one| one.delivery.message_id.clone()).collect();
        let messages = message::list_by_ids(self.db.read(), ids).await?;
        Ok(messages.into_iter().map(|message| (message.id.clone(), message)).collect())
    }

    /// Gives a job to the worker. One that has ended meanwhile takes nothing, and the lease is given back.
    pub(super) async fn hand_over(&self, job: Job) {
        if let Err(refused) = self.jobs.try_send(job) {
            self.give_back(refused.into_inner().lease).await;
        }
    }

    async fn give_back(&self, lease: Lease) {
        let leases = [lease];
        if let Err(error) = lease::give_back(self.db.write(), &leases).await {
            let delivery = &leases[0].delivery_id;
            tracing::warn!(%error, delivery, "a lease could not be given back; it will run out");
        }
    }

    async fn put_back(&self, leases: Vec<(Lease, i64)>) {
        if let Err(error) = lease::put_back(self.db.write(), &leases).await {
            tracing::warn!(%error, count = leases.len(), "leases could not be given back; they will run out");
        }
    }

    /// When the next delivery is due, or to be given up.
    pub(crate) async fn next_due_ms(&self) -> AppResult<Option<i64>> {
        let (db, now_ms) = (self.db.read(), self.clock.now_ms());
        let due = delivery::next_due_ms(db, now_ms).await?;
        let over = delivery::next_give_up_ms(db, now_ms).await?;
        Ok(due.into_iter().chain(over).min())
    }
}

/// A claim numbers a new attempt, so the one before it has ended. If nobody told how, it is noted as lost; should its
/// replica still live, its late result replaces the note.
async fn note_lost(tx: &Tx, claimed: &[delivery::Model], now_ms: i64) -> AppResult<()> {
    let again = claimed.iter().filter(|delivery| delivery.attempts > 1);
    let before = again.map(|delivery| lost(&delivery.id, delivery.attempts - 1, now_ms));
    attempt::note_lost(&**tx, before.collect()).await?;
    Ok(())
}

/// The note of an attempt whose replica never told what came of it.
pub(super) fn lost(delivery_id: &str, number: i64, now_ms: i64) -> attempt::Model {
    attempt::Model {
        delivery_id: delivery_id.to_owned(),
        number,
        started_at_ms: now_ms,
        duration_ms: 0,
        status: None,
        outcome: Outcome::Lost.as_str().to_owned(),
        response_size: None,
    }
}
