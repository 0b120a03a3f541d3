use axum::{Json, extract::State, http::StatusCode};
use platform::AppResult;
use proto::catalog as grpc;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::PageQuery;
use crate::{
    app::answer,
    http::{
        Edge,
        auth::Operator,
        reply::{ErrorBody, PublicKey, time},
        strict::{self, PathOf, Query},
    },
};

/// A vendor to be.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::http) struct NewVendor {
    /// The `vendor` of `@vendor/app`: lower case, digits, hyphens.
    name: String,
    display_name: String,
    /// base64 of 32 bytes each, Ed25519.
    public_keys: Vec<String>,
}

/// A vendor.
#[derive(Serialize, ToSchema)]
pub(in crate::http) struct Vendor {
    id: String,
    name: String,
    display_name: String,
    public_keys: Vec<PublicKey>,
    created_at: String,
}

/// A new vendor with its secret key, which is shown this once.
#[derive(Serialize, ToSchema)]
pub(in crate::http) struct CreatedVendor {
    #[serde(flatten)]
    vendor: Vendor,
    /// `vk_…`
    secret_key: String,
}

/// A stretch of the vendors.
#[derive(Serialize, ToSchema)]
pub(in crate::http) struct Vendors {
    vendors: Vec<Vendor>,
    count: u32,
    limit: u32,
    offset: u32,
}

/// A vendor's further key.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::http) struct NewKey {
    /// base64 of 32 bytes, Ed25519.
    public_key: String,
}

impl From<grpc::Vendor> for Vendor {
    fn from(vendor: grpc::Vendor) -> Self {
        Self {
            id: vendor.vendor_id,
            name: vendor.name,
            display_name: vendor.display_name,
            public_keys: vendor.public_keys.into_iter().map(PublicKey::from).collect(),
            created_at: time(vendor.created_at_ms),
        }
    }
}

/// Adds a vendor.
#[utoipa::path(
    post, path = "/admin/vendors", tag = "operator", request_body = NewVendor, security(("admin_key" = [])),
    responses((status = 201, body = CreatedVendor), (status = "default", body = ErrorBody))
)]
pub(in crate::http) async fn create(
    State(edge): State<Edge>,
    operator: Operator,
    strict::Json(body): strict::Json<NewVendor>,
) -> AppResult<(StatusCode, Json<CreatedVendor>)> {
    let request = grpc::CreateVendorRequest {
        name: body.name,
        display_name: body.display_name,
        public_keys: body.public_keys,
    };
    let services = &edge.app.services;
    let created =
        answer(services.catalog_admin().create_vendor(services.request(&operator.0, request)?).await)?;
    let vendor = Vendor::from(created.vendor.unwrap_or_default());
    Ok((StatusCode::CREATED, Json(CreatedVendor { vendor, secret_key: created.secret_key })))
}

/// Lists the vendors.
#[utoipa::path(
    get, path = "/admin/vendors", tag = "operator", params(PageQuery), security(("admin_key" = [])),
    responses((status = 200, body = Vendors), (status = "default", body = ErrorBody))
)]
pub(in crate::http) async fn list(
    State(edge): State<Edge>,
    operator: Operator,
    Query(query): Query<PageQuery>,
) -> AppResult<Json<Vendors>> {
    let page = query.page()?;
    let request = grpc::ListVendorsRequest { limit: page.limit, offset: page.offset };
    let services = &edge.app.services;
    let found = answer(services.catalog_admin().list_vendors(services.request(&operator.0, request)?).await)?;
    let vendors = found.vendors.into_iter().map(Vendor::from).collect();
    Ok(Json(Vendors { vendors, count: found.count, limit: page.limit, offset: page.offset }))
}

/// Adds a key; the earlier ones keep verifying what they signed.
#[utoipa::path(
    post, path = "/admin/vendors/{id}/keys", tag = "operator", params(("id" = String, Path)),
    request_body = NewKey, security(("admin_key" = [])),
    responses((status = 200, body = Vendor), (status = "default", body = ErrorBody))
)]
pub(in crate::http) async fn add_key(
    State(edge): State<Edge>,
    operator: Operator,
    PathOf(id): PathOf<String>,
    strict::Json(body): strict::Json<NewKey>,
) -> AppResult<Json<Vendor>> {
    let request =
        grpc::AddVendorKeyRequest { vendor_id: super::require_id(id, "vnd")?, public_key: body.public_key };
    let services = &edge.app.services;
    let vendor =
        answer(services.catalog_admin().add_vendor_key(services.request(&operator.0, request)?).await)?;
    edge.app.forget_feed();
    Ok(Json(vendor.into()))
}
