//! Attempts: each HTTP request of a delivery, and what came of it.

use sea_orm::{
    ConnectionTrait, DbErr, IntoActiveModel, QueryOrder as _, entity::prelude::*, sea_query::OnConflict,
};

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

fn same_attempt() -> OnConflict {
    OnConflict::columns([Column::DeliveryId, Column::Number])
}

/// Records what came of attempts. A result that arrives after its attempt was noted as lost replaces that note.
pub async fn record(tx: &impl ConnectionTrait, attempts: Vec<Model>) -> Result<(), DbErr> {
    if attempts.is_empty() {
        return Ok(());
    }
    let told =
        [Column::StartedAtMs, Column::DurationMs, Column::Status, Column::Outcome, Column::ResponseSize];
    let rows = attempts.into_iter().map(IntoActiveModel::into_active_model);
    Entity::insert_many(rows)
        .on_conflict(same_attempt().update_columns(told).to_owned())
        .exec_without_returning(tx)
        .await?;
    Ok(())
}

/// Notes attempts whose replica never told what came of them. Those that are recorded already stay.
pub async fn note_lost(tx: &impl ConnectionTrait, attempts: Vec<Model>) -> Result<(), DbErr> {
    if attempts.is_empty() {
        return Ok(());
    }
    let rows = attempts.into_iter().map(IntoActiveModel::into_active_model);
    Entity::insert_many(rows)
        .on_conflict(same_attempt().do_nothing().to_owned())
        .exec_without_returning(tx)
        .await?;
    Ok(())
}

/// A delivery's attempts, in their order.
pub async fn list(db: &impl ConnectionTrait, delivery_id: &str) -> Result<Vec<Model>, DbErr> {
    Entity::find().filter(Column::DeliveryId.eq(delivery_id)).order_by_asc(Column::Number).all(db).await
}
