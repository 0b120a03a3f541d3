use std::{
    collections::{BTreeMap, HashSet},
    time::Duration,
};

use platform::{AppResult, clock::millis, db::Tx, outbox};
use proto::events::{DeliveryDead, subject};
use tracing::{Instrument as _, Span};

use super::{
    App,
    callbacks::Ended,
    failures::{Failure, Failures},
    first::{First, Late},
};
use crate::{
    domain::{
        answer::Outcome,
        callback::Ending,
        delivery::{Next, State, Tried, after},
        kind::Kind,
        reason::class_of,
    },
    sender::{Attempt, Attempted, Finished, Job},
    store::{
        attempt, endpoint,
        lease::{self, Lease},
    },
};

/// What a commit of results has changed, to be counted once it is true.
#[derive(Default)]
struct Settled {
    /// Results by the kind and by where they left the delivery: in its last state, `failed` (it goes on), or `late`
    /// (unchanged, another replica has it).
    results: BTreeMap<(&'static str, &'static str), u64>,
    ended: Vec<Ended>,
    /// Webhooks that died, by the class of the reason.
    dead_letters: BTreeMap<&'static str, u64>,
    /// The events of messages that nobody had recorded before.
    new_messages: Vec<String>,
    /// Something may have become due.
    wakes: bool,
}

pub(super) const FAILED: &str = "failed";
pub(super) const LATE: &str = "late";

impl App {
    /// Writes what came of these jobs, with one commit. Only who still holds the lease changes the delivery; every
    /// attempt is recorded, a late one too. Which first attempts were late.
    pub(crate) async fn record(&self, batch: &[Finished]) -> AppResult<Late> {
        let tx = self.db.begin().await?;
        let (now_ms, mut settled) = (self.clock.now_ms(), Settled::default());
        let decide = |job: &Job, attempted: &Attempted| self.decide(job, attempted, now_ms);
        let mut failures = Failures::lock(self, &tx, batch, decide, now_ms).await?;
        let First { late, new_messages } = self.add_first(&tx, batch, &failures, now_ms).await?;
        settled.new_messages = new_messages;
        attempt::record(&*tx, rows(batch)).await?;
        failures.change_endpoints(self, &tx, now_ms).await?;
        for failure in &failures.all {
            if late.has(failure.job) {
                settled.add(failure.job.kind(), LATE);
                continue;
            }
            let endpoint = failures.endpoint(failure);
            let settling = self.settle_failure(&tx, failure, endpoint, now_ms, &mut settled);
            settling.instrument(failure.attempted.span.clone()).await?;
        }
        self.settle_successes(&tx, batch, &late, &mut settled).await?;
        let is_unsent = |finished: &&Finished| matches!(finished.attempt, Attempt::NotBegun);
        lease::give_back(&*tx, &claimed(batch, is_unsent)).await?;
        tx.commit().await?;
        self.windows.count(&failures.signs, &self.rules.health, now_ms);
        if settled.wakes
            || failures.changed().next().is_some()
            || batch.iter().any(|finished| is_unsent(&finished))
        {
            self.wake.notify_one();
        }
        settled.count();
        failures.count_circuits();
        for endpoint_id in failures.changed() {
            self.reread_endpoint(endpoint_id).await;
        }
        Ok(late)
    }

    fn decide(&self, job: &Job, attempted: &Attempted, now_ms: i64) -> Next {
        let left = job.give_up_at_ms.map(|end| u64::try_from(end - now_ms).unwrap_or(0));
        let tried = Tried { failures: job.failures.saturating_add(1), left: left.map(Duration::from_millis) };
        let (kind, chance) = (job.kind(), self.random.unit());
        after(kind, &attempted.answer, tried, self.rules.schedule_for(kind), chance)
    }

    async fn settle_successes(
        &self,
        tx: &Tx,
        batch: &[Finished],
        late: &Late,
        settled: &mut Settled,
    ) -> AppResult<()> {
        let (leases, now_ms) = (claimed(batch, |finished| is_success(finished)), self.clock.now_ms());
        let delivered = lease::deliver(&**tx, &leases, now_ms).await?;
        let ours: HashSet<_> = delivered.iter().map(|one| (one.id.as_str(), one.lease_token)).collect();
        for Finished { job, .. } in batch.iter().filter(|one| is_success(one)) {
            let is_ours = match job.fresh {
                Some(_) => !late.has(job),
                None => ours.contains(&(job.lease.delivery_id.as_str(), job.lease.token)),
            };
            settled.add(job.kind(), if is_ours { State::Delivered.as_str() } else { LATE });
        }
        for callback in delivered.iter().filter(|one| one.kind() != Kind::Webhook) {
            let announcing = self.announce_settled(&**tx, callback, Ending::Delivered, now_ms);
            settled.ended.push(announcing.instrument(span_of(batch, &callback.id)).await?);
            settled.wakes = true;
        }
        Ok(())
    }

