use std::{
    pin::{Pin, pin},
    sync::Arc,
    time::Duration,
};

use metrics::{Counter, Histogram};
use platform::{Clock, Shutdown, clock::millis, telemetry::SPANS};
use tokio::{
    sync::{
        mpsc,
        oneshot::{self, error::RecvError},
    },
    task::JoinSet,
    time::{Instant, timeout},
};
use tracing::{Instrument as _, Span, field::Empty};

use super::{Attempt, Attempted, Client, Finished, Fresh, Job, RESULT_MARGIN, Signed, Slots, Turn};
use crate::domain::answer::{Answer, Outcome};

/// After so long an attempt only waits for its receiver, and lets another work; a first one is kept in the store.
const WORK: Duration = Duration::from_millis(250);

/// After so long more it counts as hanging.
const LONG: Duration = Duration::from_millis(750);

/// Makes the attempts.
pub struct Worker {
    /// Where they come from.
    pub jobs: mpsc::Receiver<Job>,
    /// Where their results go.
    pub results: mpsc::Sender<Finished>,
    /// Closed when the worker ends, so that nothing new is begun.
    pub slots: Slots,
    /// Makes the requests.
    pub client: Client,
    /// How long an attempt may last.
    pub longest_attempt: Duration,
    /// How long a signed callback is good.
    pub validity: Duration,
    /// The time.
    pub clock: Clock,
}

/// What each attempt needs of the worker.
struct Bench {
    client: Client,
    longest_attempt: Duration,
    validity: Duration,
    clock: Clock,
    meters: Meters,
    shutdown: Shutdown,
}

/// What is counted of attempts; kept, so that none of them looks it up by name.
struct Meters {
    /// By the outcome.
    attempts: [Counter; Outcome::ALL.len()],
    duration: Histogram,
}

impl Meters {
    fn new() -> Self {
        let of =
            |outcome: Outcome| metrics::counter!("webhook_attempts_total", "outcome" => outcome.as_str());
        Self {
            attempts: Outcome::ALL.map(of),
            duration: metrics::histogram!("webhook_attempt_duration_seconds"),
        }
    }

    fn count(&self, outcome: Outcome, took: Duration) {
        self.attempts[outcome as usize].increment(1);
        self.duration.record(took.as_secs_f64());
    }
}

impl Worker {
    /// Works until `shutdown`; then finishes what is in flight and gives back what was not begun.
    pub async fn run(mut self, shutdown: Shutdown) {
        let bench = Arc::new(Bench {
            client: self.client,
            longest_attempt: self.longest_attempt,
            validity: self.validity,
            clock: self.clock,
            meters: Meters::new(),
            shutdown: shutdown.clone(),
        });
        let mut running = JoinSet::new();
        loop {
            // Not waited for, so that not each of them wakes this task.
            while running.try_join_next().is_some() {}
            tokio::select! {
                Some(job) = self.jobs.recv() => {
                    running.spawn(Arc::clone(&bench).work(job, self.results.clone()));
                }
                () = shutdown.cancelled() => break,
            }
        }
        self.slots.close();
        self.jobs.close();
        while let Some(job) = self.jobs.recv().await {
            running.spawn(Arc::clone(&bench).work(job, self.results.clone()));
        }
        while running.join_next().await.is_some() {}
    }
}

impl Bench {
    async fn work(self: Arc<Self>, mut job: Job, results: mpsc::Sender<Finished>) {
        let fresh = job.fresh.take();
        // An error: the store could not be told of the open attempt for longer than it was of use. Its message comes again.
        let Ok((attempt, fresh)) = self.in_turn(&job, fresh, &results).await else { return };
        job.fresh = fresh;
        // The recorder ends after the last worker, so it is there; without it the lease runs out.
        let _ = results.send(Finished { job, attempt }).await;
    }

    /// What came of the job, and what the store is still to be told of it.
    async fn in_turn(
        &self,
        job: &Job,
        fresh: Option<Box<Fresh>>,
        results: &mpsc::Sender<Finished>,
    ) -> Result<(Attempt, Option<Box<Fresh>>), RecvError> {
        let Some(turn) = self.turn(job).await else { return Ok((Attempt::NotBegun, fresh)) };
        let mut attempt = pin!(self.attempt(job));
        if let Ok(attempted) = timeout(WORK, &mut attempt).await {
            turn.ended(attempted.answer.outcome);
            return Ok((Attempt::Made(attempted), fresh));
        }
        // Boxed, so that no room is kept for it in those that end soon.
        let rest = Box::pin(async { tokio::join!(at_rest(turn, attempt), keep(job, fresh, results)) });
        let (attempted, fresh) = rest.await;
        Ok((Attempt::Made(attempted), fresh?))
    }

