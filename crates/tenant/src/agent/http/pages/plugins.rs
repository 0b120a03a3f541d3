use std::sync::Arc;

use askama::Template;
use axum::{
    extract::{Query, State},
    response::Response,
};
use serde::Deserialize;

use super::{Refusal, page};
use crate::{
    agent::{
        app::{App, Present},
        http::{
            form::FormSession,
            view::{self, Action, Here, OfferCard, Shell, Stands},
        },
    },
    install::InstalledApp,
};

#[derive(Deserialize, Default)]
pub(in super::super) struct Params {
    found: Option<usize>,
}

#[derive(Template)]
#[template(path = "plugins.html")]
struct PluginsPage {
    shell: Shell,
    found: Option<usize>,
    offers: Vec<OfferCard>,
    arriving: Vec<Arriving>,
    plugins: Vec<Row>,
    unknown_updates: Option<String>,
    can_look: bool,
}

/// An app in the plugin folder.
pub(in super::super) struct LocalPlugin {
    pub(in super::super) id: String,
    pub(in super::super) name: String,
    pub(in super::super) initial: String,
    pub(in super::super) hue: u8,
    pub(in super::super) author: String,
    pub(in super::super) version: String,
    pub(in super::super) summary: String,
    pub(in super::super) is_local: bool,
    pub(in super::super) installed: String,
}

struct Row {
    plugin: LocalPlugin,
    path: String,
    standing: Stands,
    license: Option<(String, bool)>,
}

/// On its way, and nothing of it here yet.
struct Arriving {
    id: String,
    path: String,
    version: String,
    standing: Stands,
}

impl LocalPlugin {
    pub(super) fn of(app: InstalledApp) -> Self {
        let InstalledApp { manifest, receipt } = app;
        let summary = manifest.description.split("\n\n").next().unwrap_or_default();
        Self {
            id: manifest.marketplace_id.to_string(),
            initial: view::initial(&manifest.name),
            hue: view::hue(manifest.marketplace_id.as_str()),
            version: manifest.version.to_string(),
            summary: summary.to_owned(),
            is_local: receipt.is_none(),
            installed: receipt.map(|receipt| view::moment(receipt.installed_at_ms)).unwrap_or_default(),
            name: manifest.name,
            author: manifest.author,
        }
    }
}

pub(in super::super) async fn show(
    State(app): State<Arc<App>>,
    Query(params): Query<Params>,
    session: FormSession,
) -> Result<Response, Refusal> {
    let inventory = app.inventory().await?;
    let plugins: Vec<Row> = inventory.present.into_iter().map(Row::of).collect();
    let state = app.state();
    let is_here = |id: &str| plugins.iter().any(|row| !row.plugin.is_local && row.plugin.id == id);
    let jobs = state.jobs.values().filter(|job| !is_here(job.marketplace_id.as_str()));
    let arriving: Vec<Arriving> = jobs.map(Arriving::of).collect();
    let moving = plugins.iter().map(|row| &row.standing).chain(arriving.iter().map(|one| &one.standing));
    let moving = moving.into_iter().any(Stands::is_moving);
    let shell = Shell::new(&app, "Installed", Here::Plugins, session.token()).refreshing(moving);
    let view = PluginsPage {
        found: params.found,
        offers: state.offers.iter().map(OfferCard::of).collect(),
        unknown_updates: inventory.unknown_updates.map(|error| view::sentence(&error.to_string())),
        can_look: app.config.marketplace.as_ref().is_some_and(|marketplace| marketplace.secret_key.is_some()),
        shell,
        arriving,
        plugins,
    };
    Ok(page(session, &view))
}

impl Row {
    fn of(present: Present) -> Self {
        let Present { app, job, standing, update } = present;
        let badge = if app.receipt.is_some() { "Installed" } else { "Local plugin" };
        let update = update.map(|update| Action::update(&update.version, &update.added_permissions));
        Self {
            path: super::detail_path(&app.manifest.marketplace_id),
            standing: match job {
                Some(job) => Stands::of_job(&job),
                None => Stands::plain("installed", Some(badge.to_owned()), update),
            },
            license: standing.map(|standing| view::standing_text(&standing)),
            plugin: LocalPlugin::of(app),
        }
    }
}

impl Arriving {
    fn of(job: &crate::agent::domain::Job) -> Self {
        Self {
            id: job.marketplace_id.to_string(),
            path: super::detail_path(&job.marketplace_id),
            version: job.version.to_string(),
            standing: Stands::of_job(job),
        }
    }
}
