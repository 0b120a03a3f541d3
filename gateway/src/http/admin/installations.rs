use axum::{Json, extract::State};
use platform::AppResult;
use proto::license as grpc;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::{
    app::InstallationFilter,
    domain::installation::require_state,
    http::{Edge, auth::Operator, installation::Installation, reply::ErrorBody, strict::Query},
};

/// Which installations.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(in crate::http) struct InstallationsQuery {
    limit: Option<u32>,
    offset: Option<u32>,
    instance_id: Option<String>,
    marketplace_id: Option<String>,
    /// `requested`, `installing`, `installed`, `updating`, `removing`, `removed` or `cancelled`.
    state: Option<String>,
}

/// An app in some shop.
#[derive(Serialize, ToSchema)]
pub(in crate::http) struct InstallationInShop {
    instance_id: String,
    /// The shop's own identifier.
    shop: String,
    #[serde(flatten)]
    installation: Installation,
}

/// A stretch of the installations.
#[derive(Serialize, ToSchema)]
pub(in crate::http) struct Installations {
    installations: Vec<InstallationInShop>,
    count: u32,
    limit: u32,
    offset: u32,
}

impl From<grpc::Installation> for InstallationInShop {
    fn from(installation: grpc::Installation) -> Self {
        Self {
            instance_id: installation.instance_id.clone(),
            shop: installation.shop.clone(),
            installation: installation.into(),
        }
    }
}

/// Lists the installations of all shops.
#[utoipa::path(
    get, path = "/admin/installations", tag = "operator", params(InstallationsQuery), security(("admin_key" = [])),
    responses((status = 200, body = Installations), (status = "default", body = ErrorBody))
)]
pub(in crate::http) async fn list(
    State(edge): State<Edge>,
    operator: Operator,
    Query(query): Query<InstallationsQuery>,
) -> AppResult<Json<Installations>> {
    let page = super::page(query.limit, query.offset)?;
    let filter = InstallationFilter {
        instance_id: query.instance_id,
        marketplace_id: query.marketplace_id,
        state: require_state(query.state)?,
    };
    let found = edge.app.list_installations(&operator.0, filter, page).await?;
    let installations = found.installations.into_iter().map(InstallationInShop::from).collect();
    Ok(Json(Installations { installations, count: found.count, limit: page.limit, offset: page.offset }))
}
