use std::collections::BTreeMap;

use platform::{AppResult, clock::millis, db::Tx};
use tracing::Instrument as _;

use super::{App, callbacks::Overtaken};
use crate::{
    domain::{answer::Outcome, delivery::Next},
    sender::{Attempted, Finished, Job},
    store::{delivery, endpoint},
};

/// An attempt that failed, and what follows from it.
pub(super) struct Failure<'a> {
    pub(super) job: &'a Job,
    pub(super) attempted: &'a Attempted,
    pub(super) next: Next,
}

impl Failure<'_> {
    fn endpoint_id(&self) -> &str {
        &self.job.recipient.endpoint_id
    }

    /// Until when the endpoint asked to be left alone.
    fn throttled_until_ms(&self, now_ms: i64) -> Option<i64> {
        match &self.next {
            Next::Retry { throttle: Some(throttle), .. } => Some(now_ms + millis(*throttle)),
            _ => None,
        }
    }

    /// Which of the endpoint's pending deliveries change with it: those due before that time.
    fn changes_pending_until_ms(&self, now_ms: i64) -> Option<i64> {
        if self.next == Next::Disable { Some(i64::MAX) } else { self.throttled_until_ms(now_ms) }
    }

    /// The answer is the endpoint's own only if it is still where the attempt went.
    fn weigh(&mut self, endpoint: &endpoint::Model) {
        if endpoint.base_url != self.job.recipient.route.url() {
            self.next = self.next.clone().at_moved();
        }
    }
}

/// The failures of a batch and the endpoints that they concern, which nobody else changes until the transaction ends.
pub(super) struct Failures<'a> {
    pub(super) all: Vec<Failure<'a>>,
    endpoints: BTreeMap<String, endpoint::Model>,
    /// Those that the answers have changed.
    pub(super) changed: Vec<String>,
}

impl<'a> Failures<'a> {
    /// Every lock of the batch is taken here, and always in this order: the endpoints by their ids, then the
    /// deliveries by theirs. So no two replicas can wait for each other.
    pub(super) async fn lock(
        tx: &Tx,
        batch: &'a [Finished],
        decide: impl Fn(&Job, &Attempted) -> Next,
        now_ms: i64,
    ) -> AppResult<Self> {
        let all =
            failed(batch).map(|(job, attempted)| Failure { job, attempted, next: decide(job, attempted) });
        let mut all: Vec<_> = all.collect();
        let endpoints = lock_endpoints(tx, &all, waiting(batch), now_ms).await?;
        for failure in &mut all {
            if let Some(endpoint) = endpoints.get(&failure.job.recipient.endpoint_id) {
                failure.weigh(endpoint);
            }
        }
        lock_deliveries(tx, batch, &all, now_ms).await?;
        weigh_serials(tx, &mut all).await?;
        Ok(Self { all, endpoints, changed: Vec::new() })
    }

    /// The endpoint of a failure, as it stands now.
    pub(super) fn endpoint(&self, failure: &Failure<'_>) -> Option<&endpoint::Model> {
        self.endpoint_of(failure.job)
    }

    /// The endpoint of a job that failed, or that waits in the store for the first time.
    pub(super) fn endpoint_of(&self, job: &Job) -> Option<&endpoint::Model> {
        self.endpoints.get(&job.recipient.endpoint_id)
    }

    /// Disables and leaves alone whom the answers ask for it; before anything else, so that what failed besides is
    /// held, or waits, with the rest.
    pub(super) async fn change_endpoints(&mut self, app: &App, tx: &Tx, now_ms: i64) -> AppResult<()> {
        for failure in &self.all {
            let Some(endpoint) = self.endpoints.get_mut(failure.endpoint_id()) else { continue };
            if failure.next == Next::Disable {
                let gone = app.disable_gone(&**tx, endpoint.clone(), now_ms);
                *endpoint = gone.instrument(failure.attempted.span.clone()).await?;
            } else if let Some(until_ms) = failure.throttled_until_ms(now_ms) {
                app.leave_alone(tx, endpoint, until_ms, now_ms).await?;
            } else {
                continue;
            }
            self.changed.push(endpoint.id.clone());
        }
        Ok(())
    }
}

fn failed(batch: &[Finished]) -> impl Iterator<Item = (&Job, &Attempted)> {
    let made = batch.iter().filter_map(|finished| Some((&finished.job, finished.attempt.made()?)));
    made.filter(|(_, attempted)| attempted.answer.outcome != Outcome::Success)
}

/// The endpoints for which something begins to wait in the store.
fn waiting(batch: &[Finished]) -> impl Iterator<Item = &str> {
    let waits = |finished: &&Finished| finished.attempt.made().is_none() && finished.job.fresh.is_some();
    batch.iter().filter(waits).map(|finished| finished.job.recipient.endpoint_id.as_str())
}

/// For changing where an answer changes the endpoint, for reading where none does; once each, so that no lock has to
/// become a stronger one.
async fn lock_endpoints<'a>(
    tx: &Tx,
    all: &'a [Failure<'_>],
    waiting: impl Iterator<Item = &'a str>,
    now_ms: i64,
) -> AppResult<BTreeMap<String, endpoint::Model>> {
    let mut wanted: BTreeMap<&str, bool> = waiting.map(|id| (id, false)).collect();
    for failure in all {
        *wanted.entry(failure.endpoint_id()).or_default() |=
            failure.changes_pending_until_ms(now_ms).is_some();
    }
    let mut endpoints = BTreeMap::new();
    for (id, changes) in wanted {
        let found =
            if changes { endpoint::find(&**tx, id).await? } else { endpoint::find_shared(&**tx, id).await? };
        endpoints.extend(found.map(|endpoint| (id.to_owned(), endpoint)));
    }
    Ok(endpoints)
}

async fn lock_deliveries(tx: &Tx, batch: &[Finished], all: &[Failure<'_>], now_ms: i64) -> AppResult<()> {
    // First attempts have no row yet.
    let known = batch.iter().filter(|finished| finished.job.fresh.is_none());
    let own: Vec<&str> = known.map(|finished| finished.job.lease.delivery_id.as_str()).collect();
    let pending = all
        .iter()
        .filter_map(|failure| Some((failure.endpoint_id(), failure.changes_pending_until_ms(now_ms)?)));
    Ok(delivery::lock(&**tx, &own, &pending.collect::<Vec<_>>()).await?)
}

/// A failed callback that a later one waits for is not tried again. Its row is locked by now, see [`Overtaken`].
async fn weigh_serials(tx: &Tx, all: &mut [Failure<'_>]) -> AppResult<()> {
    let places = all.iter().filter_map(|failure| failure.job.place.clone());
    let overtaken = Overtaken::among_places(&**tx, places).await?;
    for failure in all {
        if failure.job.place.as_ref().is_some_and(|place| overtaken.has_place(place)) {
            failure.next = failure.next.clone().overtaken();
        }
    }
    Ok(())
}

impl App {
    async fn leave_alone(
        &self,
        tx: &Tx,
        endpoint: &mut endpoint::Model,
        until_ms: i64,
        now_ms: i64,
    ) -> AppResult<()> {
        if endpoint.throttled_until_ms < until_ms {
            endpoint.throttled_until_ms = until_ms;
            endpoint::update(&**tx, endpoint).await?;
            self.announce_changed(&**tx, endpoint, now_ms).await?;
        }
        delivery::postpone(&**tx, &endpoint.id, until_ms).await?;
        Ok(())
    }
}
