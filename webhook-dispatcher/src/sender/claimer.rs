use std::time::Duration;

use platform::{Clock, Shutdown, clock::millis};
use tokio::time::sleep;

use crate::app::App;

/// The safety net behind the wake-ups: it finds what a replica left whose lease has run out.
const SLOW_POLL: Duration = Duration::from_secs(5);
/// After a look that has found all there was: what many commits have made due meanwhile, the next one finds.
const REST: Duration = Duration::from_millis(20);
/// After a failure of the store.
const PAUSE: Duration = Duration::from_secs(1);

/// Claims what is due and hands it to the worker.
pub struct Claimer {
    app: App,
    clock: Clock,
    poll: Duration,
}

impl Claimer {
    /// A claimer that looks for abandoned work at least twice in the length of a lease.
    #[must_use]
    pub fn new(app: App, clock: Clock, lease: Duration) -> Self {
        Self { app, clock, poll: SLOW_POLL.min(lease / 2) }
    }

    /// Claims until `shutdown`: woken by a commit, by room in the pipeline, by the next due time.
    pub async fn run(self, shutdown: Shutdown) {
        while !shutdown.is_cancelled() {
            match self.app.claim_due().await {
                Ok(true) => {}
                Ok(false) => {
                    shutdown.run_until_cancelled(sleep(REST)).await;
                    self.wait(&shutdown).await;
                }
                Err(error) => {
                    tracing::warn!(?error, "due deliveries could not be claimed; trying again");
                    shutdown.run_until_cancelled(sleep(PAUSE)).await;
                }
            }
        }
    }

    async fn wait(&self, shutdown: &Shutdown) {
        let next_due_ms = self.app.next_due_ms().await.unwrap_or_else(|error| {
            tracing::warn!(?error, "the next due time could not be read");
            None
        });
        tokio::select! {
            () = self.app.woken() => {}
            () = self.app.slots.freed() => {}
            () = self.until(next_due_ms) => {}
            () = sleep(self.poll) => {}
            () = shutdown.cancelled() => {}
        }
    }

    /// Until the next delivery is due; the poll bounds the wait when none is.
    async fn until(&self, next_due_ms: Option<i64>) {
        let far = self.clock.now_ms() + 10 * millis(SLOW_POLL);
        self.clock.sleep_until_ms(next_due_ms.unwrap_or(far)).await;
    }
}
