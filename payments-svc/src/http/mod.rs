//! `POST /stripe/webhook`.

mod event;
mod signature;

pub(crate) use self::event::KINDS;

use std::sync::Arc;

use axum::{
    Router,
    extract::{DefaultBodyLimit, State},
    http::{HeaderMap, StatusCode},
    routing::post,
};
use bytes::Bytes;
use platform::{AppResult, secret::Secret};

use self::event::Event;
use crate::app::{App, stripe_event};

/// Stripe's events are some kilobytes.
const BODY_MAX: usize = 1 << 20;

#[derive(Clone)]
struct Edge {
    app: App,
    secrets: Arc<[Secret]>,
}

/// The routes that are open to the world.
pub(crate) fn router(app: App, secrets: Vec<Secret>) -> Router {
    Router::new()
        .route("/stripe/webhook", post(webhook))
        .layer(DefaultBodyLimit::max(BODY_MAX))
        .with_state(Edge { app, secrets: secrets.into() })
}

/// Answers 2xx only after the event's effect has committed; anything else makes Stripe send it again.
async fn webhook(State(edge): State<Edge>, headers: HeaderMap, body: Bytes) -> AppResult<StatusCode> {
    let taken = take(&edge, &headers, &body).await;
    let (kind, result) = match &taken {
        Ok(taken) => *taken,
        Err(error) if error.is_transient() => ("unread", "failed"),
        Err(_) => ("unread", "refused"),
    };
    stripe_event(kind, result).increment(1);
    taken.map(|_| StatusCode::OK)
}

/// The event's type and what came of it, as the metrics count them.
async fn take(edge: &Edge, headers: &HeaderMap, body: &[u8]) -> AppResult<(&'static str, &'static str)> {
    signature::verify(&edge.secrets, headers, body, edge.app.clock.now_secs())
        .inspect_err(|error| tracing::warn!(%error, "a request to the webhook was refused"))?;
    let event = Event::parse(body)
        .inspect_err(|error| tracing::error!(%error, "an event that Stripe signed cannot be read"))?;
    match event {
        Event::Session(kind, event) => Ok((kind, edge.app.take_session_event(&event).await?.as_str())),
        Event::Other => Ok(("other", "ignored_type")),
    }
}
