//! Replays: jobs that send many deliveries again, step by step.

use std::{collections::HashMap, time::Duration};

use platform::{AppError, AppResult, Shutdown, clock::millis, db::Tx};
use tokio::time::sleep;

use super::{App, Page, endpoints::no_endpoint};
use crate::{
    domain::{
        delivery::State,
        replay::{Found, Progress, Rate, Skip, Which},
        verification::Intake,
    },
    store::{
        delivery, endpoint,
        page::Part,
        prune,
        replay::{self, Filter, Model},
    },
};

/// The safety net behind the wake-ups: it finds what other replicas were asked for, and what those that died left.
const SLOW_POLL: Duration = Duration::from_secs(5);
/// After a failure of the store, and while another replica is at the only job that is due.
const PAUSE: Duration = Duration::from_millis(250);
/// Until the next look when too much is due.
const WAIT: Duration = Duration::from_secs(1);
/// Each takes its own share of the sending.
const MOST_RUNNING: u64 = 20;

/// What is to be sent again.
#[derive(Debug, Clone)]
pub struct ReplayRequest {
    /// To this endpoint; to all without it.
    pub endpoint_id: Option<String>,
    /// Of events from then.
    pub since_ms: i64,
    /// To before then; to now without it.
    pub until_ms: Option<i64>,
    /// Which of them.
    pub which: Which,
    /// Deliveries a second.
    pub rate: Rate,
    /// The same key is the same replay.
    pub idempotency_key: Option<String>,
}

impl ReplayRequest {
    /// What makes two requests the same.
    fn text(&self) -> String {
        let endpoint = self.endpoint_id.as_deref().unwrap_or("all");
        let until = self.until_ms.map_or_else(|| "now".to_owned(), |until_ms| until_ms.to_string());
        let (which, rate) = (self.which.as_str(), self.rate.per_second());
        format!("{endpoint} {since} {until} {which} {rate}", since = self.since_ms)
    }
}

/// What a step did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    /// Another replica has what is due.
    Taken,
    /// It moved a job on.
    Made,
}

impl App {
    /// Keeps a replay to be made; the same key, or the same request while it is made, is the same replay.
    pub async fn create_replay(&self, ask: &ReplayRequest) -> AppResult<Model> {
        let new = self.new_replay(ask)?;
        let tx = self.db.begin().await?;
        if let Some(id) = &ask.endpoint_id {
            endpoint::find_now(&*tx, id).await?.ok_or_else(no_endpoint)?;
        }
        // One that ends between the two looks leaves the place free.
        for _ in 0..3 {
            if let Some(there) = self.find_same(&tx, ask, &new).await? {
                return Ok(there);
            }
            if replay::count_running(&*tx).await? >= MOST_RUNNING {
                return Err(AppError::conflict(
                    "20 replays are running; wait for one of them, or cancel one",
                ));
            }
            if replay::create_unless_there(&*tx, &new).await? {
                tx.commit().await?;
                self.replays.notify_one();
                return Ok(new);
            }
        }
        Err(AppError::unavailable("another request for the same replay is being answered; ask again"))
    }

    fn new_replay(&self, ask: &ReplayRequest) -> AppResult<Model> {
        let now_ms = self.clock.now_ms();
        let until_ms = ask.until_ms.unwrap_or(i64::MAX).min(now_ms + 1);
        if ask.since_ms >= until_ms {
            return Err(AppError::invalid("since must be before until, and in the past"));
        }
        Ok(Model {
            id: self.ids.generate("rpl"),
            request: ask.text(),
            idempotency_key: ask.idempotency_key.clone(),
            endpoint_id: ask.endpoint_id.clone(),
            since_ms: ask.since_ms,
            until_ms,
            which: ask.which.as_str().to_owned(),
            rate_per_second: ask.rate.per_second().into(),
            state: Progress::Running.as_str().to_owned(),
            position: None,
            found: 0,
            replayed: 0,
            skipped_disabled: 0,
            skipped_settled: 0,
            skipped_in_flight: 0,
            skipped_body_gone: 0,
            next_step_at_ms: now_ms,
            created_at_ms: now_ms,
            finished_at_ms: None,
        })
    }

