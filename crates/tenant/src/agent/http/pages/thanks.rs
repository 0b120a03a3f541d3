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
    app::{App, Progress, UseCaseError},
    domain::{Checkout, Job, Wish},
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

/// How far a purchase has come: `paying`, `installing`, `waiting`, `installed`, `given-up`, `removing` or `unknown`.
struct Purchase {
    id: String,
    path: String,
    name: String,
    version: String,
    step: &'static str,
    standing: Stands,
    /// Since when it has been as it is; of what waits for a payment, now.
    since_ms: i64,
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
    let moving = purchase.as_ref().filter(|purchase| purchase.is_moving());
    let shell = shell.refreshing(moving.map(|purchase| purchase.since_ms), app.now_ms());
    Ok(page(session, &ThanksPage { shell, purchase }))
}

async fn follow(app: &App, checkout: Checkout) -> Result<Purchase, UseCaseError> {
    let id: MarketplaceId = checkout.marketplace_id;
    let state = app.state();
    let arrival = app.find_arrival(&id).await?;
    let progress = arrival.as_ref().map(|arrival| arrival.progress);
    let is_paid = checkout.settled_at_ms.is_some();
    let (step, standing) = match (state.jobs.get(&id), progress) {
        (Some(job), _) => (step_of_job(job), Stands::of_job(job)),
        (None, Some(Progress::Complete)) => ("installed", Stands::plain("installed", None, None)),
        (None, Some(Progress::Moving)) => ("installing", Stands::plain("pending", None, None)),
        (None, Some(Progress::Unknown)) if is_paid => ("unknown", Stands::plain("unknown", None, None)),
        (None, _) if is_paid => ("given-up", Stands::plain("available", None, None)),
        (None, _) => ("paying", Stands::plain("pending", None, None)),
    };
    Ok(Purchase {
        path: detail_path(&id),
        name: arrival.and_then(|arrival| arrival.name).unwrap_or_else(|| id.name().to_owned()),
        id: id.to_string(),
        version: checkout.version.to_string(),
        since_ms: standing.since_ms.or(checkout.settled_at_ms).unwrap_or_else(|| app.now_ms()),
        step,
        standing,
    })
}

fn step_of_job(job: &Job) -> &'static str {
    match job.wish {
        Wish::Remove => "removing",
        Wish::Install if job.is_moving() => "installing",
        Wish::Install => "waiting",
    }
}

impl Purchase {
    /// Whether the page shall look again by itself.
    fn is_moving(&self) -> bool {
        match self.step {
            "paying" | "installing" | "unknown" => true,
            "removing" => self.standing.moving_since_ms().is_some(),
            _ => false,
        }
    }
}
