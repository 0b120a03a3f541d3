use std::time::Duration;

use platform::{AppResult, Shutdown, clock::millis};

use super::{App, callbacks::Ended};
use crate::{
    domain::{
        delivery::{AGED_OUT, State},
        kind::Kind,
    },
    store::{delivery, message},
};

const EVERY: Duration = Duration::from_hours(1);
/// One commit gives up, or forgets, at most so many.
const BATCH: u64 = 500;

impl App {
    /// Once an hour until `shutdown`: what was held too long is given up, what was settled long ago is forgotten.
    pub async fn keep_tidy(self, shutdown: Shutdown) {
        while shutdown.run_until_cancelled(self.clock.sleep(EVERY)).await.is_some() {
            if let Err(error) = self.tidy().await {
                tracing::warn!(?error, "old deliveries could not be put in order; trying again in an hour");
            }
        }
    }

    async fn tidy(&self) -> AppResult<()> {
        self.windows.tidy(&self.rules.health, self.clock.now_ms());
        while self.give_up_held().await? == BATCH {}
        while self.forget_settled().await? == BATCH {}
        Ok(())
    }

    /// Forgets some of what was settled long ago.
    async fn forget_settled(&self) -> AppResult<u64> {
        let before_ms = self.clock.now_ms() - millis(self.rules.retention);
        let tx = self.db.begin().await?;
        let old = delivery::list_settled_before(&*tx, before_ms, BATCH).await?;
        let (ids, messages): (Vec<_>, Vec<_>) = old.into_iter().unzip();
        delivery::prune(&*tx, &ids).await?;
        message::prune(&*tx, &messages).await?;
        tx.commit().await?;
        tracing::debug!(forgotten = ids.len(), "settled deliveries were forgotten");
        Ok(ids.len() as u64)
    }

    /// Gives up what was held longer than it is kept: webhooks are announced as dead, callbacks as settled.
    async fn give_up_held(&self) -> AppResult<u64> {
        let now_ms = self.clock.now_ms();
        let tx = self.db.begin().await?;
        let old = delivery::list_held_before(&*tx, now_ms - millis(self.rules.held_retention), BATCH).await?;
        let count = old.len() as u64;
        let (webhooks, callbacks): (Vec<_>, _) = old.into_iter().partition(|it| it.kind() == Kind::Webhook);
        let dead_letters = webhooks.len() as u64;
        let ended = self.give_up(&tx, callbacks, AGED_OUT, now_ms).await?;
        for held in webhooks {
            let dead = delivery::Model {
                state: State::Dead.as_str().to_owned(),
                lease_until_ms: 0,
                held_since_ms: None,
                dead_reason: Some(AGED_OUT.to_owned()),
                settled_at_ms: Some(now_ms),
                ..held
            };
            delivery::update(&*tx, &dead).await?;
            self.announce_dead(&tx, (&dead.id, &dead.instance_id, &dead.event), AGED_OUT, now_ms).await?;
        }
        tx.commit().await?;
        self.wake.notify_one();
        ended.into_iter().for_each(Ended::count);
        metrics::counter!("webhook_dead_letters_total").increment(dead_letters);
        Ok(count)
    }
}
