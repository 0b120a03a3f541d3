//! The edges: the administrator's pages and forms, the marketplace's webhook, the status for programs.

mod assets;
mod form;
mod guard;
mod pages;
mod view;
mod webhook;

use std::{net::SocketAddr, sync::Arc, time::Duration};

use axum::{
    Router,
    extract::DefaultBodyLimit,
    http::StatusCode,
    middleware,
    response::Redirect,
    routing::{get, post},
};
use platform::Shutdown;
use tokio::net::TcpListener;
use tower_http::timeout::TimeoutLayer;

use super::app::App;

/// Forms and webhooks are small.
const MAX_BODY: usize = 64 * 1024;
/// Longer than the longest wait of `status.json`.
const TIMEOUT: Duration = Duration::from_mins(1);

pub(super) async fn serve(listener: TcpListener, app: Arc<App>, shutdown: Shutdown) -> std::io::Result<()> {
    let service = router(app).into_make_service_with_connect_info::<SocketAddr>();
    axum::serve(listener, service).with_graceful_shutdown(shutdown.cancelled_owned()).await
}

fn router(app: Arc<App>) -> Router {
    let administrator = Router::new()
        .route("/", get(async || Redirect::to(pages::MARKETPLACE)))
        .route("/admin", get(async || Redirect::to(pages::MARKETPLACE)))
        .route("/admin/marketplace", get(pages::marketplace::show))
        .route("/admin/marketplace/app/{vendor}/{name}", get(pages::detail::show))
        .route("/admin/marketplace/app/{vendor}/{name}/consent", get(pages::consent::show))
        .route("/admin/marketplace/app/{vendor}/{name}/remove", get(pages::removal::show))
        .route("/admin/marketplace/thanks", get(pages::thanks::show))
        .route("/admin/marketplace/status.json", get(pages::status::show))
        .route("/admin/marketplace/buy", post(form::buy))
        .route("/admin/marketplace/install", post(form::install))
        .route("/admin/marketplace/update", post(form::install))
        .route("/admin/marketplace/remove", post(form::remove))
        .route("/admin/marketplace/jobs", post(form::job))
        .route("/admin/marketplace/offers", post(form::offer))
        .route("/admin/marketplace/licenses", post(form::look_for_licenses))
        .route("/admin/plugins", get(pages::plugins::show))
        .fallback(pages::missing)
        .layer(middleware::from_fn_with_state(Arc::clone(&app), guard::administrator_only))
        .layer(middleware::from_fn_with_state(Arc::clone(&app), guard::known_host_only));
    Router::new()
        .route("/admin/marketplace/license-issued", post(webhook::license_issued))
        .route("/admin/marketplace/license-revoked", post(webhook::license_changed))
        .route("/admin/marketplace/license-suspended", post(webhook::license_changed))
        .route("/admin/marketplace/license-reinstated", post(webhook::license_changed))
        .route("/admin/marketplace/release-published", post(webhook::release_published))
        .route("/admin/marketplace/installation-changed", post(webhook::installation_changed))
        .route("/admin/marketplace/endpoint-verification", post(webhook::endpoint_verification))
        .route("/assets/style.css", get(assets::style))
        .route("/healthz", get(async || "ok"))
        .merge(administrator)
        .layer(DefaultBodyLimit::max(MAX_BODY))
        .layer(TimeoutLayer::with_status_code(StatusCode::SERVICE_UNAVAILABLE, TIMEOUT))
        .layer(middleware::from_fn(guard::protect))
        .with_state(app)
}