    async fn find_same(&self, tx: &Tx, ask: &ReplayRequest, new: &Model) -> AppResult<Option<Model>> {
        if let Some(key) = &ask.idempotency_key
            && let Some(there) = replay::find_by_key(&**tx, key).await?
        {
            return if there.request == new.request {
                Ok(Some(there))
            } else {
                Err(AppError::conflict("this Idempotency-Key was used for another replay; use a new key"))
            };
        }
        Ok(replay::find_running(&**tx, &new.request).await?)
    }

    /// One replay as it stands.
    pub async fn get_replay(&self, id: &str) -> AppResult<Model> {
        replay::find(self.db.read(), id).await?.ok_or_else(no_replay)
    }

    /// A part of the replays, newest first.
    pub async fn list_replays(&self, filter: &Filter, page: &Page) -> AppResult<Part<Model>> {
        Ok(replay::list(self.db.read(), filter, page.stretch()).await?)
    }

    /// Ends a replay where it stands; again changes nothing.
    pub async fn cancel_replay(&self, id: &str) -> AppResult<Model> {
        let tx = self.db.begin().await?;
        let current = replay::find_to_change(&*tx, id).await?.ok_or_else(no_replay)?;
        if current.is(Progress::Done) {
            return Err(AppError::conflict("this replay is done; there is nothing left to cancel"));
        }
        if current.is(Progress::Cancelled) {
            return Ok(current);
        }
        let cancelled = ended(current, Progress::Cancelled, self.clock.now_ms());
        replay::update(&*tx, &cancelled).await?;
        tx.commit().await?;
        Ok(cancelled)
    }

    /// Makes what is asked for, until `shutdown`.
    pub async fn drive_replays(self, shutdown: Shutdown) {
        shutdown.run_until_cancelled(Box::pin(self.drive())).await;
    }

    async fn drive(&self) {
        loop {
            match self.step_when_due().await {
                Ok(Step::Made) => {}
                Ok(Step::Taken) => sleep(PAUSE).await,
                Err(error) => {
                    tracing::warn!(?error, "a replay could not go on; trying again");
                    sleep(PAUSE).await;
                }
            }
        }
    }

