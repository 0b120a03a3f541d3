use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use axum::{
    Json,
    body::Body,
    extract::State,
    http::{HeaderMap, StatusCode, header},
};
use futures::{Stream, StreamExt as _, stream};
use platform::{AppError, AppResult, Code};
use proto::catalog::{ImportHeader, ImportReleaseRequest, YankReleaseRequest, import_release_request::Part};
use serde::{Deserialize, Serialize};
use serde_json::{Number, value::RawValue};
use time::{OffsetDateTime, format_description::well_known::Rfc3339};
use utoipa::{IntoParams, ToSchema};

use super::Reason;
use crate::{
    app::answer,
    http::{
        Edge,
        auth::Operator,
        reply::{ErrorBody, Signature, euros, time},
        strict::{self, PathOf, Query},
    },
};

/// An import of the largest ZIP over a slow line.
pub(in crate::http) const IMPORT_TIMEOUT: Duration = Duration::from_mins(5);

/// What the release does not say of itself.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(in crate::http) struct ImportQuery {
    /// `plugin` (when nothing is said), `static` or `hosted`.
    kind: Option<String>,
    /// Whether the release mends a security fault.
    security: Option<bool>,
    /// RFC 3339: by when the vendor asks every installation to be at least here; no sooner than the minimum notice.
    required_after: Option<String>,
}

/// One immutable version of an app.
#[derive(Serialize, ToSchema)]
pub(in crate::http) struct Release {
    id: String,
    product_id: String,
    marketplace_id: String,
    version: String,
    kind: String,
    #[schema(value_type = f64)]
    price_eur: Number,
    #[schema(value_type = Object)]
    manifest: Box<RawValue>,
    /// Null for a hosted app, which has no artefact.
    sha256: Option<String>,
    size: u64,
    security: bool,
    published_at: String,
    required_after: Option<String>,
    yanked_reason: Option<String>,
    signature: Option<Signature>,
    vendor_signature: Option<Signature>,
    /// What signs a hosted app's callbacks; in the answer to its first import, this once.
    #[serde(skip_serializing_if = "Option::is_none")]
    app_secret: Option<String>,
}

impl TryFrom<proto::catalog::Release> for Release {
    type Error = AppError;

    fn try_from(release: proto::catalog::Release) -> AppResult<Self> {
        Ok(Self {
            id: release.release_id,
            product_id: release.product_id,
            marketplace_id: release.marketplace_id,
            version: release.version,
            kind: release.kind,
            price_eur: euros(release.price_cents),
            manifest: RawValue::from_string(release.manifest_json).map_err(AppError::unexpected)?,
            sha256: Some(release.sha256).filter(|sha256| !sha256.is_empty()),
            size: release.size,
            security: release.security,
            published_at: time(release.published_at_ms),
            required_after: release.required_after_ms.map(time),
            yanked_reason: release.yanked_reason,
            signature: release.signature.map(Signature::from),
            vendor_signature: release.vendor_signature.map(Signature::from),
            app_secret: release.app_secret,
        })
    }
}

/// Imports and publishes a release. The body is the ZIP itself, whose manifest is read from it; of a hosted app, which
/// has none, the manifest itself.
#[utoipa::path(
    post, path = "/admin/vendors/{id}/releases", tag = "operator",
    params(
        ("id" = String, Path, description = "The vendor"),
        ImportQuery,
        ("x-vendor-signature" = String, Header, description = "base64 of the vendor's Ed25519 signature over the ZIP's bytes; of a hosted app, over the canonical form (RFC 8785) of its manifest"),
    ),
    request_body(
        description = "The ZIP; of a hosted app, its manifest.json",
        content((Vec<u8> = "application/zip"), (Object = "application/json")),
    ),
    security(("admin_key" = [])),
    responses((status = 201, body = Release), (status = "default", body = ErrorBody))
)]
pub(in crate::http) async fn import(
    State(edge): State<Edge>,
    operator: Operator,
    PathOf(id): PathOf<String>,
    Query(query): Query<ImportQuery>,
    headers: HeaderMap,
    body: Body,
) -> AppResult<(StatusCode, Json<Release>)> {
    let kind = query.kind.unwrap_or_else(|| "plugin".to_owned());
    require_content_type(&headers, &kind)?;
    let header = ImportHeader {
        vendor_id: super::require_id(id, "vnd")?,
        signature: signature(&headers)?,
        kind,
        security: query.security.unwrap_or(false),
        required_after_ms: query.required_after.as_deref().map(required_after).transpose()?,
    };
    let services = &edge.app.services;
    let broke_off = BrokeOff::default();
    let mut parts = services.request(&operator.0, parts(header, body, broke_off.clone()))?;
    parts.set_timeout(IMPORT_TIMEOUT);
    let release = broke_off.instead_of(answer(services.catalog_admin().import_release(parts).await))?;
    edge.app.forget_feed();
    Ok((StatusCode::CREATED, Json(release.try_into()?)))
}

