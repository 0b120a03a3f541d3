//! The administrator's pages.

pub(super) mod consent;
pub(super) mod detail;
pub(super) mod marketplace;
pub(super) mod plugins;
pub(super) mod removal;
pub(super) mod status;
pub(super) mod thanks;

use askama::Template;
use axum::{
    http::StatusCode,
    response::{Html, IntoResponse, Redirect, Response},
};
use wire::manifest::MarketplaceId;

use super::form::FormSession;
use crate::{agent::app::UseCaseError, client::ClientError};

pub(super) const MARKETPLACE: &str = "/admin/marketplace";
pub(super) const PLUGINS: &str = "/admin/plugins";

/// The page of one app.
pub(super) fn detail_path(app: &MarketplaceId) -> String {
    format!("{MARKETPLACE}/app/{app}")
}

/// The page that asks before a hosted or static app is installed or updated.
pub(super) fn consent_path(app: &MarketplaceId) -> String {
    format!("{}/consent", detail_path(app))
}

/// The page that asks before a hosted or static app is removed.
pub(super) fn removal_path(app: &MarketplaceId) -> String {
    format!("{}/remove", detail_path(app))
}

/// The app that a page's address names.
fn app_of((vendor, name): (String, String)) -> Result<MarketplaceId, UseCaseError> {
    format!("{vendor}/{name}").parse().map_err(|_| UseCaseError::NoSuchApp)
}

/// Back to what is installed, with what a search for licences has found.
pub(super) fn see_plugins_after_search(found: usize) -> Response {
    Redirect::to(&format!("{PLUGINS}?found={found}")).into_response()
}

fn page(session: FormSession, template: &impl Template) -> Response {
    session.attach(render(StatusCode::OK, template))
}

fn render(status: StatusCode, template: &impl Template) -> Response {
    match template.render() {
        Ok(html) => (status, Html(html)).into_response(),
        Err(error) => {
            tracing::error!(%error, "a page could not be rendered");
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
    }
}

/// Why the administrator does not see what was asked for.
pub(super) struct Refusal {
    status: StatusCode,
    title: &'static str,
    message: String,
    hint: Option<&'static str>,
}

#[derive(Template)]
#[template(path = "problem.html")]
struct ProblemPage<'a> {
    title: &'a str,
    message: &'a str,
    hint: Option<&'a str>,
}

impl Refusal {
    pub(super) fn stale_form() -> Self {
        Self::new(
            StatusCode::FORBIDDEN,
            "Please do that again",
            "This form was not made for this browser, or is too old",
        )
        .hint("Go back, load the page again, and press the button once more.")
    }

    pub(super) fn unreadable_form() -> Self {
        Self::new(StatusCode::BAD_REQUEST, "That did not come through", "The form could not be read")
            .hint("Go back, load the page again, and press the button once more.")
    }

    fn missing() -> Self {
        Self::new(StatusCode::NOT_FOUND, "Nothing here", "There is no such page in this shop")
    }

    fn new(status: StatusCode, title: &'static str, message: impl Into<String>) -> Self {
        Self { status, title, message: message.into(), hint: None }
    }

    fn hint(self, hint: &'static str) -> Self {
        Self { hint: Some(hint), ..self }
    }
}

pub(super) async fn missing() -> Refusal {
    Refusal::missing()
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let message = super::view::sentence(&self.message);
        render(self.status, &ProblemPage { title: self.title, message: &message, hint: self.hint })
    }
}

impl From<UseCaseError> for Refusal {
    fn from(error: UseCaseError) -> Self {
        let message = error.to_string();
        match error {
            UseCaseError::Marketplace(error) => of_marketplace(&error, message),
            UseCaseError::NoSuchApp => Self::new(StatusCode::NOT_FOUND, "No such app", message),
            UseCaseError::NotConnected | UseCaseError::NoEmail => {
                Self::new(StatusCode::CONFLICT, "A setting is missing", message)
            }
            UseCaseError::Store(_) | UseCaseError::Folder(_) | UseCaseError::Webhook(_) => {
                Self::new(StatusCode::SERVICE_UNAVAILABLE, "The shop can't do this right now", message)
            }
        }
    }
}

fn of_marketplace(error: &ClientError, message: String) -> Refusal {
    if error.is_kind("conflict") {
        Refusal::new(StatusCode::CONFLICT, "You already have this", message)
            .hint("Press “Look for my licences” under Installed to bring it into this shop.")
    } else if matches!(error, ClientError::NoInstanceId | ClientError::NoSecretKey) {
        Refusal::new(StatusCode::CONFLICT, "A setting is missing", message)
    } else if error.is_transient() {
        Refusal::new(StatusCode::BAD_GATEWAY, "The marketplace does not answer", message)
            .hint("What is installed keeps working. Try again in a moment.")
    } else {
        Refusal::new(StatusCode::BAD_GATEWAY, "The marketplace said no", message)
    }
}
