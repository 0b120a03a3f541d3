//! Marks: how far what is done by age has come, so that nothing is looked at twice.

use sea_orm::{
    ConnectionTrait, DbErr, IntoActiveModel as _, QuerySelect as _, entity::prelude::*, sea_query::OnConflict,
};

/// A mark.
#[sea_orm::model]
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "marks")]
#[allow(missing_docs, reason = "the columns are told in the migration")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub name: String,
    pub position: String,
}

impl ActiveModelBehavior for ActiveModel {}

/// Where it stands, which nobody else changes until the transaction ends; at the beginning where it was never set.
pub async fn take(tx: &impl ConnectionTrait, name: &str) -> Result<String, DbErr> {
    let first = Model { name: name.to_owned(), position: String::new() };
    let there = OnConflict::column(Column::Name).do_nothing().to_owned();
    Entity::insert(first.into_active_model()).on_conflict(there).exec_without_returning(tx).await?;
    let mark = Entity::find_by_id(name).lock_exclusive().one(tx).await?;
    Ok(mark.map(|mark| mark.position).unwrap_or_default())
}

/// Moves it on.
pub async fn set(tx: &impl ConnectionTrait, name: &str, position: &str) -> Result<(), DbErr> {
    let update = Entity::update_many().col_expr(Column::Position, Expr::value(position));
    update.filter(Column::Name.eq(name)).exec(tx).await?;
    Ok(())
}
