//! How one event is told to many: to every endpoint that asked for it, from memory, a bounded number at a time. Its message
//! stays on the bus until the last of them is in the store.

use std::sync::Arc;

use platform::{AppError, AppResult, ids::derive};

use super::{
    App,
    directory::Known,
    fresh::{HandedOut, Telling, Told},
};
use crate::store::delivery;

/// Endpoints that are looked at at once.
const PAGE: usize = 256;

impl App {
    /// Tells an event to every endpoint that takes it, in the order of their ids; returns when the store knows of each
    /// what came of it.
    ///
    /// A message that is handed out again, because the process that had it has ended, is told to those whose deliveries
    /// are not in the store.
    pub async fn tell_all(&self, handed_out: &HandedOut, told: Told) -> AppResult<()> {
        self.read_missing().await;
        self.directory.require_complete().inspect_err(|_| self.note_unmade(&handed_out.event_id))?;
        let telling = self.telling(handed_out, "", told)?;
        let begun = self.begin_all(&telling).await;
        // Waited for also after a failure, so that nothing is still in flight when the message comes again.
        let ended = telling.ended().await;
        begun?;
        ended?;
        if self.directory.is_any_missing() {
            return Err(AppError::unavailable("an endpoint cannot be read; the others were told"));
        }
        self.unmade.forget(&handed_out.event_id);
        Ok(())
    }

    async fn begin_all(&self, telling: &Telling<'_>) -> AppResult<()> {
        let mut after = String::new();
        loop {
            let page = self.directory.list_told_after(&telling.message.event, &after, PAGE)?;
            let Some(last) = page.last() else { return Ok(()) };
            after.clone_from(&last.recipient.endpoint_id);
            for endpoint in self.not_told_yet(telling.handed_out, page).await? {
                let place = Arc::clone(&self.places).acquire_owned().await;
                let place = place.map_err(|_| AppError::unavailable("the dispatcher is ending"))?;
                self.begin(telling, &endpoint, Some(place))?;
            }
        }
    }

    async fn not_told_yet(
        &self,
        handed_out: &HandedOut,
        mut page: Vec<Arc<Known>>,
    ) -> AppResult<Vec<Arc<Known>>> {
        if self.may_be_known(handed_out) {
            let id = |endpoint: &Known| derive("dly", &handed_out.event_id, &endpoint.recipient.endpoint_id);
            let ids = page.iter().map(|endpoint| id(endpoint)).collect();
            let known = delivery::list_known(self.db.read(), ids).await?;
            page.retain(|endpoint| !known.contains(&id(endpoint)));
        }
        Ok(page)
    }
}