    async fn settle_failure(
        &self,
        tx: &Tx,
        Failure { job, next, .. }: &Failure<'_>,
        endpoint: Option<&endpoint::Model>,
        now_ms: i64,
        settled: &mut Settled,
    ) -> AppResult<()> {
        let is_held = endpoint.is_some_and(|endpoint| endpoint.holds(&job.event));
        let not_before_ms = endpoint.map_or(0, |endpoint| endpoint.health().not_before_ms());
        let goes_on = |is_ours| if is_ours { FAILED } else { LATE };
        let result = match next {
            Next::Refuse { reason } => {
                self.bury(tx, job, (Ending::Refused, Some(reason)), now_ms, settled).await?
            }
            Next::Supersede => self.bury(tx, job, (Ending::Superseded, None), now_ms, settled).await?,
            Next::Die { reason } if !is_held => {
                let ending = job.kind().operation().map_or(Ending::GivenUp, Ending::given_up);
                self.bury(tx, job, (ending, Some(reason)), now_ms, settled).await?
            }
            Next::Retry { wait, .. } if !is_held => {
                let at_ms = not_before_ms.max(now_ms + millis(*wait));
                goes_on(lease::retry(&**tx, &job.lease, at_ms).await?)
            }
            _ => goes_on(lease::hold(&**tx, &job.lease, now_ms).await?),
        };
        settled.add(job.kind(), result);
        settled.wakes |= result != LATE;
        Ok(())
    }

    /// Ends it without success, and answers the result. A callback's ending is told to whoever asked for it, a webhook's
    /// death to operators.
    async fn bury(
        &self,
        tx: &Tx,
        job: &Job,
        (ending, reason): (Ending, Option<&str>),
        now_ms: i64,
        settled: &mut Settled,
    ) -> AppResult<&'static str> {
        let end = lease::end(&**tx, &job.lease, (ending.state(), reason), now_ms);
        let Some(dead) = end.await? else { return Ok(LATE) };
        if dead.kind() == Kind::Webhook {
            let reason = reason.unwrap_or_default();
            *settled.dead_letters.entry(class_of(reason)).or_default() += 1;
            self.announce_dead(tx, (&dead.id, &dead.instance_id, &dead.event), reason, now_ms).await?;
        } else {
            settled.ended.push(self.announce_settled(&**tx, &dead, ending, now_ms).await?);
        }
        Ok(ending.state().as_str())
    }

    pub(super) async fn announce_dead(
        &self,
        tx: &Tx,
        (delivery_id, instance_id, event): (&str, &str, &str),
        reason: &str,
        now_ms: i64,
    ) -> AppResult<()> {
        tracing::warn!(delivery = delivery_id, event, reason, "a delivery is dead");
        let dead = DeliveryDead {
            delivery_id: delivery_id.to_owned(),
            instance_id: instance_id.to_owned(),
            event: event.to_owned(),
            reason: reason.to_owned(),
        };
        outbox::announce(&**tx, &self.ids, now_ms, subject::DELIVERY_DEAD, &dead).await?;
        self.tell_of_death(tx, (delivery_id, instance_id, event), reason, now_ms).await
    }
}

fn is_success(finished: &Finished) -> bool {
    finished.attempt.made().is_some_and(|attempted| attempted.answer.outcome == Outcome::Success)
}

/// The leases of those that came from the store.
fn claimed(batch: &[Finished], which: impl Fn(&&Finished) -> bool) -> Vec<Lease> {
    let claimed = batch.iter().filter(|finished| finished.job.fresh.is_none());
    claimed.filter(which).map(|finished| finished.job.lease.clone()).collect()
}

/// What came of the attempts, each once.
fn rows(batch: &[Finished]) -> Vec<attempt::Model> {
    let mut rows: Vec<_> = batch.iter().filter_map(row).collect();
    rows.sort_by(|a, b| (&a.delivery_id, a.number).cmp(&(&b.delivery_id, b.number)));
    rows.dedup_by(|a, b| (&a.delivery_id, a.number) == (&b.delivery_id, b.number));
    rows
}

fn span_of(batch: &[Finished], delivery_id: &str) -> Span {
    let attempted = batch.iter().find(|finished| finished.job.lease.delivery_id == delivery_id);
    attempted.and_then(|finished| finished.attempt.made()).map_or_else(Span::none, |it| it.span.clone())
}

fn row(finished: &Finished) -> Option<attempt::Model> {
    let attempted = finished.attempt.made()?;
    Some(attempt::Model {
        delivery_id: finished.job.lease.delivery_id.clone(),
        number: finished.job.lease.attempt,
        started_at_ms: attempted.started_at_ms,
        duration_ms: attempted.duration_ms,
        status: attempted.answer.status.map(i32::from),
        outcome: attempted.answer.outcome.as_str().to_owned(),
        response_size: attempted.answer.size.map(|size| i64::try_from(size).unwrap_or(i64::MAX)),
    })
}

impl Settled {
    fn add(&mut self, kind: Kind, result: &'static str) {
        *self.results.entry((kind.as_str(), result)).or_default() += 1;
    }

    fn count(self) {
        for ((kind, outcome), count) in &self.results {
            metrics::counter!("webhook_deliveries_total", "kind" => *kind, "outcome" => *outcome)
                .increment(*count);
        }
        for event in self.new_messages {
            metrics::counter!("webhook_messages_total", "event" => event).increment(1);
        }
        for (reason, count) in &self.dead_letters {
            metrics::counter!("webhook_dead_letters_total", "reason" => *reason).increment(*count);
        }
        self.ended.into_iter().for_each(Ended::count);
    }
}

#[cfg(test)]
mod tests;
