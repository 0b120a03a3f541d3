//! Every change of state: a POST with a token that only this shop's pages hold.

mod token;

use std::sync::Arc;

use axum::{
    extract::State,
    response::{Redirect, Response},
};
use semver::Version;
use serde::Deserialize;
use wire::manifest::MarketplaceId;

use super::pages::{self, Refusal};
use crate::agent::app::App;
use token::Checked;
pub(super) use token::FormSession;

#[derive(Deserialize)]
pub(super) struct Chosen {
    app: MarketplaceId,
    version: Version,
    /// The added permissions that the page showed, with spaces between.
    #[serde(default)]
    allowed: String,
    /// The app's newest installation then, empty for none; only of a page that asks.
    after: Option<String>,
}

#[derive(Deserialize)]
pub(super) struct JobDecision {
    app: MarketplaceId,
    act: Act,
    /// What the page asked.
    #[serde(default)]
    shown: String,
}

#[derive(Deserialize)]
pub(super) struct OfferDecision {
    id: String,
    act: Act,
}

#[derive(Deserialize, Clone, Copy, PartialEq, Eq)]
#[serde(rename_all = "kebab-case")]
enum Act {
    Accept,
    Dismiss,
}

#[derive(Deserialize)]
pub(super) struct Nothing {}

pub(super) async fn buy(
    State(app): State<Arc<App>>,
    Checked(chosen): Checked<Chosen>,
) -> Result<Redirect, Refusal> {
    let payment_page = app.buy(chosen.app, chosen.version).await?;
    Ok(Redirect::to(&payment_page))
}

/// Installs or updates.
pub(super) async fn install(
    State(app): State<Arc<App>>,
    Checked(chosen): Checked<Chosen>,
) -> Result<Redirect, Refusal> {
    let allowed = chosen.allowed.split_whitespace().map(str::to_owned).collect();
    let to = pages::detail_path(&chosen.app);
    app.install(chosen.app, chosen.version, allowed, chosen.after).await?;
    Ok(Redirect::to(&to))
}

pub(super) async fn remove(
    State(app): State<Arc<App>>,
    Checked(chosen): Checked<Chosen>,
) -> Result<Redirect, Refusal> {
    let to = pages::detail_path(&chosen.app);
    app.remove(chosen.app, chosen.version).await?;
    Ok(Redirect::to(&to))
}

pub(super) async fn job(
    State(app): State<Arc<App>>,
    Checked(decision): Checked<JobDecision>,
) -> Result<Redirect, Refusal> {
    match decision.act {
        Act::Accept => app.resume(&decision.app, &decision.shown).await?,
        Act::Dismiss => app.give_up(&decision.app).await?,
    }
    Ok(Redirect::to(&pages::detail_path(&decision.app)))
}

pub(super) async fn offer(
    State(app): State<Arc<App>>,
    Checked(decision): Checked<OfferDecision>,
) -> Result<Redirect, Refusal> {
    match decision.act {
        Act::Accept => app.accept_offer(&decision.id).await?,
        Act::Dismiss => app.dismiss_offer(&decision.id).await?,
    };
    Ok(Redirect::to(pages::PLUGINS))
}

pub(super) async fn look_for_licenses(
    State(app): State<Arc<App>>,
    Checked(Nothing {}): Checked<Nothing>,
) -> Result<Response, Refusal> {
    let found = app.look_for_licenses().await?;
    Ok(pages::see_plugins_after_search(found))
}
