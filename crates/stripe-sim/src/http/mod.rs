//! The edges: Stripe's API, the pay page, the control API.

mod api;
mod control;
mod guard;
mod page;

use std::sync::Arc;

use axum::Router;
use axum::http::{HeaderValue, Method, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use serde_json::Value;

use crate::app::Sim;
use crate::domain::error::ApiError;

/// Everything the stand-in answers.
pub(crate) fn router(sim: &Arc<Sim>) -> Router {
    Router::new()
        .nest("/v1", api::router(sim))
        .nest("/pay", page::router())
        .nest("/sim", control::router())
        // A nested "/" answers without the slash only.
        .route("/sim/", get(control::guide))
        .fallback(unrecognized)
        .with_state(Arc::clone(sim))
}

async fn unrecognized(method: Method, uri: Uri) -> ApiError {
    ApiError::unrecognized(method.as_str(), uri.path())
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let mut response = indented(status, &self.body(None));
        // Kept for the guard of the API, which knows the request's id.
        response.extensions_mut().insert(self);
        response
    }
}

/// JSON as Stripe writes it.
fn indented(status: StatusCode, body: &Value) -> Response {
    let text = serde_json::to_string_pretty(body).unwrap_or_default();
    let json = HeaderValue::from_static("application/json");
    (status, [(header::CONTENT_TYPE, json)], text).into_response()
}
