//! The OpenAPI document, generated from the code.

use std::time::Duration;

use axum::{Router, http::StatusCode};
use tower_http::{limit::RequestBodyLimitLayer, timeout::TimeoutLayer};
use utoipa::{
    Modify, OpenApi,
    openapi::security::{ApiKey, ApiKeyValue, HttpAuthScheme, HttpBuilder, SecurityScheme},
};
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{Edge, admin, artifact, store, vendor, well_known};
use crate::domain::prefer::LONGEST_WAIT_SECONDS;

#[derive(OpenApi)]
#[openapi(
    info(
        title = "Mercato",
        description = "A self-hosted, federated app marketplace. Shops read the catalogue, buy apps, get licences and \
                       install; operators run it. Every error is `{type, message, request_id}`.",
        license(name = "Apache-2.0", identifier = "Apache-2.0")
    ),
    tags(
        (name = "feed", description = "The catalogue, as shops read it"),
        (name = "licences", description = "Buying, checking and freeing licences"),
        (name = "installations", description = "Hosted and static apps in a shop"),
        (name = "vendor", description = "What vendors see of their own apps"),
        (name = "operator", description = "Running the marketplace"),
    ),
    modifiers(&Keys)
)]
struct Document;

struct Keys;

impl Modify for Keys {
    fn modify(&self, document: &mut utoipa::openapi::OpenApi) {
        let components = document.components.get_or_insert_default();
        let bearer = |format: &str| {
            SecurityScheme::Http(
                HttpBuilder::new().scheme(HttpAuthScheme::Bearer).bearer_format(format).build(),
            )
        };
        let publishable = SecurityScheme::ApiKey(ApiKey::Header(ApiKeyValue::new("x-publishable-api-key")));
        components.add_security_scheme("publishable_key", publishable);
        components.add_security_scheme("secret_key", bearer("sk_…"));
        components.add_security_scheme("vendor_key", bearer("vk_…"));
        components.add_security_scheme("admin_key", bearer("ak_…"));
    }
}

/// The document as JSON, two spaces deep, with a line break at its end: what `docs/openapi.json` holds.
#[must_use]
pub fn json() -> String {
    let (_, document) = api(0, Duration::ZERO);
    document.to_pretty_json().unwrap_or_default() + "\n"
}

/// Every route, and the document that tells of them.
pub(super) fn api(max_release_bytes: usize, timeout: Duration) -> (Router<Edge>, utoipa::openapi::OpenApi) {
    OpenApiRouter::with_openapi(Document::openapi())
        .merge(store_routes())
        .merge(vendor_routes())
        .merge(admin_routes())
        .routes(routes!(well_known::get))
        .route("/dl/{sha256}/{size}/{file_name}", axum::routing::get(artifact::get))
        .layer(TimeoutLayer::with_status_code(StatusCode::SERVICE_UNAVAILABLE, timeout))
        .merge(installation_routes(timeout))
        .merge(import_route(max_release_bytes))
        .split_for_parts()
}

fn store_routes() -> OpenApiRouter<Edge> {
    // A marketplace id holds a slash: as one segment it is escaped, as two it is not. Both are the same call.
    OpenApiRouter::new()
        .routes(routes!(store::feed::list))
        .routes(routes!(store::feed::get))
        .route("/store/marketplace/feed/{scope}/{name}", axum::routing::get(store::feed::get_split))
        .routes(routes!(store::updates::list))
        .routes(routes!(store::download::get))
        .route(
            "/store/marketplace/download/{scope}/{name}/{version}",
            axum::routing::get(store::download::get_split),
        )
        .routes(routes!(store::checkout::create))
        .routes(routes!(store::license::verify))
        .routes(routes!(store::license::deactivate))
        .routes(routes!(store::license::list))
}

/// Apart, because a caller may ask to be kept waiting.
fn installation_routes(timeout: Duration) -> OpenApiRouter<Edge> {
    let timeout = timeout + Duration::from_secs(LONGEST_WAIT_SECONDS);
    OpenApiRouter::new()
        .routes(routes!(store::installations::list, store::installations::install))
        .routes(routes!(store::installations::get, store::installations::remove))
        .routes(routes!(store::installations::update))
        .routes(routes!(store::introspect::introspect))
        .layer(TimeoutLayer::with_status_code(StatusCode::SERVICE_UNAVAILABLE, timeout))
}

fn vendor_routes() -> OpenApiRouter<Edge> {
    OpenApiRouter::new()
        .routes(routes!(vendor::apps::list_versions))
        .routes(routes!(vendor::apps::list_installations))
}

/// Apart, because it takes more bytes and more time than any other call.
fn import_route(max_release_bytes: usize) -> OpenApiRouter<Edge> {
    OpenApiRouter::new()
        .routes(routes!(admin::releases::import))
        // axum's own limit does not hold for a body that is read as it comes.
        .layer(RequestBodyLimitLayer::new(max_release_bytes))
}

fn admin_routes() -> OpenApiRouter<Edge> {
    OpenApiRouter::new()
        .routes(routes!(admin::vendors::list, admin::vendors::create))
        .routes(routes!(admin::vendors::add_key))
        .routes(routes!(admin::releases::yank))
        .routes(routes!(admin::apps::rotate_secret))
        .routes(routes!(admin::instances::list, admin::instances::create))
        .routes(routes!(admin::instances::get, admin::instances::update))
        .routes(routes!(admin::instances::rotate))
        .routes(routes!(admin::instances::disable))
        .routes(routes!(admin::instances::enable))
        .routes(routes!(admin::instances::create_shared_key))
        .routes(routes!(admin::installations::list))
        .routes(routes!(admin::licenses::list))
        .routes(routes!(admin::licenses::get))
        .routes(routes!(admin::licenses::suspend))
        .routes(routes!(admin::licenses::reinstate))
        .routes(routes!(admin::licenses::revoke))
        .routes(routes!(admin::orders::list))
        .routes(routes!(admin::orders::get))
        .routes(routes!(admin::endpoints::list_endpoints))
        .routes(routes!(admin::endpoints::disable_endpoint))
        .routes(routes!(admin::endpoints::enable_endpoint))
        .routes(routes!(admin::endpoints::update_endpoint))
        .routes(routes!(admin::deliveries::list))
        .routes(routes!(admin::deliveries::get))
        .routes(routes!(admin::deliveries::replay))
        .routes(routes!(admin::messages::list))
        .routes(routes!(admin::messages::get))
        .routes(routes!(admin::attempts::list))
        .routes(routes!(admin::replays::list, admin::replays::create))
        .routes(routes!(admin::replays::get))
        .routes(routes!(admin::replays::cancel))
}
