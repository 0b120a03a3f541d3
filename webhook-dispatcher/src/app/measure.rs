//! Gauges: what is there, looked at now and then.

use std::time::Duration;

use platform::{AppResult, Shutdown};

use super::App;
use crate::store::stats;

const EVERY: Duration = Duration::from_secs(15);

impl App {
    /// Looks every 15 seconds until `shutdown`.
    pub async fn keep_measuring(self, shutdown: Shutdown) {
        let looking = async {
            loop {
                if let Err(error) = self.measure().await {
                    tracing::warn!(?error, "deliveries could not be counted; trying again");
                }
                self.clock.sleep(EVERY).await;
            }
        };
        shutdown.run_until_cancelled(looking).await;
    }

    #[expect(clippy::cast_precision_loss, reason = "counts below 100,000")]
    async fn measure(&self) -> AppResult<()> {
        let stats = stats::read(self.db.read(), self.clock.now_ms()).await?;
        let (due, waiting) = (stats.due, stats.waiting);
        for (state, count) in [("due", due), ("waiting", waiting), ("held", stats.held), ("dead", stats.dead)]
        {
            metrics::gauge!("webhook_deliveries_in_state", "state" => state).set(count as f64);
        }
        let (active, throttled) = (stats.active, stats.throttled);
        let (unverified, disabled) = (stats.unverified, stats.disabled);
        for (state, count) in
            [("active", active), ("throttled", throttled), ("unverified", unverified), ("disabled", disabled)]
        {
            metrics::gauge!("webhook_endpoints_in_state", "state" => state).set(count as f64);
        }
        metrics::gauge!("webhook_replays_running").set(stats.replays as f64);
        Ok(())
    }
}
