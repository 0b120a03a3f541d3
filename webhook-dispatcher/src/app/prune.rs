//! What is forgotten by age: first what messages said, then attempts, then all of it.
//!
//! Always a batch with one commit, in the order of the ids, and then a pause as long as the batch took: what is forgotten
//! never takes more than half of the store's time, and locks few rows for a short while.

use std::time::Duration;

use platform::{AppResult, clock::millis, db::Tx};
use tokio::time::{Instant, sleep};

use super::App;
use crate::store::{mark, message, prune, replay};

/// One commit forgets at most so many.
const BATCH: u64 = 500;
/// The longest pause; the store was busy with others.
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// What is gone through along a mark, because it leaves the deliveries where they are.
#[derive(Debug, Clone, Copy)]
enum Part {
    Bodies,
    Attempts,
}

impl Part {
    fn name(self) -> &'static str {
        match self {
            Self::Bodies => "bodies",
            Self::Attempts => "attempts",
        }
    }
}

impl App {
    /// Forgets all that is old enough.
    pub(super) async fn forget_old(&self) -> AppResult<()> {
        let now_ms = self.clock.now_ms();
        let whole = now_ms - millis(self.rules.retention);
        for (part, kept) in
            [(Part::Bodies, self.rules.payload_retention), (Part::Attempts, self.rules.attempt_retention)]
        {
            if let Some(kept) = kept {
                self.forget_part(part, now_ms - millis(kept)).await?;
            }
        }
        self.forget_settled(whole).await?;
        let replays = replay::prune(self.db.write(), whole).await?;
        count("replays", replays);
        Ok(())
    }

    /// Forgets the deliveries that were settled before then, their attempts, and the messages that they were the last of.
    async fn forget_settled(&self, before_ms: i64) -> AppResult<()> {
        let mut after = String::new();
        loop {
            let begun = Instant::now();
            let tx = self.db.begin().await?;
            let old = prune::take_settled(&*tx, &after, before_ms, BATCH).await?;
            let attempts = prune::forget(&*tx, &old.ids).await?;
            let messages = message::prune(&*tx, &old.messages).await?;
            tx.commit().await?;
            count("deliveries", old.ids.len() as u64);
            count("attempts", attempts);
            count("messages", messages);
            let Some(last) = old.last.filter(|_| old.ids.len() as u64 == BATCH) else { return Ok(()) };
            after = last;
            pause(begun).await;
        }
    }

    /// Forgets a part of what is older than that, and notes how far it has come.
    async fn forget_part(&self, part: Part, before_ms: i64) -> AppResult<()> {
        loop {
            let begun = Instant::now();
            let tx = self.db.begin().await?;
            let after = mark::take(&*tx, part.name()).await?;
            let old = prune::list_old(&*tx, &after, before_ms, BATCH).await?;
            let Some(last) = &old.last else { return Ok(()) };
            let forgotten = forget(&tx, part, &old).await?;
            mark::set(&*tx, part.name(), last).await?;
            tx.commit().await?;
            count(part.name(), forgotten);
            pause(begun).await;
        }
    }
}

async fn forget(tx: &Tx, part: Part, old: &prune::Old) -> AppResult<u64> {
    Ok(match part {
        Part::Bodies => prune::wipe_bodies(&**tx, &old.messages).await?,
        Part::Attempts => prune::forget_attempts(&**tx, &old.ids).await?,
    })
}

fn count(what: &'static str, forgotten: u64) {
    metrics::counter!("webhook_forgotten_total", "what" => what).increment(forgotten);
}

async fn pause(begun: Instant) {
    let took = begun.elapsed();
    metrics::histogram!("webhook_forgetting_seconds").record(took.as_secs_f64());
    sleep(took.min(LONGEST_PAUSE)).await;
}
