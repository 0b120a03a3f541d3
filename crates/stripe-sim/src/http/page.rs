//! The pay page: what a buyer sees.

use std::sync::Arc;

use askama::Template;
use axum::Router;
use axum::extract::{Path, State};
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::response::{Html, IntoResponse, Redirect, Response};
use axum::routing::{get, post};

use crate::app::Sim;
use crate::domain::currency;
use crate::domain::error::ApiError;
use crate::domain::event::Cause;
use crate::domain::objects::DECLINED;
use crate::domain::session::{Act, Session, Stage};

pub(super) fn router() -> Router<Arc<Sim>> {
    Router::new().route("/{id}", get(show)).route("/{id}/{act}", post(act))
}

#[derive(Template)]
#[template(path = "pay.html")]
struct PayPage<'a> {
    id: &'a str,
    lines: Vec<Line<'a>>,
    total: String,
    period: Option<&'a str>,
    email: Option<&'a str>,
    back: Option<&'a str>,
    return_url: String,
    view: View,
}

struct Line<'a> {
    name: &'a str,
    description: Option<&'a str>,
    quantity: u64,
    price: String,
}

/// What the page offers at each stage.
#[derive(PartialEq, Eq)]
enum View {
    Open { declined: Option<&'static str>, free: bool },
    Processing,
    Paid,
    Failed,
    Expired,
}

#[derive(Template)]
#[template(path = "missing.html")]
struct MissingPage;

async fn show(State(sim): State<Arc<Sim>>, Path(id): Path<String>) -> Response {
    match sim.get_session(&id) {
        Ok(session) => page(StatusCode::OK, &PayPage::of(&session)),
        Err(_) => page(StatusCode::NOT_FOUND, &MissingPage),
    }
}

/// A button. What the session no longer allows (a second click, a stale tab) shows the page as it is now.
async fn act(State(sim): State<Arc<Sim>>, Path((id, button)): Path<(String, String)>) -> Response {
    let Some(act) = act_of(&button) else { return page(StatusCode::NOT_FOUND, &MissingPage) };
    let returns = matches!(act, Act::Pay | Act::Settle);
    match sim.act(&id, act, &Cause::default()).await {
        Ok(session) if returns => see_other(&session.return_url()),
        Ok(_) | Err(ApiError { status: 400, .. }) => see_other(&format!("../{id}")),
        Err(ApiError { status: 404, .. }) => page(StatusCode::NOT_FOUND, &MissingPage),
        Err(error) => error.into_response(),
    }
}

fn act_of(button: &str) -> Option<Act> {
    match button {
        "pay" => Some(Act::Pay),
        "decline" => Some(Act::Decline),
        "pay-later" => Some(Act::PayLater),
        "settle" => Some(Act::Settle),
        "fail" => Some(Act::Fail),
        _ => None,
    }
}

fn see_other(url: &str) -> Response {
    Redirect::to(url).into_response()
}

fn page(status: StatusCode, template: &impl Template) -> Response {
    let Ok(html) = template.render() else { return ApiError::internal().into_response() };
    // No `form-action`: browsers would apply it to the way back to the shop as well.
    let policy = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; frame-ancestors 'none'";
    let headers = [
        (header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(policy)),
        (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
        (HeaderName::from_static("referrer-policy"), HeaderValue::from_static("no-referrer")),
    ];
    (status, headers, Html(html)).into_response()
}

impl<'a> PayPage<'a> {
    fn of(session: &'a Session) -> Self {
        let terms = &session.terms;
        Self {
            id: &session.id,
            lines: terms
                .items
                .iter()
                .map(|item| Line {
                    name: &item.name,
                    description: item.description.as_deref(),
                    quantity: item.quantity,
                    price: currency::display(item.unit_amount * item.quantity, &terms.currency),
                })
                .collect(),
            total: currency::display(terms.total(), &terms.currency),
            period: terms.items.iter().find_map(|item| item.interval.as_deref()),
            email: terms.customer_email.as_deref(),
            back: terms.cancel_url.as_deref().filter(|_| session.status() != "complete"),
            return_url: session.return_url(),
            view: View::of(session),
        }
    }
}

impl View {
    fn of(session: &Session) -> Self {
        match &session.stage {
            Stage::Open { declined } => {
                Self::Open { declined: declined.as_ref().map(|_| DECLINED), free: session.terms.total() == 0 }
            }
            Stage::Processing { .. } => Self::Processing,
            Stage::Paid { .. } | Stage::Free => Self::Paid,
            Stage::Failed { .. } => Self::Failed,
            Stage::Expired { .. } => Self::Expired,
        }
    }
}
