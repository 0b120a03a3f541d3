use std::sync::Arc;

use askama::Template;
use axum::{
    extract::{Query, State},
    response::Response,
};
use serde::Deserialize;
use wire::manifest::MarketplaceId;

use super::{Refusal, detail_path, page};
use crate::agent::{
    app::{App, UseCaseError},
    domain::Checkout,
    http::{
        form::FormSession,
        view::{Here, Shell, Stands},
    },
};

#[derive(Deserialize, Default)]
pub(in super::super) struct Params {
    order: Option<String>,
}

#[derive(Template)]
#[template(path = "thanks.html")]
struct ThanksPage {
    shell: Shell,
    purchase: Option<Purchase>,
}

/// How far a purchase has come: `paying`, `installing`, `waiting` or `installed`.
struct Purchase {
    id: String,
    path: String,
    name: String,
    version: String,
    step: &'static str,
    standing: Stands,
}

pub(in super::super) async fn show(
    State(app): State<Arc<App>>,
    Query(params): Query<Params>,
    session: FormSession,
) -> Result<Response, Refusal> {
    let purchase = match app.find_checkout(params.order.as_deref()) {
        Some(checkout) => Some(follow(&app, checkout).await?),
        None => None,
    };
    let shell = Shell::new(&app, "Thank you", Here::Marketplace, session.token());
    let moving = purchase.as_ref().is_some_and(|purchase| matches!(purchase.step, "paying" | "installing"));
    Ok(page(session, &ThanksPage { shell: shell.refreshing(moving), purchase }))
}

async fn follow(app: &App, checkout: Checkout) -> Result<Purchase, UseCaseError> {
    let id: MarketplaceId = checkout.marketplace_id;
    let state = app.state();
    let arrival = app.find_arrival(&id).await?;
    let is_complete = arrival.as_ref().map(|arrival| arrival.is_complete);
    let (step, standing) = match state.jobs.get(&id) {
        Some(job) => (if job.is_moving() { "installing" } else { "waiting" }, Stands::of_job(job)),
        None if is_complete == Some(true) => ("installed", Stands::plain("installed", None, None)),
        None if is_complete == Some(false) => ("installing", Stands::plain("pending", None, None)),
        None if checkout.settled_at_ms.is_some() => ("given-up", Stands::plain("available", None, None)),
        None => ("paying", Stands::plain("pending", None, None)),
    };
    Ok(Purchase {
        path: detail_path(&id),
        name: arrival.and_then(|arrival| arrival.name).unwrap_or_else(|| id.name().to_owned()),
        id: id.to_string(),
        version: checkout.version.to_string(),
        step,
        standing,
    })
}
