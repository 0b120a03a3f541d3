use axum::{Json, extract::State};
use platform::{AppResult, secret::Secret};
use proto::license as grpc;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::http::{
    Edge,
    auth::ShopAdmin,
    reply::ErrorBody,
    strict::{self, NoQuery},
};

/// The route, which has a limit of its own.
pub(in crate::http) const INTROSPECT: &str = "/store/marketplace/installations/introspect";

/// The API key that an app showed to the shop.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::http) struct IntrospectRequest {
    #[schema(value_type = String)]
    key: Secret,
}

/// Whether the key may be used in this shop now. Nothing but `active` is told of one that may not.
#[derive(Serialize, ToSchema)]
pub(in crate::http) struct Introspection {
    active: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    installation_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    marketplace_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    version: Option<String>,
    /// What it may do, such as `api:orders.read`.
    #[serde(skip_serializing_if = "Option::is_none")]
    permissions: Option<Vec<String>>,
}

impl From<grpc::Introspection> for Introspection {
    fn from(told: grpc::Introspection) -> Self {
        Self {
            active: told.active,
            installation_id: told.active.then_some(told.installation_id),
            marketplace_id: told.active.then_some(told.marketplace_id),
            version: told.active.then_some(told.version),
            permissions: told.active.then_some(told.permissions),
        }
    }
}

/// Is this API key live, whose is it, and what may it do? How a shop checks an app that calls its API: the shop itself
/// never stores the key. These calls are counted apart from the shop's others.
#[utoipa::path(
    post, path = INTROSPECT, tag = "installations",
    request_body = IntrospectRequest, security(("secret_key" = [])),
    responses((status = 200, body = Introspection), (status = "default", body = ErrorBody))
)]
pub(in crate::http) async fn introspect(
    State(edge): State<Edge>,
    _: NoQuery,
    admin: ShopAdmin,
    strict::Json(body): strict::Json<IntrospectRequest>,
) -> AppResult<Json<Introspection>> {
    Ok(Json(edge.app.introspect(&admin.0, &body.key).await?.into()))
}
