//! The rows of first attempts, which nobody has seen before what came of them is written.

use std::collections::{BTreeMap, HashSet};

use platform::{AppResult, clock::millis, db::Tx};

use super::{App, claim::lost, failures::Failures};
use crate::{
    domain::{answer::Outcome, delivery::State, kind::WEBHOOK},
    sender::{Attempt, Finished, Fresh, Job},
    store::{attempt, delivery, lease, message},
};

/// The first attempts of a batch that were recorded before: another hand-out of their message was quicker.
#[derive(Default)]
pub(crate) struct Late(HashSet<(String, i64)>);

/// What a batch's first attempts were.
#[derive(Default)]
pub(super) struct First {
    pub(super) late: Late,
    /// The events of the messages that nobody had recorded before.
    pub(super) new_messages: Vec<String>,
}

impl Late {
    /// Whether the job is one of them: it changes nothing but its own record.
    pub(crate) fn has(&self, job: &Job) -> bool {
        !self.0.is_empty() && job.fresh.is_some() && self.0.contains(&hand_out(job))
    }
}

fn hand_out(job: &Job) -> (String, i64) {
    (job.lease.delivery_id.clone(), job.lease.attempt)
}

impl App {
    /// Adds what is new of the batch's first attempts; which were recorded before.
    ///
    /// A success is born delivered. A failure is born in flight, and what follows from it is settled like that of any
    /// other. What is open is born in flight too, and its result will be that of a claimed one. What was not attempted
    /// waits in the store. A delivery is new where its id is, so that of a message that is told to many and handed out
    /// again, only what is missing is added. The batch is in the order of its deliveries' ids, so that two replicas that
    /// record the same ones do not wait for each other.
    pub(super) async fn add_first(
        &self,
        tx: &Tx,
        batch: &[Finished],
        failures: &Failures<'_>,
        now_ms: i64,
    ) -> AppResult<First> {
        let first: Vec<_> = first(batch).collect();
        if first.is_empty() {
            return Ok(First::default());
        }
        let new_messages = create_messages(tx, &first).await?;
        let times = (now_ms, self.lease_for_open(tx, &first).await?);
        let rows = first.iter().map(|(finished, fresh)| self.row(finished, fresh, failures, times));
        let mut new = delivery::create_new(&**tx, &rows.collect::<Vec<_>>()).await?;
        // Removed, so that of two hand-outs in one batch the second is late.
        let (new, late): (Vec<_>, Vec<_>) =
            first.into_iter().partition(|(finished, _)| new.remove(&finished.job.lease.delivery_id));
        note_lost(tx, new.iter().map(|(finished, _)| &finished.job), now_ms).await?;
        count_late(tx, &late).await?;
        let late = Late(late.iter().map(|(finished, _)| hand_out(&finished.job)).collect());
        Ok(First { late, new_messages })
    }

    /// Until when what is open is leased, by the store's clock: later than by the process's own, which began before.
    async fn lease_for_open(&self, tx: &Tx, first: &[(&Finished, &Fresh)]) -> AppResult<i64> {
        if !first.iter().any(|(finished, _)| matches!(finished.attempt, Attempt::Open(_))) {
            return Ok(0);
        }
        Ok(lease::store_now_ms(&**tx).await? + millis(self.rules.lease))
    }

    fn row(
        &self,
        finished: &Finished,
        fresh: &Fresh,
        failures: &Failures<'_>,
        (now_ms, open_until_ms): (i64, i64),
    ) -> delivery::Model {
        let job = &finished.job;
        let waiting = waiting(job, fresh, now_ms);
        match &finished.attempt {
            // The attempt that it was handed out for has no number.
            Attempt::NotBegun => delivery::Model {
                attempts: job.lease.attempt - 1,
                ..as_its_endpoint(waiting, job, failures, now_ms)
            },
            Attempt::Open(_) => delivery::Model {
                lease_until_ms: open_until_ms,
                ..as_its_endpoint(waiting, job, failures, now_ms)
            },
            Attempt::Made(attempted) if attempted.answer.outcome == Outcome::Success => delivery::Model {
                state: State::Delivered.as_str().to_owned(),
                settled_at_ms: Some(now_ms),
                ..waiting
            },
            // Only until this transaction settles it.
            Attempt::Made(_) => {
                delivery::Model { lease_until_ms: now_ms + millis(self.rules.lease), ..waiting }
            }
        }
    }
}

