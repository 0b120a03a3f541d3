use axum::{Json, extract::State};
use platform::{AppError, AppResult};
use proto::catalog;
use semver::Version;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::{
    domain::installed,
    http::{
        Edge,
        auth::Reader,
        reply::{ErrorBody, time},
        strict::Query,
    },
};

/// What a shop has installed.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(in crate::http) struct UpdatesQuery {
    /// A JSON object such as `{"@vendor/app":"1.0.0"}`, at most 200 ids.
    versions: String,
    /// The shop software's own version: releases that need a newer one are not offered.
    platform_version: Option<String>,
}

/// Something newer than what is installed.
#[derive(Serialize, ToSchema)]
pub(in crate::http) struct Update {
    marketplace_id: String,
    current: String,
    latest: String,
    changelog_url: Option<String>,
    /// False across a major version.
    auto_update: bool,
    requires_consent: bool,
    added_permissions: Vec<String>,
    /// A release on the way mends a security fault.
    security: bool,
    required_after: Option<String>,
    /// Of hosted and static apps: which of `name`, `code`, `address`, `icon` and `permissions` differ; empty where an
    /// installation needs no update.
    changes: Vec<String>,
}

/// Everything newer.
#[derive(Serialize, ToSchema)]
pub(in crate::http) struct Updates {
    updates: Vec<Update>,
}

impl From<catalog::Update> for Update {
    fn from(update: catalog::Update) -> Self {
        Self {
            marketplace_id: update.marketplace_id,
            current: update.current,
            latest: update.latest,
            changelog_url: update.changelog_url,
            auto_update: update.auto_update,
            requires_consent: update.requires_consent,
            added_permissions: update.added_permissions,
            security: update.security,
            required_after: update.required_after_ms.map(time),
            changes: update.changes,
        }
    }
}

/// What there is newer than what a shop has installed. Ids that are not known here are left out.
#[utoipa::path(
    get,
    path = "/store/marketplace/updates",
    tag = "feed",
    params(UpdatesQuery),
    security(("publishable_key" = [])),
    responses((status = 200, body = Updates), (status = "default", body = ErrorBody))
)]
pub(in crate::http) async fn list(
    State(edge): State<Edge>,
    _: Reader,
    Query(query): Query<UpdatesQuery>,
) -> AppResult<Json<Updates>> {
    let installed = installed::parse(&query.versions).map_err(|bad| AppError::invalid(bad.to_string()))?;
    if query.platform_version.as_deref().is_some_and(|version| Version::parse(version).is_err()) {
        return Err(AppError::invalid("platform_version must be a semantic version such as 2.1.0"));
    }
    let found = edge.app.list_updates(installed, query.platform_version).await?;
    Ok(Json(Updates { updates: found.updates.into_iter().map(Update::from).collect() }))
}
