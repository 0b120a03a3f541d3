use axum::{Json, extract::State, response::Response};
use bytes::Bytes;
use platform::{AppError, AppResult, Principal, secret::Secret};
use proto::license as grpc;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{
    app::VerifyQuestion,
    http::{
        Edge,
        auth::{Reader, ShopAdmin},
        reply::{self, ErrorBody, json_bytes, time},
        strict::{self, NoQuery},
    },
};

/// The route whose limit is tighter for who sends no key.
pub(in crate::http) const VERIFY: &str = "/store/marketplace/license/verify";

/// Does this licence cover this app in this instance?
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::http) struct VerifyRequest {
    #[schema(value_type = String)]
    license_key: Secret,
    marketplace_id: String,
    /// `inst_…`, or sealed as `enc_…`.
    instance_id: String,
    /// Is this version covered?
    version: Option<String>,
    /// At most 128 characters; stands in the token.
    nonce: Option<String>,
}

/// A licence.
#[derive(Serialize, ToSchema)]
pub(in crate::http) struct License {
    id: String,
    /// `active`, `suspended`, `revoked` or `expired`.
    status: String,
    marketplace_id: String,
    issued_at: String,
    expires_at: Option<String>,
    updates_until: Option<String>,
    seats: u32,
    seats_used: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    license_key: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    version: Option<String>,
}

/// The answer, which `token` proves offline for 7 days.
#[derive(Serialize, ToSchema)]
pub(in crate::http) struct Verdict {
    valid: bool,
    /// `NOT_FOUND`, `PRODUCT_MISMATCH`, `REVOKED`, `SUSPENDED`, `EXPIRED`, `VERSION_NOT_COVERED`, `SEATS_EXHAUSTED`
    /// or `VALID`.
    code: String,
    detail: String,
    /// Only where the key exists and is for that app.
    license: Option<License>,
    grace_until: Option<String>,
    /// A JWT (EdDSA); the keys are in `/.well-known/mercato.json`.
    token: String,
    checked_at: String,
    nonce: Option<String>,
}

/// Whose seat is to be freed.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::http) struct DeactivateRequest {
    #[schema(value_type = String)]
    license_key: Secret,
    marketplace_id: String,
    instance_id: String,
}

/// What is left after a seat was freed.
#[derive(Serialize, ToSchema)]
pub(in crate::http) struct Deactivated {
    /// False where the instance held no seat.
    freed: bool,
    seats: u32,
    seats_used: u32,
}

/// The shop's own licences.
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
            marketplace_id: license.marketplace_id,
            issued_at: time(license.issued_at_ms),
            expires_at: license.expires_at_ms.map(time),
            updates_until: license.updates_until_ms.map(time),
            seats: license.seats,
            seats_used: license.seats_used,
            version: license.license_key.is_some().then_some(license.version),
            license_key: license.license_key,
        }
    }
}

/// Checks a licence. Answers 200 to every well-formed question; a key is not needed, but without one the limits are
/// tighter and no seat is taken.
#[utoipa::path(
    post,
    path = "/store/marketplace/license/verify",
    tag = "licences",
    request_body = VerifyRequest,
    security((), ("publishable_key" = [])),
    responses((status = 200, body = Verdict), (status = "default", body = ErrorBody))
)]
pub(in crate::http) async fn verify(
    State(edge): State<Edge>,
    _: NoQuery,
    reader: Option<Reader>,
    strict::Json(body): strict::Json<VerifyRequest>,
) -> AppResult<Response> {
    super::marketplace_id(&body.marketplace_id)?;
    if let Some(version) = &body.version {
        super::version(version)?;
    }
    if body.nonce.as_ref().is_some_and(|nonce| nonce.len() > 128) {
        return Err(AppError::invalid("nonce must have at most 128 characters"));
    }
    let principal = reader.map_or(Principal::Anonymous, |reader| reader.0);
    let question = VerifyQuestion {
        license_key: body.license_key,
        marketplace_id: body.marketplace_id,
        instance_id: body.instance_id,
        version: body.version,
        nonce: body.nonce,
    };
    let answer = edge.app.verify(&principal, question, render).await?;
    Ok(reply::json_response(answer.body.clone()))
}

fn render(response: &grpc::VerifyResponse) -> AppResult<Bytes> {
    let response = response.clone();
    json_bytes(&Verdict {
        valid: response.valid,
        code: response.code,
        detail: response.detail,
        license: response.license.map(License::from),
        grace_until: response.grace_until_ms.map(time),
        token: response.token,
        checked_at: time(response.checked_at_ms),
        nonce: response.nonce,
    })
}

/// Frees this instance's seat, so that another instance can take it.
#[utoipa::path(
    post,
    path = "/store/marketplace/license/deactivate",
    tag = "licences",
    request_body = DeactivateRequest,
    security(("secret_key" = [])),
    responses((status = 200, body = Deactivated), (status = "default", body = ErrorBody))
)]
pub(in crate::http) async fn deactivate(
    State(edge): State<Edge>,
    _: NoQuery,
    admin: ShopAdmin,
    strict::Json(body): strict::Json<DeactivateRequest>,
) -> AppResult<Json<Deactivated>> {
    super::marketplace_id(&body.marketplace_id)?;
    let done =
        edge.app.deactivate(&admin.0, &body.license_key, body.marketplace_id, body.instance_id).await?;
    Ok(Json(Deactivated { freed: done.freed, seats: done.seats, seats_used: done.seats_used }))
}

/// This shop's licences with their keys: the way back when a webhook never came.
#[utoipa::path(
    get,
    path = "/store/marketplace/licenses",
    tag = "licences",
    params(crate::http::admin::PageQuery),
    security(("secret_key" = [])),
    responses((status = 200, body = Licenses), (status = "default", body = ErrorBody))
)]
pub(in crate::http) async fn list(
    State(edge): State<Edge>,
    admin: ShopAdmin,
    strict::Query(query): strict::Query<crate::http::admin::PageQuery>,
) -> AppResult<Json<Licenses>> {
    let page = query.page()?;
    let found = edge.app.list_own_licenses(&admin.0, page).await?;
    let licenses = found.licenses.into_iter().map(License::from).collect();
    Ok(Json(Licenses { licenses, count: found.count, limit: page.limit, offset: page.offset }))
}
