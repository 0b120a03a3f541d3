use axum::{Json, extract::State, http::HeaderMap};
use platform::{AppError, AppResult};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{
    app::CheckoutQuestion,
    domain::email,
    http::{
        Edge,
        auth::Reader,
        reply::{ErrorBody, time},
        strict::{self, NoQuery},
    },
};

/// What is to be bought, and for whom.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::http) struct SessionRequest {
    marketplace_id: String,
    version: String,
    /// The merchant's; nothing of the shop's own customers is ever sent here.
    customer_email: String,
    /// `inst_…`, or sealed as `enc_…`.
    instance_id: String,
}

/// A Stripe Checkout page.
#[derive(Serialize, ToSchema)]
pub(in crate::http) struct Session {
    /// `ord_…`
    id: String,
    url: String,
    expires_at: String,
}

/// Opens a Stripe Checkout page for a paid app.
#[utoipa::path(
    post,
    path = "/store/marketplace/checkout/session",
    tag = "licences",
    params(("Idempotency-Key" = Option<String>, Header, description = "At most 255 characters, kept 24 hours")),
    request_body = SessionRequest,
    security(("publishable_key" = [])),
    responses((status = 200, body = Session), (status = "default", body = ErrorBody))
)]
pub(in crate::http) async fn create(
    State(edge): State<Edge>,
    _: NoQuery,
    reader: Reader,
    headers: HeaderMap,
    strict::Json(body): strict::Json<SessionRequest>,
) -> AppResult<Json<Session>> {
    if !email::is_plausible(&body.customer_email) {
        return Err(AppError::invalid("customer_email must be an e-mail address such as merchant@shop.com"));
    }
    let question = CheckoutQuestion {
        marketplace_id: super::marketplace_id(&body.marketplace_id)?,
        version: super::version(&body.version)?,
        customer_email: body.customer_email,
        instance_id: body.instance_id,
        idempotency_key: strict::idempotency_key(&headers)?,
    };
    let session = edge.app.checkout(&reader.0, question).await?;
    Ok(Json(Session { id: session.order_id, url: session.url, expires_at: time(session.expires_at_ms) }))
}
