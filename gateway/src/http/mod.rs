//! The REST edge: parse, ask the app, map the answer.

mod admin;
mod artifact;
mod auth;
mod installation;
mod limit;
pub mod openapi;
mod reply;
mod store;
mod strict;
mod vendor;
mod well_known;

use std::{sync::Arc, time::Duration};

use axum::{
    Router,
    extract::DefaultBodyLimit,
    http::{HeaderValue, header},
    middleware,
};
use ipnet::IpNet;
use platform::limits::RateLimiter;
use tower_http::{
    compression::{
        CompressionLayer, Predicate as _,
        predicate::{DefaultPredicate, NotForContentType},
    },
    set_header::SetResponseHeaderLayer,
};
use utoipa_swagger_ui::SwaggerUi;

use crate::{Config, LimitsConfig, app::App};

/// What every handler is handed.
#[derive(Clone)]
pub(crate) struct Edge(Arc<EdgeState>);

pub(crate) struct EdgeState {
    app: App,
    limiter: RateLimiter,
    limits: LimitsConfig,
    trusted_proxies: Vec<IpNet>,
    max_body_bytes: usize,
}

impl std::ops::Deref for Edge {
    type Target = EdgeState;

    fn deref(&self) -> &EdgeState {
        &self.0
    }
}

/// The whole public router.
pub(crate) fn router(app: App, limiter: RateLimiter, config: &Config, common: &platform::Parts) -> Router {
    let edge = Edge(Arc::new(EdgeState {
        app,
        limiter,
        limits: config.limits.clone(),
        trusted_proxies: config.http.trusted_proxies.clone(),
        max_body_bytes: config.http.max_body_bytes,
    }));
    let timeout = Duration::from_secs(config.http.timeout_seconds);
    let (api, document) = openapi::api(config.http.max_release_bytes, timeout);
    let api = api
        .route_layer(middleware::from_fn_with_state(edge.clone(), limit::enforce))
        .with_state(edge)
        // Most answers are for one caller, and some hold secrets: what may be kept says so itself.
        .layer(SetResponseHeaderLayer::if_not_present(
            header::CACHE_CONTROL,
            HeaderValue::from_static("no-store"),
        ))
        .merge(SwaggerUi::new("/docs").url("/openapi.json", document))
        // A ZIP gains nothing, and a range of it must keep its bytes.
        .layer(
            CompressionLayer::new()
                .compress_when(DefaultPredicate::new().and(NotForContentType::new("application/zip"))),
        )
        .layer(DefaultBodyLimit::max(config.http.max_release_bytes));
    platform::http::public(api, common.ids(), timeout.max(admin::releases::IMPORT_TIMEOUT))
}
