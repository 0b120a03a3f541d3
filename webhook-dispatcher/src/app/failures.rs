use std::collections::BTreeMap;

use platform::{AppResult, clock::millis, db::Tx};
use tracing::{Instrument as _, Span};

use super::{App, callbacks::Overtaken, health::signs_of};
use crate::{
    domain::{answer::Outcome, circuit, delivery::Next, health::Signs, verification::Intake},
    sender::{Attempted, Finished, Job},
    store::{backlog, delivery, endpoint},
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

    /// What the answer asks of the endpoint besides.
    fn add_to(&self, signs: &mut Signs, now_ms: i64) {
        match &self.next {
            Next::Disable => signs.is_gone = true,
            Next::Retry { throttle: Some(throttle), .. } => {
                signs.throttled_until_ms = signs.throttled_until_ms.max(now_ms + millis(*throttle));
            }
            _ => {}
        }
    }

    /// The answer is the endpoint's own only if it is still where the attempt went.
    fn weigh(&mut self, endpoint: &endpoint::Model) {
        if endpoint.base_url != self.job.recipient.route.url() {
            self.next = self.next.clone().at_moved();
        }
    }
}

/// An endpoint that is another one after the batch.
struct Change {
    before: endpoint::Model,
    after: endpoint::Model,
    /// Under which its consequences are announced.
    span: Span,
}

impl Change {
    /// Which of the endpoint's pending deliveries change with it: those due before that time.
    fn pending_until_ms(&self) -> Option<i64> {
        if self.is_disabled() {
            return Some(i64::MAX);
        }
        self.closes_until_ms().map(|until_ms| until_ms + 1).or_else(|| self.postpones_until_ms())
    }

    fn is_disabled(&self) -> bool {
        self.after.is_disabled() && !self.before.is_disabled()
    }

    /// It takes more than before, and what is held for it goes on.
    fn releases(&self) -> bool {
        let (before, after) = (self.before.health().intake(), self.after.health().intake());
        before != after && after == Intake::Everything
    }

    /// Until when what is pending waits.
    fn postpones_until_ms(&self) -> Option<i64> {
        let (before, after) = (self.before.health(), self.after.health());
        Some(after.not_before_ms()).filter(|until_ms| *until_ms > before.not_before_ms())
    }

    /// Its circuit closes, and what has waited for that until then goes on.
    fn closes_until_ms(&self) -> Option<i64> {
        let (before, after) = (self.before.health().circuit, self.after.health().circuit);
        (after.is_closed() && !before.is_closed()).then_some(before.until_ms)
    }

    /// How its circuit stands now, if otherwise than before.
    fn circuit(&self) -> Option<circuit::State> {
        let (before, after) = (self.before.health().circuit, self.after.health().circuit);
        (before.state != after.state).then_some(after.state)
    }
}

/// The failures of a batch and the endpoints that they concern, which nobody else changes until the transaction ends.
pub(super) struct Failures<'a> {
    pub(super) all: Vec<Failure<'a>>,
    endpoints: BTreeMap<String, endpoint::Model>,
    changes: Vec<Change>,
    /// What the batch tells of the endpoints where they are now.
    pub(super) signs: BTreeMap<&'a str, Signs>,
}

impl<'a> Failures<'a> {
    /// Every lock of the batch is taken here, and always in this order: the endpoints by their ids, then the
    /// deliveries by theirs. So no two replicas can wait for each other.
    pub(super) async fn lock(
        app: &App,
        tx: &Tx,
        batch: &'a [Finished],
        decide: impl Fn(&Job, &Attempted) -> Next,
        now_ms: i64,
    ) -> AppResult<Self> {
        let all =
            failed(batch).map(|(job, attempted)| Failure { job, attempted, next: decide(job, attempted) });
        let mut all: Vec<_> = all.collect();
        let endpoints = lock_endpoints(app, tx, batch, &all, now_ms).await?;
        for failure in &mut all {
            if let Some(endpoint) = endpoints.get(&failure.job.recipient.endpoint_id) {
                failure.weigh(endpoint);
            }
        }
        let signs = signs_here(app, batch, &all, &endpoints, now_ms);
        let changes = changes(app, &signs, &all, &endpoints, now_ms);
        lock_deliveries(tx, batch, &changes).await?;
        weigh_serials(tx, &mut all).await?;
        Ok(Self { all, endpoints, changes, signs })
    }

    /// The endpoint of a failure, as it stands now.
    pub(super) fn endpoint(&self, failure: &Failure<'_>) -> Option<&endpoint::Model> {
        self.endpoint_of(failure.job)
    }

    /// The endpoint of a job that failed, or that waits in the store for the first time.
    pub(super) fn endpoint_of(&self, job: &Job) -> Option<&endpoint::Model> {
        self.endpoints.get(&job.recipient.endpoint_id)
    }

    /// The endpoints that the answers have changed.
    pub(super) fn changed(&self) -> impl Iterator<Item = &str> {
        self.changes.iter().map(|change| change.after.id.as_str())
    }

    /// Counts the circuits that have changed, once that is true.
    pub(super) fn count_circuits(&self) {
        for state in self.changes.iter().filter_map(Change::circuit) {
            count_circuit(state);
        }
    }

    /// Disables, leaves alone or tries again whom the answers ask for it; before anything else, so that what failed
    /// besides is held, or waits, with the rest.
    pub(super) async fn change_endpoints(&mut self, app: &App, tx: &Tx, now_ms: i64) -> AppResult<()> {
        for change in &mut self.changes {
            let span = change.span.clone();
            change.after = app.change_health(tx, change, now_ms).instrument(span).await?;
            self.endpoints.insert(change.after.id.clone(), change.after.clone());
        }
        Ok(())
    }
}

