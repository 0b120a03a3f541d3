//! Leases: who may attempt a delivery, and who may write what came of it.
//!
//! A lease is measured by the store's clock. Its token grows with each claim and is never used again, not even when the
//! lease is given back: a result is written only where the token is still the row's and the lease has not been given
//! up.

use platform::db::{now_ms_sql, skip_locked_sql};
use sea_orm::{
    Condition, ConnectionTrait, DbBackend, DbErr, FromQueryResult, Statement, UpdateMany, Value,
    entity::prelude::*,
};

use super::{
    bulk,
    delivery::{Column, Entity, Model},
};
use crate::domain::delivery::State;

/// The right to attempt one delivery once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lease {
    /// Of this delivery.
    pub delivery_id: String,
    /// The number of the attempt that it is for.
    pub attempt: i64,
    /// No other lease of the delivery has it.
    pub token: i64,
}

impl Lease {
    /// The lease that was just taken of this delivery.
    #[must_use]
    pub fn of(delivery: &Model) -> Self {
        let (attempt, token) = (delivery.attempts, delivery.lease_token);
        Self { delivery_id: delivery.id.clone(), attempt, token }
    }
}

/// What to claim.
#[derive(Debug)]
pub struct Claim<'a> {
    /// Due by this time of the service's clock.
    pub now_ms: i64,
    /// How long the lease lasts.
    pub lease_ms: i64,
    /// At most so many.
    pub limit: usize,
    /// Endpoints that have all they can take.
    pub busy: &'a [String],
}

/// The store's time, by which leases are measured.
pub async fn store_now_ms(tx: &impl ConnectionTrait) -> Result<i64, DbErr> {
    let backend = tx.get_database_backend();
    let now = format!("SELECT {} AS store_now_ms", now_ms_sql(backend));
    let now = tx.query_one_raw(Statement::from_string(backend, now)).await?;
    now.ok_or_else(|| DbErr::RecordNotFound("the store did not tell its time".to_owned()))?
        .try_get("", "store_now_ms")
}

/// A callback waits while an earlier one of its serial is open. A webhook has none, and is not looked up. The last two
/// conditions are those of the index `deliveries_open_of_serial`.
const IN_TURN: &str = "(due.serial IS NULL OR NOT EXISTS (SELECT 1 FROM deliveries AS earlier \
    WHERE earlier.serial = due.serial AND earlier.sequence < due.sequence \
    AND earlier.serial IS NOT NULL AND earlier.settled_at_ms IS NULL))";

/// Claims due deliveries, the longest due first. What another replica is claiming right now is passed over.
pub async fn claim(tx: &impl ConnectionTrait, claim: &Claim<'_>) -> Result<Vec<Model>, DbErr> {
    let rows = tx.query_all_raw(claiming(tx.get_database_backend(), claim)).await?;
    rows.iter().map(|row| Model::from_query_result(row, "")).collect()
}

pub(super) fn claiming(backend: DbBackend, claim: &Claim<'_>) -> Statement {
    let (now, skip_locked) = (now_ms_sql(backend), skip_locked_sql(backend));
    let marks: Vec<String> = (4..4 + claim.busy.len()).map(|number| format!("${number}")).collect();
    let idle = if marks.is_empty() {
        String::new()
    } else {
        format!("AND due.endpoint_id NOT IN ({})", marks.join(", "))
    };
    let sql = format!(
        "UPDATE deliveries SET lease_until_ms = {now} + $1, attempts = attempts + 1, \
         lease_token = lease_token + 1 WHERE id IN (\
         SELECT due.id FROM deliveries AS due WHERE due.state = 'pending' AND due.next_attempt_at_ms <= $2 \
         AND due.lease_until_ms < {now} AND {IN_TURN} {idle} \
         ORDER BY due.next_attempt_at_ms, due.id LIMIT $3 {skip_locked}) RETURNING *"
    );
    let limit = i64::try_from(claim.limit).unwrap_or(i64::MAX);
    let mut values: Vec<Value> = vec![claim.lease_ms.into(), claim.now_ms.into(), limit.into()];
    values.extend(claim.busy.iter().map(Value::from));
    Statement::from_sql_and_values(backend, sql, values)
}

fn held(lease: &Lease) -> Condition {
    Condition::all()
        .add(Column::Id.eq(&lease.delivery_id))
        .add(Column::LeaseToken.eq(lease.token))
        .add(Column::LeaseUntilMs.gt(0))
}

// By its path: in scope, its methods and those of `ColumnTrait` would be ambiguous.
fn one_more(column: Column) -> Expr {
    sea_orm::ExprTrait::add(Expr::col(column), 1_i64)
}

fn give_up(update: UpdateMany<Entity>) -> UpdateMany<Entity> {
    update.col_expr(Column::LeaseUntilMs, Expr::value(0_i64))
}

