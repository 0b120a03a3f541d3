//! What the marketplace posts. Answered as soon as it is on the disk; the installation follows by itself.

use std::sync::Arc;

use axum::{
    body::Bytes,
    extract::State,
    http::{HeaderMap, StatusCode},
};
use platform::{AppError, AppResult};

use crate::{
    agent::app::{App, UseCaseError},
    webhook::WebhookError,
};

pub(super) async fn license_issued(
    State(app): State<Arc<App>>,
    headers: HeaderMap,
    body: Bytes,
) -> AppResult<StatusCode> {
    let taken = app.receive(&headers, &body).await.map_err(refusal)?;
    tracing::info!(?taken, "a licence arrived");
    Ok(StatusCode::OK)
}

/// `license-revoked`, `license-suspended` and `license-reinstated`.
pub(super) async fn license_changed(
    State(app): State<Arc<App>>,
    headers: HeaderMap,
    body: Bytes,
) -> AppResult<StatusCode> {
    let is_news = app.receive_change(&headers, &body).await.map_err(refusal)?;
    tracing::info!(is_news, "a licence was changed");
    Ok(StatusCode::OK)
}

pub(super) async fn release_published(
    State(app): State<Arc<App>>,
    headers: HeaderMap,
    body: Bytes,
) -> AppResult<StatusCode> {
    let release = app.receive_release(&headers, &body).await.map_err(refusal)?;
    let (app, version) = (&release.marketplace_id, &release.version);
    tracing::info!(%app, %version, security = release.security, "an app has a new release");
    Ok(StatusCode::OK)
}

pub(super) async fn installation_changed(
    State(app): State<Arc<App>>,
    headers: HeaderMap,
    body: Bytes,
) -> AppResult<StatusCode> {
    let changed = app.receive_installation(&headers, &body).await.map_err(refusal)?;
    tracing::info!(app = %changed.marketplace_id, version = %changed.version, "an installation has changed");
    Ok(StatusCode::OK)
}

pub(super) async fn endpoint_verification(
    State(app): State<Arc<App>>,
    headers: HeaderMap,
    body: Bytes,
) -> AppResult<StatusCode> {
    app.receive_verification(&headers, &body).map_err(refusal)?;
    tracing::info!("the marketplace has verified this shop");
    Ok(StatusCode::OK)
}

fn refusal(error: UseCaseError) -> AppError {
    match error {
        UseCaseError::Webhook(WebhookError::Signature(error)) => AppError::unauthorized(error.to_string()),
        UseCaseError::Webhook(error) => AppError::invalid(error.to_string()),
        other => AppError::unavailable("the shop can't keep this right now; send it again").caused_by(other),
    }
}
