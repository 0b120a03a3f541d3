use std::time::Duration;

use platform::{AppResult, Shutdown, clock::millis};

use super::{App, callbacks::Ended};
use crate::{
    domain::{
        delivery::{AGED_OUT, State},
        kind::Kind,
        reason::class_of,
    },
    store::delivery,
};

const EVERY: Duration = Duration::from_hours(1);
/// One commit gives up, or forgets, at most so many.
const BATCH: u64 = 500;

impl App {
    /// Once an hour until `shutdown`: what was held too long is given up, what was settled long ago is forgotten.
    pub async fn keep_tidy(self, shutdown: Shutdown) {
        let mut next_ms = self.clock.now_ms() + millis(EVERY);
        while shutdown.run_until_cancelled(self.clock.sleep_until_ms(next_ms)).await.is_some() {
            next_ms = self.clock.now_ms() + millis(EVERY);
            if let Err(error) = self.tidy().await {
                tracing::warn!(?error, "old deliveries could not be put in order; trying again in an hour");
            }
        }
    }

    async fn tidy(&self) -> AppResult<()> {
        self.windows.tidy(&self.rules.health, self.clock.now_ms());
        while self.give_up_held().await? == BATCH {}
        self.forget_old().await
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
        metrics::counter!("webhook_dead_letters_total", "reason" => class_of(AGED_OUT))
            .increment(dead_letters);
        Ok(count)
    }
}
