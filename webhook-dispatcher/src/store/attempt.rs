//! Attempts: each HTTP request of a delivery, and what came of it.

use sea_orm::{ConnectionTrait, DbErr, QueryOrder as _, entity::prelude::*};

use super::bulk;

/// An attempt, by the delivery and its number.
#[sea_orm::model]
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "attempts")]
#[allow(missing_docs, reason = "the columns are told in the migration")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub delivery_id: String,
    #[sea_orm(primary_key, auto_increment = false)]
    pub number: i64,
    pub started_at_ms: i64,
    pub duration_ms: i64,
    pub status: Option<i32>,
    pub outcome: String,
    pub response_size: Option<i64>,
}

impl ActiveModelBehavior for ActiveModel {}

/// Records what came of attempts. A result that arrives after its attempt was noted as lost replaces that note.
pub async fn record(tx: &impl ConnectionTrait, attempts: Vec<Model>) -> Result<(), DbErr> {
    let told = "ON CONFLICT (delivery_id, number) DO UPDATE SET started_at_ms = excluded.started_at_ms, \
                duration_ms = excluded.duration_ms, status = excluded.status, outcome = excluded.outcome, \
                response_size = excluded.response_size";
    insert(tx, attempts, told).await
}

/// Notes attempts whose replica never told what came of them. Those that are recorded already stay.
pub async fn note_lost(tx: &impl ConnectionTrait, attempts: Vec<Model>) -> Result<(), DbErr> {
    insert(tx, attempts, "ON CONFLICT (delivery_id, number) DO NOTHING").await
}

async fn insert(tx: &impl ConnectionTrait, attempts: Vec<Model>, then: &str) -> Result<(), DbErr> {
    let all = || attempts.iter();
    let columns = vec![
        bulk::Column::text("delivery_id", all().map(|one| one.delivery_id.clone())),
        bulk::Column::number("number", all().map(|one| one.number)),
        bulk::Column::number("started_at_ms", all().map(|one| one.started_at_ms)),
        bulk::Column::number("duration_ms", all().map(|one| one.duration_ms)),
        bulk::Column::maybe_number("status", all().map(|one| one.status.map(i64::from))),
        bulk::Column::text("outcome", all().map(|one| one.outcome.clone())),
        bulk::Column::maybe_number("response_size", all().map(|one| one.response_size)),
    ];
    bulk::insert(tx, "attempts", columns, then).await.map(drop)
}

/// A delivery's attempts, in their order.
pub async fn list(db: &impl ConnectionTrait, delivery_id: &str) -> Result<Vec<Model>, DbErr> {
    Entity::find().filter(Column::DeliveryId.eq(delivery_id)).order_by_asc(Column::Number).all(db).await
}
