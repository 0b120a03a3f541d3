use axum::{Json, extract::State, http::StatusCode};
use platform::{AppResult, Principal};
use proto::license as grpc;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::PageQuery;
use crate::{
    app::answer,
    http::{
        Edge,
        auth::Operator,
        reply::{ErrorBody, time},
        strict::{self, PathOf, Query},
    },
};

/// The shop's own API, which apps will call.
#[derive(Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::http) struct ShopApi {
    base_url: String,
    min_version: u32,
    max_version: u32,
}

/// A shop to be.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::http) struct NewInstance {
    /// Where the shop takes webhooks.
    base_url: String,
    /// The shop's own identifier, unique here.
    shop: String,
    site_url: String,
    api: ShopApi,
    /// The shop's own secret (`whsec_…`, at least 24 bytes); one is made when nothing is said.
    webhook_secret: Option<String>,
}

/// What may change of a shop.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::http) struct InstanceChange {
    base_url: Option<String>,
    site_url: Option<String>,
    api: Option<ShopApi>,
}

/// Which keys are replaced.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::http) struct Rotation {
    #[serde(default)]
    publishable_key: bool,
    #[serde(default)]
    secret_key: bool,
    #[serde(default)]
    webhook_secret: bool,
    /// How long the old ones live on; 24 hours when nothing is said.
    overlap_seconds: Option<u64>,
}

/// A shop.
#[derive(Serialize, ToSchema)]
pub(in crate::http) struct Instance {
    id: String,
    base_url: String,
    shop: String,
    site_url: String,
    api: Option<ShopApi>,
    publishable_key: String,
    disabled: bool,
    created_at: String,
}

/// A shop with the secrets that this call made; they are shown this once.
#[derive(Serialize, ToSchema)]
pub(in crate::http) struct InstanceCredentials {
    #[serde(flatten)]
    instance: Instance,
    /// `sk_…`
    secret_key: Option<String>,
    /// `whsec_…`
    webhook_secret: Option<String>,
}

/// A stretch of the shops.
#[derive(Serialize, ToSchema)]
pub(in crate::http) struct Instances {
    instances: Vec<Instance>,
    count: u32,
    limit: u32,
    offset: u32,
}

/// A publishable key for many shops.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::http) struct NewSharedKey {
    /// What it is for.
    label: String,
}

/// A publishable key that belongs to no single shop.
#[derive(Serialize, ToSchema)]
pub(in crate::http) struct SharedKey {
    publishable_key: String,
    label: String,
}

impl From<ShopApi> for grpc::ShopApi {
    fn from(api: ShopApi) -> Self {
        Self { base_url: api.base_url, min_version: api.min_version, max_version: api.max_version }
    }
}

impl From<grpc::Instance> for Instance {
    fn from(instance: grpc::Instance) -> Self {
        let api = instance.api.map(|api| ShopApi {
            base_url: api.base_url,
            min_version: api.min_version,
            max_version: api.max_version,
        });
        Self {
            id: instance.instance_id,
            base_url: instance.base_url,
            shop: instance.shop,
            site_url: instance.site_url,
            api,
            publishable_key: instance.publishable_key,
            disabled: instance.disabled,
            created_at: time(instance.created_at_ms),
        }
    }
}

impl From<grpc::InstanceCredentials> for InstanceCredentials {
    fn from(credentials: grpc::InstanceCredentials) -> Self {
        Self {
            instance: credentials.instance.unwrap_or_default().into(),
            secret_key: credentials.secret_key,
            webhook_secret: credentials.webhook_secret,
        }
    }
}

/// Registers a shop.
#[utoipa::path(
    post, path = "/admin/instances", tag = "operator", request_body = NewInstance, security(("admin_key" = [])),
    responses((status = 201, body = InstanceCredentials), (status = "default", body = ErrorBody))
)]
pub(in crate::http) async fn create(
    State(edge): State<Edge>,
    operator: Operator,
    strict::Json(body): strict::Json<NewInstance>,
) -> AppResult<(StatusCode, Json<InstanceCredentials>)> {
    let request = grpc::RegisterInstanceRequest {
        base_url: body.base_url,
        shop: body.shop,
        site_url: body.site_url,
        api: Some(body.api.into()),
        webhook_secret: body.webhook_secret,
    };
    let services = &edge.app.services;
    let made = answer(services.instances().register_instance(services.request(&operator.0, request)?).await)?;
    Ok((StatusCode::CREATED, Json(made.into())))
}

/// Lists the shops.
#[utoipa::path(
    get, path = "/admin/instances", tag = "operator", params(PageQuery), security(("admin_key" = [])),
    responses((status = 200, body = Instances), (status = "default", body = ErrorBody))
)]
pub(in crate::http) async fn list(
    State(edge): State<Edge>,
    operator: Operator,
    Query(query): Query<PageQuery>,
) -> AppResult<Json<Instances>> {
    let page = query.page()?;
    let request = grpc::ListInstancesRequest { limit: page.limit, offset: page.offset };
    let services = &edge.app.services;
    let found = answer(services.instances().list_instances(services.request(&operator.0, request)?).await)?;
    let instances = found.instances.into_iter().map(Instance::from).collect();
    Ok(Json(Instances { instances, count: found.count, limit: page.limit, offset: page.offset }))
}

