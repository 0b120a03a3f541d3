use axum::{
    Json,
    extract::State,
    http::{HeaderMap, HeaderName, HeaderValue, header},
};
use platform::{AppError, AppResult, secret::Secret};
use serde::Serialize;
use utoipa::ToSchema;

use crate::{
    app::DownloadQuestion,
    http::{
        Edge,
        auth::Reader,
        reply::{ErrorBody, Signature, time},
        strict::{NoQuery, PathOf},
    },
};

/// Where the bytes are, for 15 minutes, and how to check them.
#[derive(Serialize, ToSchema)]
pub(in crate::http) struct Download {
    url: String,
    expires_at: String,
    sha256: String,
    size: u64,
    /// The marketplace's signature over the release statement.
    signature: Option<Signature>,
    /// The vendor's signature over the ZIP's bytes.
    vendor_signature: Option<Signature>,
}

type Reply = AppResult<([(HeaderName, HeaderValue); 1], Json<Download>)>;

/// A URL of the bytes that lives 15 minutes.
#[utoipa::path(
    get,
    path = "/store/marketplace/download/{marketplaceId}/{version}",
    tag = "feed",
    params(
        ("marketplaceId" = String, Path, description = "`@vendor/app`; its slash may be escaped or not"),
        ("version" = String, Path, description = "The exact version; a yanked one is still served"),
        ("x-carpha-license" = Option<String>, Header, description = "Paid apps: the licence key"),
        ("x-carpha-instance" = Option<String>, Header, description = "Under a shared key: the instance"),
    ),
    security(("publishable_key" = [])),
    responses((status = 200, body = Download), (status = "default", body = ErrorBody))
)]
pub(in crate::http) async fn get(
    State(edge): State<Edge>,
    _: NoQuery,
    reader: Reader,
    PathOf((id, version)): PathOf<(String, String)>,
    headers: HeaderMap,
) -> Reply {
    download(&edge, reader, &id, &version, &headers).await
}

/// The same call with the id as two segments.
pub(in crate::http) async fn get_split(
    State(edge): State<Edge>,
    _: NoQuery,
    reader: Reader,
    PathOf((scope, name, version)): PathOf<(String, String, String)>,
    headers: HeaderMap,
) -> Reply {
    download(&edge, reader, &format!("{scope}/{name}"), &version, &headers).await
}

async fn download(edge: &Edge, reader: Reader, id: &str, version: &str, headers: &HeaderMap) -> Reply {
    let question = DownloadQuestion {
        marketplace_id: super::marketplace_id(id)?,
        version: super::version(version)?,
        license_key: text(headers, "x-carpha-license")?.map(Secret::new),
        instance_id: text(headers, "x-carpha-instance")?,
    };
    let download = edge.app.download(&reader.0, question).await?;
    let release = download.release;
    let no_store = (header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    let body = Download {
        url: download.url,
        expires_at: time(download.expires_at_ms),
        sha256: release.sha256,
        size: release.size,
        signature: release.signature.map(Signature::from),
        vendor_signature: release.vendor_signature.map(Signature::from),
    };
    Ok(([no_store], Json(body)))
}

fn text(headers: &HeaderMap, name: &'static str) -> AppResult<Option<String>> {
    match headers.get(name).map(HeaderValue::to_str) {
        None => Ok(None),
        Some(Ok(text)) => Ok(Some(text.to_owned())),
        Some(Err(_)) => Err(AppError::invalid(format!("the header {name} must be plain ASCII"))),
    }
}
