use axum::{Json, extract::State};
use platform::AppResult;
use proto::payments as grpc;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::{
    app::answer,
    http::{
        Edge,
        auth::Operator,
        reply::{ErrorBody, time},
        strict::{PathOf, Query},
    },
};

/// Which orders.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(in crate::http) struct OrdersQuery {
    limit: Option<u32>,
    offset: Option<u32>,
    /// `created`, `open`, `processing`, `paid`, `failed` or `expired`.
    state: Option<String>,
    instance_id: Option<String>,
    marketplace_id: Option<String>,
    /// Only orders for which something else than their price was paid.
    #[serde(default)]
    mismatched: bool,
}

/// An order, without its buyer's e-mail.
#[derive(Serialize, ToSchema)]
pub(in crate::http) struct Order {
    id: String,
    state: String,
    instance_id: String,
    marketplace_id: String,
    version: String,
    amount_cents: i64,
    currency: String,
    created_at: String,
    updated_at: String,
    /// What to look up in Stripe's dashboard.
    stripe_session_id: Option<String>,
    stripe_payment_intent_id: Option<String>,
    /// Set where something else than the price was paid: nothing was issued, and somebody must look.
    mismatch: Option<Mismatch>,
}

/// What was paid instead of the price.
#[derive(Serialize, ToSchema)]
pub(in crate::http) struct Mismatch {
    stripe_event_id: String,
    /// Before discounts and taxes, where Stripe said it.
    amount_cents: Option<i64>,
    currency: Option<String>,
    noted_at: String,
}

/// A stretch of the orders.
#[derive(Serialize, ToSchema)]
pub(in crate::http) struct Orders {
    orders: Vec<Order>,
    count: u32,
    limit: u32,
    offset: u32,
}

impl From<grpc::Mismatch> for Mismatch {
    fn from(mismatch: grpc::Mismatch) -> Self {
        Self {
            stripe_event_id: mismatch.stripe_event_id,
            amount_cents: mismatch.amount_cents,
            currency: mismatch.currency,
            noted_at: time(mismatch.noted_at_ms),
        }
    }
}

impl From<grpc::Order> for Order {
    fn from(order: grpc::Order) -> Self {
        Self {
            id: order.order_id,
            state: order.state,
            instance_id: order.instance_id,
            marketplace_id: order.marketplace_id,
            version: order.version,
            amount_cents: order.amount_cents,
            currency: order.currency,
            created_at: time(order.created_at_ms),
            updated_at: time(order.updated_at_ms),
            stripe_session_id: order.stripe_session_id,
            stripe_payment_intent_id: order.stripe_payment_intent_id,
            mismatch: order.mismatch.map(Mismatch::from),
        }
    }
}

/// Lists orders.
#[utoipa::path(
    get, path = "/admin/orders", tag = "operator", params(OrdersQuery), security(("admin_key" = [])),
    responses((status = 200, body = Orders), (status = "default", body = ErrorBody))
)]
pub(in crate::http) async fn list(
    State(edge): State<Edge>,
    operator: Operator,
    Query(query): Query<OrdersQuery>,
) -> AppResult<Json<Orders>> {
    let page = super::page(query.limit, query.offset)?;
    let request = grpc::ListOrdersRequest {
        limit: page.limit,
        offset: page.offset,
        state: query.state,
        instance_id: query.instance_id,
        marketplace_id: query.marketplace_id,
        mismatched: query.mismatched,
    };
    let services = &edge.app.services;
    let found = answer(services.checkout().list_orders(services.request(&operator.0, request)?).await)?;
    let orders = found.orders.into_iter().map(Order::from).collect();
    Ok(Json(Orders { orders, count: found.count, limit: page.limit, offset: page.offset }))
}

/// One order.
#[utoipa::path(
    get, path = "/admin/orders/{id}", tag = "operator", params(("id" = String, Path)),
    security(("admin_key" = [])),
    responses((status = 200, body = Order), (status = "default", body = ErrorBody))
)]
pub(in crate::http) async fn get(
    State(edge): State<Edge>,
    operator: Operator,
    PathOf(id): PathOf<String>,
) -> AppResult<Json<Order>> {
    let request = grpc::GetOrderRequest { order_id: super::require_id(id, "ord")? };
    let services = &edge.app.services;
    let found = answer(services.checkout().get_order(services.request(&operator.0, request)?).await)?;
    Ok(Json(found.into()))
}
