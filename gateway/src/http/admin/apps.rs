use axum::{Json, extract::State};
use platform::AppResult;
use proto::catalog as grpc;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{
    app::answer,
    http::{
        Edge,
        auth::Operator,
        reply::{ErrorBody, time},
        store::marketplace_id,
        strict::{self, PathOf},
    },
};

/// How a hosted app's secret is replaced.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::http) struct SecretRotation {
    /// How long the old secret goes on signing, while the vendor brings the new one into the app; 24 hours when nothing
    /// is said. 0: it is lost, and the new one signs at once.
    overlap_seconds: Option<u64>,
}

/// A hosted app's new secret, which is shown this once.
#[derive(Serialize, ToSchema)]
pub(in crate::http) struct AppSecret {
    marketplace_id: String,
    /// base64url; the key of the callbacks' signatures.
    secret: String,
    /// Until when the old one signs; null where it has ended.
    previous_until: Option<String>,
}

/// Replaces the secret that signs a hosted app's callbacks.
#[utoipa::path(
    post, path = "/admin/apps/{scope}/{name}/secret", tag = "operator",
    params(
        ("scope" = String, Path, description = "`@vendor`"),
        ("name" = String, Path, description = "The app's name"),
    ),
    request_body = SecretRotation, security(("admin_key" = [])),
    responses((status = 200, body = AppSecret), (status = "default", body = ErrorBody))
)]
pub(in crate::http) async fn rotate_secret(
    State(edge): State<Edge>,
    operator: Operator,
    PathOf((scope, name)): PathOf<(String, String)>,
    strict::Json(body): strict::Json<SecretRotation>,
) -> AppResult<Json<AppSecret>> {
    let request = grpc::RotateAppSecretRequest {
        marketplace_id: marketplace_id(&format!("{scope}/{name}"))?.to_string(),
        overlap_seconds: body.overlap_seconds.unwrap_or(24 * 60 * 60),
    };
    let services = &edge.app.services;
    let made =
        answer(services.catalog_admin().rotate_app_secret(services.request(&operator.0, request)?).await)?;
    let previous_until = made.previous_until_ms.map(time);
    Ok(Json(AppSecret { marketplace_id: made.marketplace_id, secret: made.secret, previous_until }))
}