/// One shop.
#[utoipa::path(
    get, path = "/admin/instances/{id}", tag = "operator", params(("id" = String, Path)),
    security(("admin_key" = [])),
    responses((status = 200, body = Instance), (status = "default", body = ErrorBody))
)]
pub(in crate::http) async fn get(
    State(edge): State<Edge>,
    operator: Operator,
    PathOf(id): PathOf<String>,
) -> AppResult<Json<Instance>> {
    let request = grpc::GetInstanceRequest { instance_id: super::require_id(id, "inst")? };
    let services = &edge.app.services;
    let found = answer(services.instances().get_instance(services.request(&operator.0, request)?).await)?;
    Ok(Json(found.into()))
}

/// Changes where a shop is.
#[utoipa::path(
    patch, path = "/admin/instances/{id}", tag = "operator", params(("id" = String, Path)),
    request_body = InstanceChange, security(("admin_key" = [])),
    responses((status = 200, body = Instance), (status = "default", body = ErrorBody))
)]
pub(in crate::http) async fn update(
    State(edge): State<Edge>,
    operator: Operator,
    PathOf(id): PathOf<String>,
    strict::Json(body): strict::Json<InstanceChange>,
) -> AppResult<Json<Instance>> {
    let request = grpc::UpdateInstanceRequest {
        instance_id: super::require_id(id, "inst")?,
        base_url: body.base_url,
        site_url: body.site_url,
        api: body.api.map(grpc::ShopApi::from),
    };
    let services = &edge.app.services;
    let changed =
        answer(services.instances().update_instance(services.request(&operator.0, request)?).await)?;
    Ok(Json(changed.into()))
}

/// Replaces keys; the old ones live on for the overlap.
#[utoipa::path(
    post, path = "/admin/instances/{id}/rotate", tag = "operator", params(("id" = String, Path)),
    request_body = Rotation, security(("admin_key" = [])),
    responses((status = 200, body = InstanceCredentials), (status = "default", body = ErrorBody))
)]
pub(in crate::http) async fn rotate(
    State(edge): State<Edge>,
    operator: Operator,
    PathOf(id): PathOf<String>,
    strict::Json(body): strict::Json<Rotation>,
) -> AppResult<Json<InstanceCredentials>> {
    let request = grpc::RotateInstanceRequest {
        instance_id: super::require_id(id, "inst")?,
        publishable_key: body.publishable_key,
        secret_key: body.secret_key,
        webhook_secret: body.webhook_secret,
        overlap_seconds: body.overlap_seconds.unwrap_or(24 * 60 * 60),
    };
    let instance_id = request.instance_id.clone();
    let services = &edge.app.services;
    let made = answer(services.instances().rotate_instance(services.request(&operator.0, request)?).await)?;
    edge.app.forget_keys_of(instance_id);
    Ok(Json(made.into()))
}

/// Shuts a shop out: its keys are no longer taken, its webhooks are held.
#[utoipa::path(
    post, path = "/admin/instances/{id}/disable", tag = "operator", params(("id" = String, Path)),
    security(("admin_key" = [])),
    responses((status = 200, body = Instance), (status = "default", body = ErrorBody))
)]
pub(in crate::http) async fn disable(
    State(edge): State<Edge>,
    operator: Operator,
    PathOf(id): PathOf<String>,
) -> AppResult<Json<Instance>> {
    set_disabled(&edge, &operator.0, id, true).await
}

/// Lets a shop in again.
#[utoipa::path(
    post, path = "/admin/instances/{id}/enable", tag = "operator", params(("id" = String, Path)),
    security(("admin_key" = [])),
    responses((status = 200, body = Instance), (status = "default", body = ErrorBody))
)]
pub(in crate::http) async fn enable(
    State(edge): State<Edge>,
    operator: Operator,
    PathOf(id): PathOf<String>,
) -> AppResult<Json<Instance>> {
    set_disabled(&edge, &operator.0, id, false).await
}

async fn set_disabled(
    edge: &Edge,
    operator: &Principal,
    id: String,
    disabled: bool,
) -> AppResult<Json<Instance>> {
    let request = grpc::SetInstanceDisabledRequest { instance_id: super::require_id(id, "inst")?, disabled };
    let instance_id = request.instance_id.clone();
    let services = &edge.app.services;
    let changed =
        answer(services.instances().set_instance_disabled(services.request(operator, request)?).await)?;
    edge.app.forget_keys_of(instance_id.clone());
    edge.app.forget_introspections_of(instance_id);
    Ok(Json(changed.into()))
}

/// Makes a publishable key for many shops; each then names itself by its instance id.
#[utoipa::path(
    post, path = "/admin/shared-keys", tag = "operator", request_body = NewSharedKey, security(("admin_key" = [])),
    responses((status = 201, body = SharedKey), (status = "default", body = ErrorBody))
)]
pub(in crate::http) async fn create_shared_key(
    State(edge): State<Edge>,
    operator: Operator,
    strict::Json(body): strict::Json<NewSharedKey>,
) -> AppResult<(StatusCode, Json<SharedKey>)> {
    let request = grpc::CreateSharedKeyRequest { label: body.label };
    let services = &edge.app.services;
    let made = answer(services.instances().create_shared_key(services.request(&operator.0, request)?).await)?;
    Ok((StatusCode::CREATED, Json(SharedKey { publishable_key: made.publishable_key, label: made.label })))
}
