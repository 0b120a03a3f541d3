use axum::{Json, extract::State};
use platform::AppResult;
use proto::webhooks as grpc;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::stretch;
use crate::{
    app::answer,
    http::{
        Edge,
        auth::Operator,
        reply::{ErrorBody, time},
        strict::{PathOf, Query},
    },
};

/// Which deliveries.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(in crate::http) struct DeliveriesQuery {
    limit: Option<u32>,
    /// At most 10000.
    offset: Option<u32>,
    /// The `next` of an earlier answer: nothing is repeated or left out while new ones arrive.
    after: Option<String>,
    endpoint_id: Option<String>,
    message_id: Option<String>,
    instance_id: Option<String>,
    /// `pending`, `delivered`, `dead`, `held` or `superseded`.
    state: Option<String>,
    /// With `state=dead`: the class of the reason, such as `timeout`, `server_error` or `aged_out`.
    reason: Option<String>,
    event: Option<String>,
    /// `webhook` (to a shop) or `callback` (to a hosted app).
    kind: Option<String>,
    marketplace_id: Option<String>,
    /// Of events that happened from this time, such as `2026-01-31T12:00:00Z`.
    since: Option<String>,
    /// Of events that happened before this time.
    until: Option<String>,
}

/// One message to one endpoint.
#[derive(Serialize, ToSchema)]
pub(in crate::http) struct Delivery {
    id: String,
    message_id: String,
    endpoint_id: String,
    /// `webhook` or `callback`.
    kind: String,
    instance_id: String,
    /// Of a callback: the app.
    marketplace_id: Option<String>,
    /// Of a callback: what it is about.
    installation_id: Option<String>,
    event: String,
    /// `pending`, `delivered`, `dead`, `held` or `superseded` (a later callback to the same app and shop took its place, or
    /// nobody waits for this verification any more).
    state: String,
    attempts: u32,
    next_attempt_at: Option<String>,
    created_at: String,
    settled_at: Option<String>,
    dead_reason: Option<String>,
    /// The class of the reason.
    dead_class: Option<String>,
}

/// One HTTP request of a delivery.
#[derive(Serialize, ToSchema)]
pub(in crate::http) struct Attempt {
    number: u32,
    started_at: String,
    duration_ms: u32,
    status: Option<u32>,
    outcome: String,
    response_size: Option<u64>,
}

/// A delivery with its attempts.
#[derive(Serialize, ToSchema)]
pub(in crate::http) struct DeliveryDetail {
    #[serde(flatten)]
    delivery: Delivery,
    attempt_log: Vec<Attempt>,
}

/// A stretch of the deliveries.
#[derive(Serialize, ToSchema)]
pub(in crate::http) struct Deliveries {
    deliveries: Vec<Delivery>,
    /// Of the newest that were looked at: 10000 at most.
    count: u32,
    /// False: there are more than were looked at.
    count_is_exact: bool,
    limit: u32,
    offset: u32,
    /// The `after` of what follows; null: nothing does. It may be there though fewer came than were asked for.
    next: Option<String>,
}

impl From<grpc::Delivery> for Delivery {
    fn from(delivery: grpc::Delivery) -> Self {
        Self {
            id: delivery.delivery_id,
            message_id: delivery.message_id,
            endpoint_id: delivery.endpoint_id,
            kind: delivery.kind,
            instance_id: delivery.instance_id,
            marketplace_id: delivery.marketplace_id,
            installation_id: delivery.installation_id,
            event: delivery.event,
            state: delivery.state,
            attempts: delivery.attempts,
            next_attempt_at: delivery.next_attempt_at_ms.map(time),
            created_at: time(delivery.created_at_ms),
            settled_at: delivery.settled_at_ms.map(time),
            dead_reason: delivery.dead_reason,
            dead_class: delivery.dead_class,
        }
    }
}

impl From<grpc::Attempt> for Attempt {
    fn from(attempt: grpc::Attempt) -> Self {
        Self {
            number: attempt.number,
            started_at: time(attempt.started_at_ms),
            duration_ms: attempt.duration_ms,
            status: attempt.status,
            outcome: attempt.outcome,
            response_size: attempt.response_size,
        }
    }
}

/// Lists deliveries, newest first.
#[utoipa::path(
    get, path = "/admin/deliveries", tag = "operator", params(DeliveriesQuery), security(("admin_key" = [])),
    responses((status = 200, body = Deliveries), (status = "default", body = ErrorBody))
)]
pub(in crate::http) async fn list(
    State(edge): State<Edge>,
    operator: Operator,
    Query(query): Query<DeliveriesQuery>,
) -> AppResult<Json<Deliveries>> {
    let page = super::page(query.limit, query.offset)?;
    let request = grpc::ListDeliveriesRequest {
        limit: page.limit,
        offset: page.offset,
        after: query.after,
        endpoint_id: stretch::id_said("endpoint_id", query.endpoint_id, "ep")?,
        message_id: stretch::id_said("message_id", query.message_id, "msg")?,
        instance_id: query.instance_id,
        state: query.state,
        reason: query.reason,
        event: query.event,
        kind: query.kind,
        marketplace_id: query.marketplace_id,
        since_ms: stretch::when_said("since", query.since.as_deref())?,
        until_ms: stretch::when_said("until", query.until.as_deref())?,
    };
    let services = &edge.app.services;
    let found = answer(services.webhooks().list_deliveries(services.request(&operator.0, request)?).await)?;
    let deliveries = found.deliveries.into_iter().map(Delivery::from).collect();
    let (next, count_is_exact) = stretch::told(found.stretch);
    let (count, limit, offset) = (found.count, page.limit, page.offset);
    Ok(Json(Deliveries { deliveries, count, count_is_exact, limit, offset, next }))
}

/// One delivery with every attempt of it.
#[utoipa::path(
    get, path = "/admin/deliveries/{id}", tag = "operator", params(("id" = String, Path)),
    security(("admin_key" = [])),
    responses((status = 200, body = DeliveryDetail), (status = "default", body = ErrorBody))
)]
pub(in crate::http) async fn get(
    State(edge): State<Edge>,
    operator: Operator,
    PathOf(id): PathOf<String>,
) -> AppResult<Json<DeliveryDetail>> {
    let request = grpc::GetDeliveryRequest { delivery_id: super::require_id(id, "dly")? };
    let services = &edge.app.services;
    let found = answer(services.webhooks().get_delivery(services.request(&operator.0, request)?).await)?;
    let attempt_log = found.attempts.into_iter().map(Attempt::from).collect();
    Ok(Json(DeliveryDetail { delivery: found.delivery.unwrap_or_default().into(), attempt_log }))
}

/// Sends it again, with the same delivery id: a receiver that has taken it knows it by that.
#[utoipa::path(
    post, path = "/admin/deliveries/{id}/replay", tag = "operator", params(("id" = String, Path)),
    security(("admin_key" = [])),
    responses((status = 200, body = Delivery), (status = "default", body = ErrorBody))
)]
pub(in crate::http) async fn replay(
    State(edge): State<Edge>,
    operator: Operator,
    PathOf(id): PathOf<String>,
) -> AppResult<Json<Delivery>> {
    let request = grpc::ReplayDeliveryRequest { delivery_id: super::require_id(id, "dly")? };
    let services = &edge.app.services;
    let changed = answer(services.webhooks().replay_delivery(services.request(&operator.0, request)?).await)?;
    Ok(Json(changed.into()))
}