fn require_content_type(headers: &HeaderMap, kind: &str) -> AppResult<()> {
    let given = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let (taken, message) = match kind {
        "hosted" => (
            "application/json",
            "the body of a hosted release must be its manifest.json itself, with the header Content-Type: application/json",
        ),
        "plugin" | "static" => (
            "application/zip",
            "the body must be the ZIP itself, with the header Content-Type: application/zip",
        ),
        _ => return Err(AppError::invalid("kind must be one of plugin, static, hosted")),
    };
    let given = given.split(';').next().unwrap_or_default().trim();
    if given.eq_ignore_ascii_case(taken) { Ok(()) } else { Err(AppError::invalid(message)) }
}

fn required_after(text: &str) -> AppResult<i64> {
    let time = OffsetDateTime::parse(text, &Rfc3339).map_err(|_| {
        AppError::invalid("required_after must be a time such as 2026-03-31T12:00:00Z (RFC 3339)")
    })?;
    i64::try_from(time.unix_timestamp_nanos() / 1_000_000).map_err(AppError::unexpected)
}

fn signature(headers: &HeaderMap) -> AppResult<String> {
    let signature = headers.get("x-vendor-signature").and_then(|value| value.to_str().ok());
    signature.map(str::to_owned).ok_or_else(|| {
        AppError::invalid(
            "send the vendor's signature over the ZIP's bytes (over the canonical manifest of a hosted app), in base64, as \
             x-vendor-signature",
        )
    })
}

/// Whether the body broke off, or grew past the limit, before its end.
#[derive(Clone, Default)]
struct BrokeOff(Arc<AtomicBool>);

impl BrokeOff {
    /// What was wrong with the body says more than what the service made of half of it.
    fn instead_of<T>(&self, answer: AppResult<T>) -> AppResult<T> {
        if self.0.load(Ordering::Acquire) {
            return Err(AppError::new(
                Code::TooLarge,
                "the release broke off or is larger than is taken here; send it again, whole and smaller",
            ));
        }
        answer
    }
}

/// The header, then the body as it comes. A body that breaks off ends the stream, and that it did is noted.
fn parts(
    header: ImportHeader,
    body: Body,
    broke_off: BrokeOff,
) -> impl Stream<Item = ImportReleaseRequest> + Send + 'static {
    let part = |part| ImportReleaseRequest { part: Some(part) };
    let chunks = body.into_data_stream().take_while(move |chunk| {
        broke_off.0.fetch_or(chunk.is_err(), Ordering::AcqRel);
        std::future::ready(chunk.is_ok())
    });
    let chunks = chunks.map(move |chunk| part(Part::Chunk(chunk.unwrap_or_default().into())));
    stream::once(std::future::ready(part(Part::Header(header)))).chain(chunks)
}

/// Withdraws a release: it stays downloadable by its exact number, and no one is offered it.
#[utoipa::path(
    post, path = "/admin/releases/{scope}/{name}/{version}/yank", tag = "operator",
    params(
        ("scope" = String, Path, description = "`@vendor`"),
        ("name" = String, Path, description = "The app's name"),
        ("version" = String, Path),
    ),
    request_body = Reason, security(("admin_key" = [])),
    responses((status = 200, body = Release), (status = "default", body = ErrorBody))
)]
pub(in crate::http) async fn yank(
    State(edge): State<Edge>,
    operator: Operator,
    PathOf((scope, name, version)): PathOf<(String, String, String)>,
    strict::Json(reason): strict::Json<Reason>,
) -> AppResult<Json<Release>> {
    let request =
        YankReleaseRequest { marketplace_id: format!("{scope}/{name}"), version, reason: reason.check()? };
    let services = &edge.app.services;
    let release =
        answer(services.catalog_admin().yank_release(services.request(&operator.0, request)?).await)?;
    edge.app.forget_feed();
    Ok(Json(release.try_into()?))
}