/// A delivery that is due, and that nobody holds.
fn waiting(job: &Job, fresh: &Fresh, now_ms: i64) -> delivery::Model {
    delivery::Model {
        id: job.lease.delivery_id.clone(),
        message_id: fresh.message.id.clone(),
        endpoint_id: job.recipient.endpoint_id.clone(),
        instance_id: fresh.instance_id.clone(),
        event: job.event.clone(),
        state: State::Pending.as_str().to_owned(),
        attempts: job.lease.attempt,
        lease_token: job.lease.token,
        failures: 0,
        next_attempt_at_ms: now_ms,
        lease_until_ms: 0,
        held_since_ms: None,
        dead_reason: None,
        created_at_ms: fresh.message.created_at_ms,
        settled_at_ms: None,
        kind: WEBHOOK.to_owned(),
        marketplace_id: None,
        installation_id: None,
        serial: None,
        sequence: None,
        give_up_at_ms: None,
    }
}

/// It waits for its endpoint, or to be claimed.
fn as_its_endpoint(
    waiting: delivery::Model,
    job: &Job,
    failures: &Failures<'_>,
    now_ms: i64,
) -> delivery::Model {
    let endpoint = failures.endpoint_of(job);
    let not_before_ms = job.fresh.as_ref().map_or(0, |fresh| fresh.not_before_ms);
    let is_held = endpoint.is_some_and(|endpoint| endpoint.holds(&job.event));
    let state = if is_held { State::Held } else { State::Pending };
    delivery::Model {
        state: state.as_str().to_owned(),
        held_since_ms: is_held.then_some(now_ms),
        next_attempt_at_ms: endpoint
            .map_or(0, |endpoint| endpoint.health().not_before_ms())
            .max(not_before_ms)
            .max(now_ms),
        ..waiting
    }
}

fn first(batch: &[Finished]) -> impl Iterator<Item = (&Finished, &Fresh)> {
    batch.iter().filter_map(|finished| Some((finished, finished.job.fresh.as_deref()?)))
}

/// Adds their messages that are new, each once and in the order of their ids, so that two replicas that record the same
/// ones do not wait for each other; the events of those.
async fn create_messages(tx: &Tx, first: &[(&Finished, &Fresh)]) -> AppResult<Vec<String>> {
    let messages: BTreeMap<_, _> =
        first.iter().map(|(_, fresh)| (fresh.message.id.as_str(), &*fresh.message)).collect();
    let new = message::create_new(&**tx, &messages.values().copied().collect::<Vec<_>>()).await?;
    Ok(new.iter().filter_map(|id| Some(messages.get(id.as_str())?.event.clone())).collect())
}

/// The hand-outs before this one ended without a word: their replica may have made an attempt each.
async fn note_lost(tx: &Tx, jobs: impl Iterator<Item = &Job>, now_ms: i64) -> AppResult<()> {
    let before = |job: &Job| {
        let id = job.lease.delivery_id.clone();
        (1..job.lease.attempt).map(move |number| lost(&id, number, now_ms))
    };
    attempt::note_lost(&**tx, jobs.flat_map(before).collect()).await?;
    Ok(())
}

async fn count_late(tx: &Tx, late: &[(&Finished, &Fresh)]) -> AppResult<()> {
    let made = late.iter().filter(|(finished, _)| finished.attempt.made().is_some());
    let counts: Vec<_> = made.map(|(finished, _)| hand_out(&finished.job)).collect();
    Ok(delivery::count_late(&**tx, &counts).await?)
}
