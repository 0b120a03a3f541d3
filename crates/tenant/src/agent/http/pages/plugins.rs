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
        app::{App, Present, Registered},
        domain::{Job, State as Shop},
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
    registered: Vec<RegisteredRow>,
    unknown_updates: Option<String>,
    unknown_installations: Option<String>,
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

/// A hosted or static app.
struct RegisteredRow {
    id: String,
    path: String,
    name: String,
    initial: String,
    hue: u8,
    kind_label: &'static str,
    version: String,
    permissions: Vec<String>,
    license: Option<(String, bool)>,
    standing: Stands,
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
    let (state, registered, now_ms) = (inventory.state, inventory.registered, app.now_ms());
    let registered: Vec<RegisteredRow> =
        registered.iter().map(|one| RegisteredRow::of(one, &state, now_ms)).collect();
    let is_here = |id: &str| {
        plugins.iter().any(|row| !row.plugin.is_local && row.plugin.id == id)
            || registered.iter().any(|row| row.id == id)
    };
    let jobs = state.jobs.values().filter(|job| !is_here(job.marketplace_id.as_str()));
    let arriving: Vec<Arriving> = jobs.map(Arriving::of).collect();
    let standings = plugins.iter().map(|row| &row.standing).chain(arriving.iter().map(|one| &one.standing));
    let standings = standings.chain(registered.iter().map(|row| &row.standing));
    let latest = standings.filter_map(Stands::moving_since_ms).max();
    let shell = Shell::new(&app, "Installed", Here::Plugins, session.token()).refreshing(latest, now_ms);
    let view = PluginsPage {
        found: params.found,
        offers: state.offers.iter().map(OfferCard::of).collect(),
        unknown_updates: inventory.unknown_updates.map(|error| view::sentence(&error.to_string())),
        unknown_installations: inventory
            .unknown_installations
            .map(|error| view::sentence(&error.to_string())),
        can_look: app.config.marketplace.as_ref().is_some_and(|marketplace| marketplace.secret_key.is_some()),
        shell,
        arriving,
        registered,
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

impl RegisteredRow {
    fn of(registered: &Registered, state: &Shop, now_ms: i64) -> Self {
        let installation = &registered.installation;
        let app = &installation.marketplace_id;
        let name = registered.name.clone().unwrap_or_else(|| app.to_string());
        let standing = state.licenses.get(app).and_then(|known| known.standing.as_ref());
        Self {
            id: app.to_string(),
            path: super::detail_path(app),
            initial: view::initial(&name),
            hue: view::hue(app.as_str()),
            kind_label: view::kind_label(installation.kind),
            version: installation.version.to_string(),
            permissions: view::in_words(&installation.permissions),
            license: standing.map(view::standing_text),
            standing: match state.jobs.get(app) {
                Some(job) => Stands::of_job_beside(job, registered),
                None => Stands::of_registered(registered, now_ms),
            },
            name,
        }
    }
}

impl Arriving {
    fn of(job: &Job) -> Self {
        Self {
            id: job.marketplace_id.to_string(),
            path: super::detail_path(&job.marketplace_id),
            version: job.version.to_string(),
            standing: Stands::of_job(job),
        }
    }
}
