use std::collections::HashSet;

use platform::{AppResult, clock::millis, db::Tx, outbox};
use proto::events::{DeliveryDead, subject};
use tracing::Instrument as _;

use super::App;
use crate::{
    domain::{
        answer::Outcome,
        delivery::{Next, State, after},
    },
    sender::{Attempted, Finished, Job},
    store::{attempt, delivery, endpoint, lease},
};

/// What a commit of results has changed, to be counted once it is true.
#[derive(Default)]
struct Settled {
    delivered: u64,
    dead: u64,
    retried: u64,
    late: u64,
}

impl App {
    /// Writes what came of these jobs, with one commit. Only who still holds the lease changes the delivery; every
    /// attempt is recorded, a late one too.
    pub(crate) async fn record(&self, batch: &[Finished]) -> AppResult<()> {
        let tx = self.db.begin().await?;
        let mut settled = Settled::default();
        self.disable_those_gone(&tx, batch).await?;
        let disabled = disabled_of(&tx, batch).await?;
        for (job, attempted) in failed(batch) {
            self.settle_failure(&tx, job, attempted, &disabled, &mut settled)
                .instrument(attempted.span.clone())
                .await?;
        }
        self.settle_successes(&tx, batch, &mut settled).await?;
        for unsent in batch.iter().filter(|finished| finished.attempt.is_none()) {
            lease::give_back(&*tx, &unsent.job.lease).await?;
        }
        attempt::record(&*tx, batch.iter().filter_map(row).collect()).await?;
        tx.commit().await?;
        settled.count();
        if settled.retried > 0 || batch.iter().any(|finished| finished.attempt.is_none()) {
            self.wake.notify_one();
        }
        Ok(())
    }

    /// Before anything else, so that what failed besides is held with the rest.
    async fn disable_those_gone(&self, tx: &Tx, batch: &[Finished]) -> AppResult<()> {
        for (job, attempted) in failed(batch).filter(|(_, attempted)| attempted.answer.status == Some(410)) {
            let id = &job.recipient.endpoint_id;
            self.disable_gone(&**tx, id).instrument(attempted.span.clone()).await?;
        }
        Ok(())
    }

    async fn settle_successes(&self, tx: &Tx, batch: &[Finished], settled: &mut Settled) -> AppResult<()> {
        let leases: Vec<_> = batch
            .iter()
            .filter(|finished| is_success(finished))
            .map(|finished| finished.job.lease.clone())
            .collect();
        let delivered = lease::deliver(&**tx, &leases, self.clock.now_ms()).await?.len() as u64;
        settled.delivered += delivered;
        settled.late += leases.len() as u64 - delivered;
        Ok(())
    }

    async fn settle_failure(
        &self,
        tx: &Tx,
        job: &Job,
        attempted: &Attempted,
        disabled: &HashSet<String>,
        settled: &mut Settled,
    ) -> AppResult<()> {
        let now_ms = self.clock.now_ms();
        let failures = job.failures.saturating_add(1);
        let is_disabled = disabled.contains(&job.recipient.endpoint_id);
        let is_ours = match after(&attempted.answer, failures, &self.rules.schedule, self.random.unit()) {
            Next::Die { reason } if !is_disabled => self.bury(tx, job, &reason, now_ms, settled).await?,
            Next::Retry { wait, throttle } if !is_disabled => {
                if let Some(throttle) = throttle {
                    leave_alone(tx, &job.recipient.endpoint_id, now_ms + millis(throttle)).await?;
                }
                lease::retry(&**tx, &job.lease, State::Pending, now_ms + millis(wait)).await?
            }
            _ => lease::retry(&**tx, &job.lease, State::Held, now_ms).await?,
        };
        settled.retried += u64::from(is_ours);
        settled.late += u64::from(!is_ours);
        Ok(())
    }

    async fn bury(
        &self,
        tx: &Tx,
        job: &Job,
        reason: &str,
        now_ms: i64,
        settled: &mut Settled,
    ) -> AppResult<bool> {
        let is_ours = lease::die(&**tx, &job.lease, reason, now_ms).await?;
        if is_ours {
            settled.dead += 1;
            let (id, instance) = (&job.lease.delivery_id, &job.recipient.instance_id);
            self.announce_dead(tx, (id, instance, &job.event), reason, now_ms).await?;
        }
        Ok(is_ours)
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
        Ok(())
    }
}

fn is_success(finished: &Finished) -> bool {
    finished.attempt.as_ref().is_some_and(|attempted| attempted.answer.outcome == Outcome::Success)
}

fn failed(batch: &[Finished]) -> impl Iterator<Item = (&Job, &Attempted)> {
    let made = batch.iter().filter_map(|finished| Some((&finished.job, finished.attempt.as_ref()?)));
    made.filter(|(_, attempted)| attempted.answer.outcome != Outcome::Success)
}

/// Of the endpoints that failed, those that are disabled; none of them changes until the transaction ends.
async fn disabled_of(tx: &Tx, batch: &[Finished]) -> AppResult<HashSet<String>> {
    let mut ids: Vec<String> = failed(batch).map(|(job, _)| job.recipient.endpoint_id.clone()).collect();
    ids.sort_unstable();
    ids.dedup();
    if ids.is_empty() {
        return Ok(HashSet::new());
    }
    let endpoints = endpoint::list_shared(&**tx, &ids).await?;
    Ok(endpoints.into_iter().filter(endpoint::Model::is_disabled).map(|endpoint| endpoint.id).collect())
}

async fn leave_alone(tx: &Tx, endpoint_id: &str, until_ms: i64) -> AppResult<()> {
    endpoint::throttle(&**tx, endpoint_id, until_ms).await?;
    Ok(delivery::postpone(&**tx, endpoint_id, until_ms).await?)
}

fn row(finished: &Finished) -> Option<attempt::Model> {
    let attempted = finished.attempt.as_ref()?;
    Some(attempt::Model {
        delivery_id: finished.job.lease.delivery_id.clone(),
        number: finished.job.lease.token,
        started_at_ms: attempted.started_at_ms,
        duration_ms: attempted.duration_ms,
        status: attempted.answer.status.map(i32::from),
        outcome: attempted.answer.outcome.as_str().to_owned(),
        response_size: attempted.answer.size.map(|size| i64::try_from(size).unwrap_or(i64::MAX)),
    })
}

impl Settled {
    fn count(&self) {
        let outcomes = [("delivered", self.delivered), ("dead", self.dead), ("late", self.late)];
        for (outcome, count) in outcomes.into_iter().chain([("failed", self.retried - self.dead)]) {
            metrics::counter!("webhook_deliveries_total", "outcome" => outcome).increment(count);
        }
        metrics::counter!("webhook_dead_letters_total").increment(self.dead);
    }
}
