use platform::{AppResult, inbox};

use super::App;
use crate::domain::installation::Settlement;

impl App {
    /// Takes the dispatcher's word that a callback has ended. What comes again or too late changes nothing.
    pub(crate) async fn take_settlement(
        &self,
        consumer: &str,
        event_id: &str,
        installation_id: &str,
        settled: &Settlement,
    ) -> AppResult<()> {
        let tx = self.db.begin().await?;
        if !inbox::is_first(&*tx, consumer, event_id, self.clock.now_ms()).await? {
            return Ok(());
        }
        let (shop, installation) = self.lock_any(&tx, installation_id).await?;
        let next = self.next_sequence(&tx, &shop.id, &installation.marketplace_id).await?;
        let was = installation.state.as_str();
        self.finish(tx, &shop, was, installation.settle(settled, next)).await?;
        let (operation, outcome) = (settled.callback.operation.as_str(), settled.callback.outcome.as_str());
        metrics::counter!("license_callbacks_settled_total", "operation" => operation, "outcome" => outcome)
            .increment(1);
        Ok(())
    }
}
