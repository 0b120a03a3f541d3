//! What waits for an endpoint whose circuit closes, or which is enabled without what was held for it.

use sea_orm::{Condition, ConnectionTrait, DbErr, QueryOrder as _, QuerySelect as _, entity::prelude::*};

use super::delivery::{Column, Entity, Model, change, of_endpoint};
use crate::domain::delivery::State;

/// No pending delivery of the endpoint that was to wait no longer than until then waits any longer.
pub async fn hasten_until(
    tx: &impl ConnectionTrait,
    endpoint_id: &str,
    until_ms: i64,
    now_ms: i64,
) -> Result<u64, DbErr> {
    let update = Entity::update_many().col_expr(Column::NextAttemptAtMs, Expr::value(now_ms));
    let waiting = of_endpoint(endpoint_id, State::Pending)
        .add(Column::NextAttemptAtMs.gt(now_ms))
        .add(Column::NextAttemptAtMs.lte(until_ms));
    change(tx, update, waiting).await
}

/// Gives up what is held for an endpoint, and how much that was. The result of an attempt in flight comes too late.
pub async fn drop_held(
    tx: &impl ConnectionTrait,
    endpoint_id: &str,
    reason: &str,
    now_ms: i64,
) -> Result<u64, DbErr> {
    let update = Entity::update_many()
        .col_expr(Column::State, Expr::value(State::Dead.as_str()))
        .col_expr(Column::HeldSinceMs, Expr::value(None::<i64>))
        .col_expr(Column::LeaseUntilMs, Expr::value(0_i64))
        .col_expr(Column::DeadReason, Expr::value(reason))
        .col_expr(Column::SettledAtMs, Expr::value(now_ms));
    change(tx, update, of_endpoint(endpoint_id, State::Held)).await
}

/// Takes back what is open of this event for an endpoint. The result of an attempt in flight comes too late.
pub async fn take_back(
    tx: &impl ConnectionTrait,
    endpoint_id: &str,
    event: &str,
    now_ms: i64,
) -> Result<u64, DbErr> {
    let update = Entity::update_many()
        .col_expr(Column::State, Expr::value(State::Superseded.as_str()))
        .col_expr(Column::HeldSinceMs, Expr::value(None::<i64>))
        .col_expr(Column::LeaseUntilMs, Expr::value(0_i64))
        .col_expr(Column::SettledAtMs, Expr::value(now_ms));
    let open = Condition::all().add(Column::EndpointId.eq(endpoint_id)).add(Column::SettledAtMs.is_null());
    change(tx, update, open.add(Column::Event.eq(event))).await
}

/// What is held for an endpoint, kept as it is until the transaction ends.
pub async fn list_held_for(tx: &impl ConnectionTrait, endpoint_id: &str) -> Result<Vec<Model>, DbErr> {
    let held = Entity::find().filter(of_endpoint(endpoint_id, State::Held));
    held.order_by_asc(Column::Id).lock_exclusive().all(tx).await
}
