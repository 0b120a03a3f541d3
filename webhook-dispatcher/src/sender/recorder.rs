use std::time::Duration;

use platform::Code;
use tokio::{
    sync::mpsc,
    time::{Instant, sleep},
};

use super::{Attempt, Finished};
use crate::app::{App, Late};

/// One commit writes at most so many results.
const BATCH: usize = 512;
/// So long a result waits for others to share a commit with: the receiver has its answer, and nobody but the bus waits.
const GATHER: Duration = Duration::from_millis(10);
const PAUSE: Duration = Duration::from_millis(500);

/// Writes what came of the attempts, many with one commit.
pub struct Recorder {
    /// Writes.
    pub app: App,
    /// What came of them.
    pub results: mpsc::Receiver<Finished>,
    /// Results that the store has refused for so long are of no use: the leases have run out.
    pub lease: Duration,
}

impl Recorder {
    /// Writes until the last worker has ended.
    pub async fn run(mut self) {
        let mut batch = Vec::with_capacity(BATCH);
        while self.gather(&mut batch).await {
            if let Some(late) = self.write(&mut batch).await {
                batch.drain(..).for_each(|finished| tell(finished, &late));
            }
            // Who waits for what was not written learns it by this, and its message comes again.
            batch.clear();
        }
    }

    /// The results that come within a moment of the first one. False: there are no more.
    async fn gather(&mut self, batch: &mut Vec<Finished>) -> bool {
        if self.results.recv_many(batch, BATCH).await == 0 {
            return false;
        }
        if batch.len() < BATCH {
            // Looked at once more, and not at each result that comes.
            sleep(GATHER).await;
        }
        while batch.len() < BATCH {
            let Ok(finished) = self.results.try_recv() else { break };
            batch.push(finished);
        }
        true
    }

    /// A store that is away is waited for, however long: the attempts were made, forgetting them would repeat them, and
    /// meanwhile nobody else can write either. Nothing: it refuses them.
    async fn write(&self, batch: &mut [Finished]) -> Option<Late> {
        let give_up = Instant::now() + self.lease;
        // Rows are always written in this order; the locks before them are taken by `Failures::lock`.
        batch.sort_by(|a, b| a.job.lease.delivery_id.cmp(&b.job.lease.delivery_id));
        loop {
            let error = match self.app.record(batch).await {
                Ok(late) => return Some(late),
                Err(error) => error,
            };
            if error.code() != Code::Unavailable && Instant::now() > give_up {
                tracing::error!(
                    ?error,
                    lost = batch.len(),
                    "results of attempts were lost; they are made again"
                );
                return None;
            }
            tracing::warn!(?error, "results of attempts could not be written; trying again");
            sleep(PAUSE).await;
        }
    }
}

/// Nobody waits any more where the consumer, or the worker, was ended meanwhile. Only the holder of a lease is told that
/// an open attempt is kept; the message of any other waits for its end.
fn tell(finished: Finished, late: &Late) {
    let is_late = late.has(&finished.job);
    let Some(fresh) = finished.job.fresh else { return };
    match finished.attempt {
        Attempt::Open(told) if is_late => drop(told.send(Some(fresh))),
        Attempt::Open(told) => {
            let _ = told.send(None);
            fresh.receipt.give();
        }
        Attempt::NotBegun | Attempt::Made(_) => fresh.receipt.give(),
    }
}
