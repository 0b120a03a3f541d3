use axum::{Json, extract::State};
use platform::AppResult;
use proto::license as grpc;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::{
    app::InUseFilter,
    domain::adoption::{self, Deadline},
    http::{
        Edge,
        admin::PageQuery,
        auth::Vendor,
        reply::{ErrorBody, time},
        store::{marketplace_id, version},
        strict::{PathOf, Query},
    },
};

/// Which installations.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(in crate::http) struct InUseQuery {
    limit: Option<u32>,
    offset: Option<u32>,
    version: Option<String>,
    /// Only those whose version's deadline is over.
    #[serde(default)]
    past_deadline: bool,
}

/// One version of the app.
#[derive(Serialize, ToSchema)]
pub(in crate::http) struct VersionInUse {
    version: String,
    /// In how many shops it is now.
    installations: u32,
    /// When they must have moved on, if they must.
    deadline: Option<String>,
    /// Whether that time is over.
    past_deadline: bool,
}

/// The app's versions, newest first.
#[derive(Serialize, ToSchema)]
pub(in crate::http) struct VersionsInUse {
    versions: Vec<VersionInUse>,
    count: u32,
    limit: u32,
    offset: u32,
}

/// The app in one shop.
#[derive(Serialize, ToSchema)]
pub(in crate::http) struct InstallationInUse {
    /// `itn_…`
    id: String,
    /// The shop's own identifier, as the app is told it.
    shop: String,
    version: String,
    state: String,
    /// When it must have moved on, if it must.
    deadline: Option<String>,
    /// Whether that time is over.
    past_deadline: bool,
    updated_at: String,
}

/// The shops that have the app.
#[derive(Serialize, ToSchema)]
pub(in crate::http) struct InstallationsInUse {
    installations: Vec<InstallationInUse>,
    count: u32,
    limit: u32,
    offset: u32,
}

impl From<adoption::VersionInUse> for VersionInUse {
    fn from(used: adoption::VersionInUse) -> Self {
        Self {
            version: used.version,
            installations: used.installations,
            deadline: used.deadline.at_ms.map(time),
            past_deadline: used.deadline.is_past,
        }
    }
}

impl From<(grpc::Installation, Deadline)> for InstallationInUse {
    fn from((installation, deadline): (grpc::Installation, Deadline)) -> Self {
        Self {
            id: installation.installation_id,
            shop: installation.shop,
            version: installation.version,
            state: installation.state,
            deadline: deadline.at_ms.map(time),
            past_deadline: deadline.is_past,
            updated_at: time(installation.updated_at_ms),
        }
    }
}

/// Every version of your app: in how many shops it is, and until when it may be.
#[utoipa::path(
    get, path = "/vendor/apps/{scope}/{name}/versions", tag = "vendor",
    params(
        ("scope" = String, Path, description = "`@vendor`"),
        ("name" = String, Path, description = "The app's name"),
        PageQuery,
    ),
    security(("vendor_key" = [])),
    responses((status = 200, body = VersionsInUse), (status = "default", body = ErrorBody))
)]
pub(in crate::http) async fn list_versions(
    State(edge): State<Edge>,
    vendor: Vendor,
    PathOf((scope, name)): PathOf<(String, String)>,
    Query(query): Query<PageQuery>,
) -> AppResult<Json<VersionsInUse>> {
    let page = query.page()?;
    let app = marketplace_id(&format!("{scope}/{name}"))?;
    let found = edge.app.list_versions_in_use(&vendor.0, &app).await?;
    let count = u32::try_from(found.len()).unwrap_or(u32::MAX);
    let versions = page.of(found).map(VersionInUse::from).collect();
    Ok(Json(VersionsInUse { versions, count, limit: page.limit, offset: page.offset }))
}

/// The shops that have your app.
#[utoipa::path(
    get, path = "/vendor/apps/{scope}/{name}/installations", tag = "vendor",
    params(
        ("scope" = String, Path, description = "`@vendor`"),
        ("name" = String, Path, description = "The app's name"),
        InUseQuery,
    ),
    security(("vendor_key" = [])),
    responses((status = 200, body = InstallationsInUse), (status = "default", body = ErrorBody))
)]
pub(in crate::http) async fn list_installations(
    State(edge): State<Edge>,
    vendor: Vendor,
    PathOf((scope, name)): PathOf<(String, String)>,
    Query(query): Query<InUseQuery>,
) -> AppResult<Json<InstallationsInUse>> {
    let page = crate::http::admin::page(query.limit, query.offset)?;
    let app = marketplace_id(&format!("{scope}/{name}"))?;
    let asked = query.version.as_deref().map(version).transpose()?;
    let filter =
        InUseFilter { version: asked.map(|version| version.to_string()), past_deadline: query.past_deadline };
    let (found, count) = edge.app.list_in_use(&vendor.0, &app, filter, page).await?;
    let installations = found.into_iter().map(InstallationInUse::from).collect();
    Ok(Json(InstallationsInUse { installations, count, limit: page.limit, offset: page.offset }))
}
