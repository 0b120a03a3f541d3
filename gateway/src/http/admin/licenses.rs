use axum::{Json, extract::State};
use platform::AppResult;
use proto::license as grpc;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::Reason;
use crate::{
    app::answer,
    http::{
        Edge,
        auth::Operator,
        reply::{ErrorBody, time},
        strict::{self, PathOf, Query},
    },
};

/// Which licences.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(in crate::http) struct LicensesQuery {
    limit: Option<u32>,
    offset: Option<u32>,
    instance_id: Option<String>,
    marketplace_id: Option<String>,
    /// `active`, `suspended`, `revoked` or `expired`.
    status: Option<String>,
    order_id: Option<String>,
}

/// A licence, without its key.
#[derive(Serialize, ToSchema)]
pub(in crate::http) struct License {
    id: String,
    status: String,
    reason: Option<String>,
    marketplace_id: String,
    version: String,
    instance_id: String,
    order_id: String,
    issued_at: String,
    expires_at: Option<String>,
    updates_until: Option<String>,
    seats: u32,
    seats_used: u32,
}

/// A stretch of the licences.
#[derive(Serialize, ToSchema)]
pub(in crate::http) struct Licenses {
    licenses: Vec<License>,
    count: u32,
    limit: u32,
    offset: u32,
}

impl From<grpc::License> for License {
    fn from(license: grpc::License) -> Self {
        Self {
            id: license.license_id,
            status: license.status,
            reason: license.reason,
            marketplace_id: license.marketplace_id,
            version: license.version,
            instance_id: license.instance_id,
            order_id: license.order_id,
            issued_at: time(license.issued_at_ms),
            expires_at: license.expires_at_ms.map(time),
            updates_until: license.updates_until_ms.map(time),
            seats: license.seats,
            seats_used: license.seats_used,
        }
    }
}

/// Lists licences.
#[utoipa::path(
    get, path = "/admin/licenses", tag = "operator", params(LicensesQuery), security(("admin_key" = [])),
    responses((status = 200, body = Licenses), (status = "default", body = ErrorBody))
)]
pub(in crate::http) async fn list(
    State(edge): State<Edge>,
    operator: Operator,
    Query(query): Query<LicensesQuery>,
) -> AppResult<Json<Licenses>> {
    let page = super::page(query.limit, query.offset)?;
    let request = grpc::ListLicensesRequest {
        limit: page.limit,
        offset: page.offset,
        instance_id: query.instance_id,
        marketplace_id: query.marketplace_id,
        status: query.status,
        order_id: query.order_id,
    };
    let services = &edge.app.services;
    let found = answer(services.licenses().list_licenses(services.request(&operator.0, request)?).await)?;
    let licenses = found.licenses.into_iter().map(License::from).collect();
    Ok(Json(Licenses { licenses, count: found.count, limit: page.limit, offset: page.offset }))
}

/// One licence.
#[utoipa::path(
    get, path = "/admin/licenses/{id}", tag = "operator", params(("id" = String, Path)),
    security(("admin_key" = [])),
    responses((status = 200, body = License), (status = "default", body = ErrorBody))
)]
pub(in crate::http) async fn get(
    State(edge): State<Edge>,
    operator: Operator,
    PathOf(id): PathOf<String>,
) -> AppResult<Json<License>> {
    let request = grpc::GetLicenseRequest { license_id: super::require_id(id, "lic")? };
    let services = &edge.app.services;
    let found = answer(services.licenses().get_license(services.request(&operator.0, request)?).await)?;
    Ok(Json(found.into()))
}

/// Suspends a licence: every check answers `SUSPENDED` until it is reinstated.
#[utoipa::path(
    post, path = "/admin/licenses/{id}/suspend", tag = "operator", params(("id" = String, Path)),
    request_body = Reason, security(("admin_key" = [])),
    responses((status = 200, body = License), (status = "default", body = ErrorBody))
)]
pub(in crate::http) async fn suspend(
    State(edge): State<Edge>,
    operator: Operator,
    PathOf(id): PathOf<String>,
    strict::Json(reason): strict::Json<Reason>,
) -> AppResult<Json<License>> {
    let request = change(id, reason)?;
    let services = &edge.app.services;
    let changed = answer(services.licenses().suspend_license(services.request(&operator.0, request)?).await)?;
    Ok(told(&edge, changed))
}

/// Reinstates a suspended licence.
#[utoipa::path(
    post, path = "/admin/licenses/{id}/reinstate", tag = "operator", params(("id" = String, Path)),
    request_body = Reason, security(("admin_key" = [])),
    responses((status = 200, body = License), (status = "default", body = ErrorBody))
)]
pub(in crate::http) async fn reinstate(
    State(edge): State<Edge>,
    operator: Operator,
    PathOf(id): PathOf<String>,
    strict::Json(reason): strict::Json<Reason>,
) -> AppResult<Json<License>> {
    let request = change(id, reason)?;
    let services = &edge.app.services;
    let changed =
        answer(services.licenses().reinstate_license(services.request(&operator.0, request)?).await)?;
    Ok(told(&edge, changed))
}

/// Revokes a licence for good.
#[utoipa::path(
    post, path = "/admin/licenses/{id}/revoke", tag = "operator", params(("id" = String, Path)),
    request_body = Reason, security(("admin_key" = [])),
    responses((status = 200, body = License), (status = "default", body = ErrorBody))
)]
pub(in crate::http) async fn revoke(
    State(edge): State<Edge>,
    operator: Operator,
    PathOf(id): PathOf<String>,
    strict::Json(reason): strict::Json<Reason>,
) -> AppResult<Json<License>> {
    let request = change(id, reason)?;
    let services = &edge.app.services;
    let changed = answer(services.licenses().revoke_license(services.request(&operator.0, request)?).await)?;
    Ok(told(&edge, changed))
}

fn change(id: String, reason: Reason) -> AppResult<grpc::ChangeLicenseRequest> {
    Ok(grpc::ChangeLicenseRequest { license_id: super::require_id(id, "lic")?, reason: reason.check()? })
}

fn told(edge: &Edge, license: grpc::License) -> Json<License> {
    edge.app.forget_answers_about(license.license_id.clone());
    edge.app.forget_introspections_about(license.marketplace_id.clone());
    Json(license.into())
}
