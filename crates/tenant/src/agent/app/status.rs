//! What runs here, for programs.

use std::time::Duration;

use serde::Serialize;
use wire::manifest::MarketplaceId;

use super::{App, UseCaseError};
use crate::{agent::domain::Problem, license::Standing};

/// One app of the shop.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct AppStatus {
    pub(crate) marketplace_id: MarketplaceId,
    pub(crate) name: Option<String>,
    /// The installed version, or the one that is to be.
    pub(crate) version: String,
    /// `installed`, `pending` (on its way, or an update is), `waiting` (for the administrator) or `local`.
    pub(crate) state: &'static str,
    pub(crate) installed_at_ms: Option<i64>,
    /// How its licence stands; none for a free app.
    pub(crate) license: Option<Standing>,
    /// Why it is not installed yet.
    pub(crate) problem: Option<String>,
}

/// The whole shop.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct ShopStatus {
    pub(crate) connected: bool,
    pub(crate) apps: Vec<AppStatus>,
    /// Licences that nobody here asked for.
    pub(crate) offers: usize,
    /// Checkouts whose licence has not come.
    pub(crate) open_checkouts: usize,
}

impl App {
    /// How the shop is.
    pub(crate) async fn status(&self) -> Result<ShopStatus, UseCaseError> {
        let state = self.state();
        let mut apps = Vec::new();
        for app in self.installed().await? {
            let id = app.manifest.marketplace_id;
            let is_local = app.receipt.is_none();
            apps.push(AppStatus {
                name: Some(app.manifest.name),
                version: app.manifest.version.to_string(),
                state: if is_local { "local" } else { "installed" },
                installed_at_ms: app.receipt.map(|receipt| receipt.installed_at_ms),
                license: state.licenses.get(&id).and_then(|known| known.standing.clone()),
                problem: None,
                marketplace_id: id,
            });
        }
        for job in state.jobs.values() {
            apps.retain(|app| app.marketplace_id != job.marketplace_id || app.state == "local");
            apps.push(AppStatus {
                marketplace_id: job.marketplace_id.clone(),
                name: None,
                version: job.version.to_string(),
                state: if job.is_moving() { "pending" } else { "waiting" },
                installed_at_ms: None,
                license: None,
                problem: job.problem.as_ref().map(Problem::to_string),
            });
        }
        let open_checkouts = state.checkouts.iter().filter(|one| one.settled_at_ms.is_none()).count();
        Ok(ShopStatus { connected: self.client.is_some(), apps, offers: state.offers.len(), open_checkouts })
    }

    /// The same, once an app is installed or waits for the administrator, or after `patience`.
    pub(crate) async fn status_once_settled(
        &self,
        app: &MarketplaceId,
        patience: Duration,
    ) -> Result<ShopStatus, UseCaseError> {
        let mut changes = self.state.watch();
        let deadline = self.clock.sleep(patience);
        tokio::pin!(deadline);
        loop {
            changes.mark_unchanged();
            let status = self.status().await?;
            let is_settled = |one: &AppStatus| matches!(one.state, "installed" | "waiting");
            if status.apps.iter().any(|one| one.marketplace_id == *app && is_settled(one)) {
                return Ok(status);
            }
            tokio::select! {
                seen = changes.changed() => if seen.is_err() { return Ok(status) },
                () = &mut deadline => return Ok(status),
            }
        }
    }
}