/// The lease ends, and the delivery stands in this state.
fn end_in(state: State, held_since_ms: Option<i64>) -> UpdateMany<Entity> {
    give_up(Entity::update_many())
        .col_expr(Column::State, Expr::value(state.as_str()))
        .col_expr(Column::HeldSinceMs, Expr::value(held_since_ms))
}

fn fail_in(state: State, held_since_ms: Option<i64>) -> UpdateMany<Entity> {
    end_in(state, held_since_ms).col_expr(Column::Failures, one_more(Column::Failures))
}

async fn write(tx: &impl ConnectionTrait, update: UpdateMany<Entity>, lease: &Lease) -> Result<bool, DbErr> {
    Ok(update.filter(held(lease)).exec(tx).await?.rows_affected > 0)
}

/// Marks as delivered those whose lease is still held; the others' results are too late.
pub async fn deliver(tx: &impl ConnectionTrait, leases: &[Lease], now_ms: i64) -> Result<Vec<Model>, DbErr> {
    let set = format!("state = '{}', held_since_ms = NULL, settled_at_ms = {now_ms}", State::Delivered);
    let rows = end_all(tx, leases, &set).await?;
    rows.iter().map(|row| Model::from_query_result(row, "")).collect()
}

/// Ends those of the leases that are still held; the rows after it.
async fn end_all(
    tx: &impl ConnectionTrait,
    leases: &[Lease],
    set: &str,
) -> Result<Vec<sea_orm::QueryResult>, DbErr> {
    let columns = vec![
        bulk::Column::text("id", leases.iter().map(|lease| lease.delivery_id.clone())),
        bulk::Column::number("token", leases.iter().map(|lease| lease.token)),
    ];
    let sql = |rows: &str| {
        format!(
            "UPDATE deliveries SET lease_until_ms = 0, {set} FROM {rows} \
             WHERE deliveries.id = given.id AND lease_token = given.token AND lease_until_ms > 0 \
             RETURNING *"
        )
    };
    bulk::run(tx, columns, sql).await
}

/// The attempt failed: again at that time. False: too late.
pub async fn retry(tx: &impl ConnectionTrait, lease: &Lease, at_ms: i64) -> Result<bool, DbErr> {
    let update = fail_in(State::Pending, None).col_expr(Column::NextAttemptAtMs, Expr::value(at_ms));
    write(tx, update, lease).await
}

/// The attempt failed, and the endpoint is disabled. False: too late.
pub async fn hold(tx: &impl ConnectionTrait, lease: &Lease, now_ms: i64) -> Result<bool, DbErr> {
    let update = fail_in(State::Held, Some(now_ms)).col_expr(Column::NextAttemptAtMs, Expr::value(now_ms));
    write(tx, update, lease).await
}

/// No more attempts: it stands in this state, for the reason. Nothing: too late.
pub async fn end(
    tx: &impl ConnectionTrait,
    lease: &Lease,
    (state, reason): (State, Option<&str>),
    now_ms: i64,
) -> Result<Option<Model>, DbErr> {
    let update = fail_in(state, None)
        .col_expr(Column::DeadReason, Expr::value(reason.map(str::to_owned)))
        .col_expr(Column::SettledAtMs, Expr::value(now_ms));
    Ok(update.filter(held(lease)).exec_with_returning(tx).await?.pop())
}

/// Gives back what was not attempted: the attempts' numbers are free again, the tokens are not, and anyone may claim
/// the deliveries. How many were still held.
pub async fn give_back(tx: &impl ConnectionTrait, leases: &[Lease]) -> Result<usize, DbErr> {
    Ok(end_all(tx, leases, "attempts = attempts - 1").await?.len())
}

/// The same, and the delivery is due no sooner than the time beside it.
pub async fn put_back(tx: &impl ConnectionTrait, leases: &[(Lease, i64)]) -> Result<(), DbErr> {
    let columns = vec![
        bulk::Column::text("id", leases.iter().map(|(lease, _)| lease.delivery_id.clone())),
        bulk::Column::number("token", leases.iter().map(|(lease, _)| lease.token)),
        bulk::Column::number("at_ms", leases.iter().map(|(_, at_ms)| *at_ms)),
    ];
    let sql = |rows: &str| {
        format!(
            "UPDATE deliveries SET lease_until_ms = 0, attempts = attempts - 1, next_attempt_at_ms = CASE \
             WHEN next_attempt_at_ms < given.at_ms THEN given.at_ms ELSE next_attempt_at_ms END FROM {rows} \
             WHERE deliveries.id = given.id AND lease_token = given.token AND lease_until_ms > 0"
        )
    };
    bulk::run(tx, columns, sql).await.map(drop)
}
