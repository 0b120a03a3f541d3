use axum::{
    extract::State,
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::Response,
};
use bytes::Bytes;
use platform::{AppError, AppResult, secret};
use proto::catalog::{ProductDetail, Release};
use serde::{Deserialize, Serialize};
use serde_json::{Number, value::RawValue};
use utoipa::{IntoParams, ToSchema};
use wire::manifest::{AppType, MarketplaceId};

use crate::{
    app::{FeedQuestion, FeedView},
    domain::page::{Page, Paging},
    http::{
        Edge,
        auth::Reader,
        reply::{self, ErrorBody, PublicKey, Signature, euros, json_bytes, time},
        strict::{NoQuery, PathOf, Query},
    },
};

/// What a shop asks of the feed.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(in crate::http) struct FeedQuery {
    /// One of `payment`, `fulfillment`, `b2b-api`, `storefront-template`, `admin-extension`, `marketing`.
    r#type: Option<String>,
    /// Words to look for, at most 200 characters.
    search: Option<String>,
    /// From 1.
    page: Option<u32>,
    /// From 1 to 100; 20 when nothing is said.
    per_page: Option<u32>,
    /// Instead of `per_page`.
    limit: Option<u32>,
    /// Instead of `page`.
    offset: Option<u32>,
}

/// One app, as the feed shows it.
#[derive(Serialize, ToSchema)]
pub(in crate::http) struct Product {
    id: String,
    marketplace_id: String,
    name: String,
    r#type: String,
    version: String,
    #[schema(value_type = f64)]
    price_eur: Number,
    #[schema(value_type = Object)]
    manifest: Box<RawValue>,
    /// Relative to this API; null for a hosted app.
    download_url: Option<String>,
    /// Null for a hosted app.
    sha256: Option<String>,
    published_at: String,
    /// `plugin`, `static` or `hosted`.
    kind: String,
    permissions: Vec<String>,
    /// The marketplace's signature over the release statement.
    signature: Option<Signature>,
    /// The vendor's signature over the ZIP's bytes.
    vendor_signature: Option<Signature>,
}

/// One page of the feed.
#[derive(Serialize, ToSchema)]
pub(in crate::http) struct Feed {
    products: Vec<Product>,
    count: u32,
    limit: u32,
    offset: u32,
}

/// One version of an app.
#[derive(Serialize, ToSchema)]
pub(in crate::http) struct ProductVersion {
    version: String,
    published_at: String,
    yanked: bool,
    yanked_reason: Option<String>,
    sha256: Option<String>,
    #[schema(value_type = f64)]
    price_eur: Number,
    download_url: Option<String>,
    changelog_url: Option<String>,
    security: bool,
}

/// One app with all there is to know of it.
#[derive(Serialize, ToSchema)]
pub(in crate::http) struct ProductPage {
    #[serde(flatten)]
    product: Product,
    description: String,
    /// Newest first; a yanked one says why.
    versions: Vec<ProductVersion>,
    vendor_keys: Vec<PublicKey>,
    marketplace_keys: Vec<PublicKey>,
}

/// A rendered answer with its entity tag.
struct Rendered {
    body: Bytes,
    etag: HeaderValue,
}

impl FeedView for Rendered {}

/// The catalogue, a page at a time.
#[utoipa::path(
    get,
    path = "/store/marketplace/feed",
    tag = "feed",
    params(FeedQuery),
    security(("publishable_key" = [])),
    responses((status = 200, body = Feed), (status = 304), (status = "default", body = ErrorBody))
)]
pub(in crate::http) async fn list(
    State(edge): State<Edge>,
    _: Reader,
    Query(query): Query<FeedQuery>,
    headers: HeaderMap,
) -> AppResult<Response> {
    let (kind, search) = (app_type(query.r#type)?, search(query.search)?);
    let page = Page::parse(Paging {
        page: query.page,
        per_page: query.per_page,
        limit: query.limit,
        offset: query.offset,
    })?;
    let question = FeedQuestion::List { kind: kind.clone(), search: search.clone(), page };
    let app = &edge.app;
    let view = app
        .feed(question, async || {
            let found = app.list_products(kind, search, page).await?;
            let products = found.products.into_iter().map(product).collect::<AppResult<_>>()?;
            render(&Feed { products, count: found.count, limit: page.limit, offset: page.offset })
        })
        .await?;
    Ok(conditional(&view, &headers))
}

/// One app with all its versions and the keys that verify them.
#[utoipa::path(
    get,
    path = "/store/marketplace/feed/{marketplaceId}",
    tag = "feed",
    params(("marketplaceId" = String, Path, description = "`@vendor/app`; its slash may be escaped or not")),
    security(("publishable_key" = [])),
    responses((status = 200, body = ProductPage), (status = 304), (status = "default", body = ErrorBody))
)]
pub(in crate::http) async fn get(
    State(edge): State<Edge>,
    _: NoQuery,
    _: Reader,
    PathOf(id): PathOf<String>,
    headers: HeaderMap,
) -> AppResult<Response> {
    product_page(&edge, &super::marketplace_id(&id)?, &headers).await
}

