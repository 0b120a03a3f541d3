//! Serials: the callbacks of one app and shop, which are made one after the other.
//!
//! Each has one row with the highest sequence that was taken. It is locked where a callback is taken in, and so decides
//! what deliveries alone can't: of two that arrive at once on two replicas, neither would see the other's uncommitted
//! row. It stays when they are forgotten, since the sequence goes on over later installations of the same app.

use std::collections::HashMap;

use sea_orm::{ConnectionTrait, DbErr, IntoActiveModel as _, entity::prelude::*, sea_query::OnConflict};

use crate::domain::callback::Place;

/// A serial.
#[sea_orm::model]
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "serials")]
#[allow(missing_docs, reason = "the columns are told in the migration")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub serial: String,
    pub highest: i64,
}

impl ActiveModelBehavior for ActiveModel {}

/// Takes the callback's place; whether it is the latest of its serial. Until the transaction ends, nobody else takes a
/// place in it: PostgreSQL locks the row also where the condition leaves it as it is.
pub async fn enter(tx: &impl ConnectionTrait, place: &Place) -> Result<bool, DbErr> {
    let row = Model { serial: place.serial.clone(), highest: place.sequence };
    let highest = Expr::col((Entity, Column::Highest));
    let mut raise = OnConflict::column(Column::Serial);
    raise.update_column(Column::Highest).action_and_where(sea_orm::ExprTrait::lt(highest, place.sequence));
    let raised =
        Entity::insert(row.into_active_model()).on_conflict(raise).exec_without_returning(tx).await?;
    Ok(raised > 0)
}

/// The highest sequence of each of these serials.
pub async fn highest_of(
    db: &impl ConnectionTrait,
    serials: impl IntoIterator<Item = String>,
) -> Result<HashMap<String, i64>, DbErr> {
    let serials: Vec<String> = serials.into_iter().collect();
    if serials.is_empty() {
        return Ok(HashMap::new());
    }
    let rows = Entity::find().filter(Column::Serial.is_in(serials)).all(db).await?;
    Ok(rows.into_iter().map(|row| (row.serial, row.highest)).collect())
}
