//! What runs here, for programs.

use std::time::Duration;

use serde::Serialize;
use wire::manifest::MarketplaceId;

use super::{App, UseCaseError};
use crate::{
    agent::domain::{Job, Problem, State, find_note},
    client::{AppKind, Installation, InstallationState},
    install::InstalledApp,
    license::Standing,
};

/// How a hosted app is, is known to the marketplace only.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

/// One app of the shop.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct AppStatus {
    pub(crate) marketplace_id: MarketplaceId,
    pub(crate) name: Option<String>,
    /// The installed version, or the one that is to be.
    pub(crate) version: String,
    /// `installed`, `pending` (on its way, or an update is), `waiting` (for the administrator), `local`, or `unknown`:
    /// the marketplace says of it what this shop does not understand.
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

impl AppStatus {
    fn of_files(app: InstalledApp, state: &State) -> Self {
        let InstalledApp { manifest, receipt } = app;
        Self {
            name: Some(manifest.name),
            version: manifest.version.to_string(),
            state: if receipt.is_some() { "installed" } else { "local" },
            installed_at_ms: receipt.map(|receipt| receipt.installed_at_ms),
            license: license_of(&manifest.marketplace_id, state),
            problem: None,
            marketplace_id: manifest.marketplace_id,
        }
    }

    fn of_hosted(app: Installation, state: &State) -> Self {
        let note = find_note(&state.hosted, &app.marketplace_id, &app.version);
        Self {
            name: note.map(|note| note.name.clone()),
            version: app.version.to_string(),
            state: match app.state {
                InstallationState::Other => "unknown",
                state if state.is_moving() => "pending",
                _ => "installed",
            },
            installed_at_ms: None,
            license: license_of(&app.marketplace_id, state),
            problem: None,
            marketplace_id: app.marketplace_id,
        }
    }

    fn of_job(job: &Job) -> Self {
        Self {
            marketplace_id: job.marketplace_id.clone(),
            name: None,
            version: job.version.to_string(),
            state: if job.is_moving() { "pending" } else { "waiting" },
            installed_at_ms: None,
            license: None,
            problem: job.problem.as_ref().map(Problem::to_string),
        }
    }
}

fn license_of(app: &MarketplaceId, state: &State) -> Option<Standing> {
    state.licenses.get(app).and_then(|known| known.standing.clone())
}

impl App {
    /// How the shop is.
    pub(crate) async fn status(&self) -> Result<ShopStatus, UseCaseError> {
        let state = self.state();
        let here = self.installed().await?.into_iter().chain(self.static_apps().await?);
        let mut apps: Vec<AppStatus> = here.map(|app| AppStatus::of_files(app, &state)).collect();
        apps.extend(self.hosted().await.into_iter().map(|app| AppStatus::of_hosted(app, &state)));
        for job in state.jobs.values() {
            apps.retain(|app| app.marketplace_id != job.marketplace_id || app.state == "local");
            apps.push(AppStatus::of_job(job));
        }
        let open_checkouts = state.checkouts.iter().filter(|one| one.settled_at_ms.is_none()).count();
        Ok(ShopStatus { connected: self.client.is_some(), apps, offers: state.offers.len(), open_checkouts })
    }

    /// None while the marketplace can't say.
    async fn hosted(&self) -> Vec<Installation> {
        let known = self.installations().await.unwrap_or_default().into_values();
        known.filter(|one| one.kind == AppKind::Hosted && one.state.is_present()).collect()
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
                () = self.clock.sleep(LOOK_AGAIN) => {}
                () = &mut deadline => return Ok(status),
            }
        }
    }
}