/// The same call with the id as two segments.
pub(in crate::http) async fn get_split(
    State(edge): State<Edge>,
    _: NoQuery,
    _: Reader,
    PathOf((scope, name)): PathOf<(String, String)>,
    headers: HeaderMap,
) -> AppResult<Response> {
    product_page(&edge, &super::marketplace_id(&format!("{scope}/{name}"))?, &headers).await
}

async fn product_page(edge: &Edge, id: &MarketplaceId, headers: &HeaderMap) -> AppResult<Response> {
    let app = &edge.app;
    let view = app
        .feed(FeedQuestion::Product(id.to_string()), async || render(&detail(app.get_product(id).await?)?))
        .await?;
    Ok(conditional(&view, headers))
}

fn app_type(asked: Option<String>) -> AppResult<Option<String>> {
    match asked {
        Some(kind) if !kind.is_empty() => match kind.parse::<AppType>() {
            Ok(_) => Ok(Some(kind)),
            Err(_) => Err(AppError::invalid(
                "type must be one of payment, fulfillment, b2b-api, storefront-template, admin-extension, marketing",
            )),
        },
        _ => Ok(None),
    }
}

fn search(asked: Option<String>) -> AppResult<Option<String>> {
    match asked.map(|words| words.trim().to_owned()).filter(|words| !words.is_empty()) {
        Some(words) if words.chars().count() > 200 => {
            Err(AppError::invalid("search is too long; use at most 200 characters"))
        }
        words => Ok(words),
    }
}

fn product(release: Release) -> AppResult<Product> {
    let url = download_url(&release);
    Ok(Product {
        id: release.product_id,
        marketplace_id: release.marketplace_id,
        name: release.name,
        r#type: release.r#type,
        version: release.version,
        price_eur: euros(release.price_cents),
        manifest: RawValue::from_string(release.manifest_json).map_err(AppError::unexpected)?,
        download_url: url,
        sha256: Some(release.sha256).filter(|sha256| !sha256.is_empty()),
        published_at: time(release.published_at_ms),
        kind: release.kind,
        permissions: release.permissions,
        signature: release.signature.map(Signature::from),
        vendor_signature: release.vendor_signature.map(Signature::from),
    })
}

fn download_url(release: &Release) -> Option<String> {
    let Release { marketplace_id, version, sha256, .. } = release;
    (!sha256.is_empty()).then(|| format!("/store/marketplace/download/{marketplace_id}/{version}"))
}

fn product_version(release: Release) -> ProductVersion {
    #[derive(Deserialize)]
    struct Changelog {
        changelog_url: Option<String>,
    }
    let changelog = serde_json::from_str::<Changelog>(&release.manifest_json).ok();
    ProductVersion {
        download_url: download_url(&release),
        version: release.version,
        published_at: time(release.published_at_ms),
        yanked: release.yanked_reason.is_some(),
        yanked_reason: release.yanked_reason,
        sha256: Some(release.sha256).filter(|sha256| !sha256.is_empty()),
        price_eur: euros(release.price_cents),
        changelog_url: changelog.and_then(|changelog| changelog.changelog_url),
        security: release.security,
    }
}

fn detail(detail: ProductDetail) -> AppResult<ProductPage> {
    let latest = detail.latest.ok_or_else(|| AppError::unexpected("a product without a release"))?;
    Ok(ProductPage {
        product: product(latest)?,
        description: detail.description,
        versions: detail.versions.into_iter().map(product_version).collect(),
        vendor_keys: detail.vendor_keys.into_iter().map(PublicKey::from).collect(),
        marketplace_keys: detail.marketplace_keys.into_iter().map(PublicKey::from).collect(),
    })
}

fn render(value: &impl Serialize) -> AppResult<Rendered> {
    use std::fmt::Write as _;
    let body = json_bytes(value)?;
    let text = std::str::from_utf8(&body).map_err(AppError::unexpected)?;
    let mut etag = String::from("\"");
    for byte in &secret::hash(text)[..16] {
        let _ = write!(etag, "{byte:02x}");
    }
    etag.push('"');
    Ok(Rendered { body, etag: HeaderValue::from_str(&etag).map_err(AppError::unexpected)? })
}

/// The answer, or 304 where the shop still has it (RFC 9110, section 13.1.2).
fn conditional(view: &Rendered, headers: &HeaderMap) -> Response {
    let known = headers.get(header::IF_NONE_MATCH).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let etag = view.etag.to_str().unwrap_or_default();
    let matches = known == "*" || known.split(',').any(|tag| tag.trim().trim_start_matches("W/") == etag);
    let mut response = if matches {
        reply::empty(StatusCode::NOT_MODIFIED)
    } else {
        reply::json_response(view.body.clone())
    };
    let headers = response.headers_mut();
    headers.insert(header::ETAG, view.etag.clone());
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("private, max-age=10"));
    headers.insert(header::VARY, HeaderValue::from_static("x-publishable-api-key"));
    response
}