    /// The job's turn, unless its attempt cannot be made now, the process ends, the lease would end before it, or its time
    /// was over before its turn came.
    async fn turn<'a>(&self, job: &'a Job) -> Option<Turn<'a>> {
        let slot = job.slot.as_ref()?;
        let turn = tokio::select! {
            biased;
            () = self.shutdown.cancelled() => return None,
            turn = slot.turn() => turn?,
        };
        if !lasts(job.lease_ends, Instant::now(), self.longest_attempt) || job.is_over(self.clock.now_ms()) {
            return None;
        }
        Some(turn)
    }

    async fn attempt(&self, job: &Job) -> Attempted {
        let span = span(job);
        let (started_at_ms, started) = (self.clock.now_ms(), Instant::now());
        let answer = self.answer(job, started_at_ms).instrument(span.clone()).await;
        note(&span, &answer);
        let took = started.elapsed();
        self.meters.count(answer.outcome, took);
        Attempted { started_at_ms, duration_ms: millis(took), answer, span }
    }

    async fn answer(&self, job: &Job, now_ms: i64) -> Answer {
        match Signed::new(job, now_ms, self.validity) {
            Ok(request) => job.kind().classify(self.client.send(request).await),
            Err(error) => {
                let (delivery, endpoint) = (&job.lease.delivery_id, &job.recipient.endpoint_id);
                tracing::error!(delivery, endpoint, %error, "a delivery cannot be signed");
                Answer::none(Outcome::Unsigned)
            }
        }
    }
}

/// The rest of an attempt that waits for its receiver.
async fn at_rest(mut turn: Turn<'_>, mut attempt: Pin<&mut impl Future<Output = Attempted>>) -> Attempted {
    turn.rest();
    let attempted = if let Ok(attempted) = timeout(LONG, &mut attempt).await {
        attempted
    } else {
        turn.hangs();
        attempt.await
    };
    turn.ended(attempted.answer.outcome);
    attempted
}

/// Has a first attempt kept in the store while it is open, so that its message may leave the bus; what is left to be told
/// of it at its end.
async fn keep(
    job: &Job,
    fresh: Option<Box<Fresh>>,
    results: &mpsc::Sender<Finished>,
) -> Result<Option<Box<Fresh>>, RecvError> {
    let Some(fresh) = fresh else { return Ok(None) };
    let (told, kept) = oneshot::channel();
    let open = Finished { job: job.opened(fresh), attempt: Attempt::Open(told) };
    // Without the recorder nobody is told.
    let _ = results.send(open).await;
    kept.await
}

/// Whether the lease lasts until the attempt has ended and its result is written.
fn lasts(lease_ends: Instant, now: Instant, longest_attempt: Duration) -> bool {
    lease_ends >= now + longest_attempt + RESULT_MARGIN
}

/// The first attempt belongs to the trace of the message; a later one, hours after it, begins its own and links back.
fn span(job: &Job) -> Span {
    let span = tracing::trace_span!(
        target: SPANS,
        parent: None,
        "deliver",
        otel.name = format!("deliver {}", job.event),
        otel.kind = "client",
        otel.status_code = Empty,
        http.request.method = "POST",
        http.response.status_code = Empty,
        mercato.delivery_id = job.lease.delivery_id,
        mercato.endpoint_id = job.recipient.endpoint_id,
        mercato.attempt = job.lease.attempt,
        mercato.outcome = Empty,
    );
    match job.lease.attempt {
        1 => job.trace.set_parent(&span),
        _ => job.trace.link(&span),
    }
    span
}

fn note(span: &Span, answer: &Answer) {
    span.record("mercato.outcome", answer.outcome.as_str());
    if let Some(status) = answer.status {
        span.record("http.response.status_code", status);
    }
    if answer.outcome != Outcome::Success {
        span.record("otel.status_code", "ERROR");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_attempt_begins_whose_result_could_come_after_its_lease() {
        let (now, longest) = (Instant::now(), Duration::from_secs(30));
        for (left, may_begin) in [(30_000, false), (34_999, false), (35_000, true)] {
            let lease_ends = now + Duration::from_millis(left);
            assert_eq!(lasts(lease_ends, now, longest), may_begin, "{left} ms");
        }
    }
}