/// Counts a circuit that has changed to this state.
pub(super) fn count_circuit(state: circuit::State) {
    metrics::counter!("webhook_circuit_changes_total", "state" => state.as_str()).increment(1);
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

/// What all attempts of the batch that `counts` tell of their endpoints.
fn signs<'a>(
    app: &App,
    batch: &'a [Finished],
    all: &[Failure<'a>],
    counts: impl Fn(&Job) -> bool,
    now_ms: i64,
) -> BTreeMap<&'a str, Signs> {
    let mut signs = signs_of(batch, counts);
    for failure in all {
        if let Some(signs) = signs.get_mut(failure.endpoint_id()) {
            failure.add_to(signs, now_ms);
        }
    }
    app.windows.weigh(&mut signs, &app.rules.health, now_ms);
    signs
}

/// For changing where an answer may change the endpoint, for reading where none does; once each, so that no lock has to
/// become a stronger one. A healthy endpoint is not even read.
async fn lock_endpoints(
    app: &App,
    tx: &Tx,
    batch: &[Finished],
    all: &[Failure<'_>],
    now_ms: i64,
) -> AppResult<BTreeMap<String, endpoint::Model>> {
    let failing = all.iter().map(Failure::endpoint_id);
    let mut wanted: BTreeMap<&str, bool> = waiting(batch).chain(failing).map(|id| (id, false)).collect();
    let signs = signs(app, batch, all, |_| true, now_ms);
    let changing = signs.iter().filter(|(_, signs)| signs.may_change(&app.rules.health, now_ms));
    wanted.extend(changing.map(|(id, _)| (*id, true)));
    let mut endpoints = BTreeMap::new();
    for (id, changes) in wanted {
        let found =
            if changes { endpoint::find(&**tx, id).await? } else { endpoint::find_shared(&**tx, id).await? };
        endpoints.extend(found.map(|endpoint| (id.to_owned(), endpoint)));
    }
    Ok(endpoints)
}

/// What an attempt at a URL that was left came to tells nothing. An endpoint that was not locked is where it was.
fn signs_here<'a>(
    app: &App,
    batch: &'a [Finished],
    all: &[Failure<'a>],
    endpoints: &BTreeMap<String, endpoint::Model>,
    now_ms: i64,
) -> BTreeMap<&'a str, Signs> {
    let is_here = |job: &Job| {
        let endpoint = endpoints.get(&job.recipient.endpoint_id);
        endpoint.is_none_or(|endpoint| endpoint.base_url == job.recipient.route.url())
    };
    signs(app, batch, all, is_here, now_ms)
}

/// How the endpoints stand after the batch.
fn changes(
    app: &App,
    signs: &BTreeMap<&str, Signs>,
    all: &[Failure<'_>],
    endpoints: &BTreeMap<String, endpoint::Model>,
    now_ms: i64,
) -> Vec<Change> {
    let changed = signs.iter().filter(|(_, signs)| signs.may_change(&app.rules.health, now_ms));
    let change = |(id, signs): (&&str, &Signs)| {
        let before = endpoints.get(*id)?.clone();
        let health = before.health().after(signs, &app.rules.health, now_ms);
        let after = before.clone().with(health);
        (after != before).then(|| Change { span: span_of(all, id), before, after })
    };
    changed.filter_map(change).collect()
}

/// The span of the failure that changed the endpoint, as far as that can be told; of successes none.
fn span_of(all: &[Failure<'_>], endpoint_id: &str) -> Span {
    let its = || all.iter().filter(|failure| failure.endpoint_id() == endpoint_id);
    let gone = its().find(|failure| failure.next == Next::Disable);
    gone.or_else(|| its().next_back()).map_or_else(Span::none, |failure| failure.attempted.span.clone())
}

async fn lock_deliveries(tx: &Tx, batch: &[Finished], changes: &[Change]) -> AppResult<()> {
    // First attempts have no row yet.
    let known = batch.iter().filter(|finished| finished.job.fresh.is_none());
    let own: Vec<&str> = known.map(|finished| finished.job.lease.delivery_id.as_str()).collect();
    let pending =
        changes.iter().filter_map(|change| Some((change.after.id.as_str(), change.pending_until_ms()?)));
    let released = changes.iter().filter(|change| change.releases()).map(|change| change.after.id.as_str());
    Ok(delivery::lock(&**tx, &own, &pending.collect::<Vec<_>>(), &released.collect::<Vec<_>>()).await?)
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
    async fn change_health(&self, tx: &Tx, change: &Change, now_ms: i64) -> AppResult<endpoint::Model> {
        let Change { before, after, .. } = change;
        if change.is_disabled() {
            let reason = after.standing().told_reason();
            tracing::warn!(endpoint = after.id, reason, "an endpoint was disabled");
        }
        if change.releases() {
            tracing::info!(endpoint = after.id, "an endpoint was verified");
        }
        let after = self.save(tx, before, after.clone(), now_ms).await?;
        if after.is_disabled() {
            return Ok(after);
        }
        if let Some(until_ms) = change.closes_until_ms() {
            let from_ms = now_ms.max(after.throttled_until_ms);
            backlog::hasten_until(&**tx, &after.id, until_ms, from_ms).await?;
        }
        if let Some(until_ms) = change.postpones_until_ms() {
            delivery::postpone(&**tx, &after.id, until_ms).await?;
        }
        Ok(after)
    }
}
