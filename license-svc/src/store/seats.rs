//! Table `seats`: which instances run on a licence.

use sea_orm::{
    ActiveValue::Set, ColumnTrait as _, ConnectionTrait, DbErr, PaginatorTrait as _, entity::prelude::*,
    sea_query::OnConflict,
};

#[sea_orm::model]
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "seats")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub license_id: String,
    #[sea_orm(primary_key, auto_increment = false)]
    pub instance_id: String,
    pub taken_at_ms: i64,
}

impl ActiveModelBehavior for ActiveModel {}

/// Seats the instance. The caller holds the licence's lock and has counted.
pub(crate) async fn create_seat(
    db: &impl ConnectionTrait,
    license_id: &str,
    instance_id: &str,
    now_ms: i64,
) -> Result<(), DbErr> {
    let row = ActiveModel {
        license_id: Set(license_id.to_owned()),
        instance_id: Set(instance_id.to_owned()),
        taken_at_ms: Set(now_ms),
    };
    let once = OnConflict::columns([Column::LicenseId, Column::InstanceId]).do_nothing().to_owned();
    Entity::insert(row).on_conflict(once).exec_without_returning(db).await?;
    Ok(())
}

/// Frees the instance's seat; false where it held none.
pub(crate) async fn delete_seat(
    db: &impl ConnectionTrait,
    license_id: &str,
    instance_id: &str,
) -> Result<bool, DbErr> {
    let seat = Entity::delete_by_id((license_id.to_owned(), instance_id.to_owned())).exec(db).await?;
    Ok(seat.rows_affected > 0)
}

/// How many seats are taken.
pub(crate) async fn count_seats(db: &impl ConnectionTrait, license_id: &str) -> Result<u64, DbErr> {
    Entity::find().filter(Column::LicenseId.eq(license_id)).count(db).await
}
