//! The calls of Stripe's API that Mercato makes.

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::{Path, RawQuery, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Extension, Router, middleware};

use super::guard::{self, guard};
use super::indented;
use crate::app::{Answered, Sim};
use crate::domain::error::ApiError;
use crate::domain::event::Cause;
use crate::domain::objects;
use crate::domain::params::Params;

type Answer = Result<Response, ApiError>;

pub(super) fn router(sim: &Arc<Sim>) -> Router<Arc<Sim>> {
    Router::new()
        .route("/checkout/sessions", post(create_session).get(list_sessions))
        .route("/checkout/sessions/{id}", get(get_session))
        .route("/checkout/sessions/{id}/expire", post(expire_session))
        .route("/payment_intents/{id}", get(get_payment_intent))
        .route("/events", get(list_events))
        .route("/events/{id}", get(get_event))
        .method_not_allowed_fallback(guard::unrecognized)
        .fallback(guard::unrecognized)
        .layer(middleware::from_fn_with_state(Arc::clone(sim), guard))
}

async fn create_session(
    State(sim): State<Arc<Sim>>,
    Extension(cause): Extension<Cause>,
    headers: HeaderMap,
    body: Bytes,
) -> Answer {
    let params = form(&headers, &body)?;
    sim.create_session(&cause, params).await.map(answered)
}

async fn expire_session(
    State(sim): State<Arc<Sim>>,
    Extension(cause): Extension<Cause>,
    Path(id): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Answer {
    let params = form(&headers, &body)?;
    sim.expire_session(&cause, &id, params).await.map(answered)
}

async fn get_session(
    State(sim): State<Arc<Sim>>,
    Path(id): Path<String>,
    RawQuery(query): RawQuery,
) -> Answer {
    parse(query)?.finish()?;
    Ok(indented(StatusCode::OK, &objects::session(&sim.get_session(&id)?)))
}

async fn list_sessions(State(sim): State<Arc<Sim>>, RawQuery(query): RawQuery) -> Answer {
    Ok(indented(StatusCode::OK, &sim.list_sessions(parse(query)?)?))
}

async fn get_payment_intent(
    State(sim): State<Arc<Sim>>,
    Path(id): Path<String>,
    RawQuery(query): RawQuery,
) -> Answer {
    parse(query)?.finish()?;
    Ok(indented(StatusCode::OK, &sim.get_payment_intent(&id)?))
}

async fn list_events(State(sim): State<Arc<Sim>>, RawQuery(query): RawQuery) -> Answer {
    Ok(indented(StatusCode::OK, &sim.list_events(parse(query)?)?))
}

async fn get_event(State(sim): State<Arc<Sim>>, Path(id): Path<String>, RawQuery(query): RawQuery) -> Answer {
    parse(query)?.finish()?;
    Ok(indented(StatusCode::OK, &sim.get_event(&id)?.body()))
}

fn parse(query: Option<String>) -> Result<Params, ApiError> {
    Params::parse(query.unwrap_or_default().as_bytes())
}

/// Stripe's v1 takes forms only.
fn form(headers: &HeaderMap, body: &Bytes) -> Result<Params, ApiError> {
    let kind = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    if !body.is_empty() && !kind.starts_with("application/x-www-form-urlencoded") {
        return Err(ApiError::invalid(
            "Invalid request (check that your POST content type is application/x-www-form-urlencoded). If you have any \
             questions, we can help at https://support.stripe.com/.",
        ));
    }
    Params::parse(body)
}

fn answered(answer: Answered) -> Response {
    let response = indented(StatusCode::OK, &answer.body);
    let Some(first) = answer.replay_of else { return response };
    let first = HeaderValue::from_str(&first).unwrap_or(HeaderValue::from_static(""));
    let headers = [
        (HeaderName::from_static("idempotent-replayed"), HeaderValue::from_static("true")),
        (HeaderName::from_static("original-request"), first),
    ];
    (headers, response).into_response()
}