    /// Waits until a step is due, or may be, and makes it.
    async fn step_when_due(&self) -> AppResult<Step> {
        let next_ms = replay::next_step_ms(self.db.read()).await?;
        if next_ms.is_some_and(|next_ms| next_ms <= self.clock.now_ms()) {
            return self.step().await;
        }
        let due = async {
            match next_ms {
                Some(next_ms) => self.clock.sleep_until_ms(next_ms).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = self.replays.notified() => {}
            () = due => {}
            () = sleep(SLOW_POLL) => {}
        }
        Ok(Step::Made)
    }

    async fn step(&self) -> AppResult<Step> {
        let tx = self.db.begin().await?;
        replay::bound_silence(&*tx).await?;
        let now_ms = self.clock.now_ms();
        let Some(current) = replay::take_due(&*tx, now_ms).await? else { return Ok(Step::Taken) };
        let rate = rate_of(&current);
        let due = delivery::count_due(&*tx, current.endpoint_id.as_deref(), now_ms, rate.most_due().into());
        if due.await? >= u64::from(rate.most_due()) {
            let next_step_at_ms = now_ms + millis(WAIT);
            replay::update(&*tx, &Model { next_step_at_ms, ..current }).await?;
            tx.commit().await?;
            return Ok(Step::Made);
        }
        let batch = self.send_again(&tx, &current, rate, now_ms).await?;
        replay::update(&*tx, &batch.moves(current, rate, now_ms)).await?;
        tx.commit().await?;
        batch.count();
        if !batch.again.is_empty() {
            self.wake.notify_one();
        }
        Ok(Step::Made)
    }

    /// Sends the next deliveries of the job again. The endpoints are locked before the deliveries, and both in the order
    /// of their ids, as everywhere.
    async fn send_again(&self, tx: &Tx, job: &Model, rate: Rate, now_ms: i64) -> AppResult<Batch> {
        let looked_at = u64::from(rate.looked_at());
        let next = candidates(tx, job, looked_at).await?;
        let is_last = (next.len() as u64) < looked_at;
        let (ids, endpoints): (Vec<_>, Vec<_>) = next.into_iter().unzip();
        let last = ids.last().cloned();
        let takes = intakes(tx, endpoints).await?;
        let found = delivery::take(&**tx, ids).await?;
        let messages = found.iter().map(|one| one.message_id.clone()).collect();
        let kept = prune::keep_bodies(&**tx, messages).await?;
        let mut batch = Batch::default();
        let mut meant = found.iter().filter(|one| is_meant(job, one));
        while batch.again.len() < rate.at_once() as usize
            && let Some(one) = meant.next()
        {
            let endpoint_takes = takes.get(&one.endpoint_id).is_some_and(|intake| intake.takes(&one.event));
            batch.look_at(one, endpoint_takes, kept.contains(&one.message_id));
        }
        if meant.next().is_none() {
            batch = Batch { is_last, position: last, ..batch };
        }
        delivery::send_again(&**tx, &batch.again, now_ms).await?;
        Ok(batch)
    }
}

/// The next deliveries of the job, with their endpoints.
async fn candidates(tx: &Tx, job: &Model, limit: u64) -> AppResult<Vec<(String, String)>> {
    let Some(id) = &job.endpoint_id else { return Ok(replay::candidates(&**tx, job, None, limit).await?) };
    match endpoint::find_now(&**tx, id).await? {
        Some(endpoint) => Ok(replay::candidates(&**tx, job, Some(&endpoint), limit).await?),
        None => Ok(Vec::new()),
    }
}

/// What each of these endpoints takes: nobody disables one until the transaction ends.
async fn intakes(tx: &Tx, mut ids: Vec<String>) -> AppResult<HashMap<String, Intake>> {
    ids.sort_unstable();
    ids.dedup();
    let endpoints = endpoint::list_shared(&**tx, ids).await?;
    Ok(endpoints.into_iter().map(|one| (one.id.clone(), one.health().intake())).collect())
}

/// It may have changed since it was looked for.
fn is_meant(job: &Model, delivery: &delivery::Model) -> bool {
    let is_to_it = job.endpoint_id.as_ref().is_none_or(|id| *id == delivery.endpoint_id);
    is_to_it && (job.which() == Which::All || delivery.is(State::Dead))
}

/// A rate that this release does not know becomes the usual one.
fn rate_of(job: &Model) -> Rate {
    Rate::new(u32::try_from(job.rate_per_second).ok()).unwrap_or_default()
}

fn ended(job: Model, progress: Progress, now_ms: i64) -> Model {
    Model { state: progress.as_str().to_owned(), finished_at_ms: Some(now_ms), ..job }
}

/// What a step has found.
#[derive(Debug, Default)]
struct Batch {
    /// Those that are sent again.
    again: Vec<String>,
    skipped: Vec<Skip>,
    /// The last one that was looked at.
    position: Option<String>,
    /// Nothing follows.
    is_last: bool,
}

impl Batch {
    fn look_at(&mut self, delivery: &delivery::Model, endpoint_takes: bool, has_body: bool) {
        let found = Found { kind: delivery.kind(), course: delivery.course(), endpoint_takes, has_body };
        match found.may_be_sent_again() {
            Ok(()) => self.again.push(delivery.id.clone()),
            Err(skip) => self.skipped.push(skip),
        }
        self.position = Some(delivery.id.clone());
    }

    /// The job after this step.
    fn moves(&self, job: Model, rate: Rate, now_ms: i64) -> Model {
        let skipped = |which| as_count(self.skipped.iter().filter(|skip| **skip == which).count());
        let replayed = as_count(self.again.len());
        let pause = rate.pause_after(u32::try_from(self.again.len()).unwrap_or(u32::MAX));
        let moved = Model {
            position: self.position.clone().or(job.position),
            found: job.found + replayed + as_count(self.skipped.len()),
            replayed: job.replayed + replayed,
            skipped_disabled: job.skipped_disabled + skipped(Skip::Disabled),
            skipped_settled: job.skipped_settled + skipped(Skip::Settled),
            skipped_in_flight: job.skipped_in_flight + skipped(Skip::InFlight),
            skipped_body_gone: job.skipped_body_gone + skipped(Skip::BodyGone),
            next_step_at_ms: now_ms + millis(pause),
            ..job
        };
        if self.is_last { ended(moved, Progress::Done, now_ms) } else { moved }
    }

    fn count(&self) {
        metrics::counter!("webhook_replayed_total").increment(self.again.len() as u64);
        for skip in &self.skipped {
            metrics::counter!("webhook_replay_skipped_total", "reason" => skip.as_str()).increment(1);
        }
    }
}

fn as_count(count: usize) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

fn no_replay() -> AppError {
    AppError::not_found("there is no replay with this id; list the replays to see their ids")
}
