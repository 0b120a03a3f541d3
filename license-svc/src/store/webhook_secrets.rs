//! Table `webhook_secrets`: sealed at rest.

use sea_orm::{
    ActiveValue::Set, ColumnTrait as _, Condition, ConnectionTrait, DbErr, QueryOrder as _,
    entity::prelude::*,
};

#[sea_orm::model]
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "webhook_secrets")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub instance_id: String,
    /// The revision of the instance that brought it: newer secrets have greater ones.
    #[sea_orm(primary_key, auto_increment = false)]
    pub revision: i32,
    pub sealed_secret: Vec<u8>,
    pub created_at_ms: i64,
    /// Absent: lives until it is rotated.
    pub expires_at_ms: Option<i64>,
}

impl ActiveModelBehavior for ActiveModel {}

fn ends_after(at_ms: i64) -> Condition {
    Condition::any().add(Column::ExpiresAtMs.is_null()).add(Column::ExpiresAtMs.gt(at_ms))
}

/// Stores a secret.
pub(crate) async fn create_secret(
    db: &impl ConnectionTrait,
    (instance_id, revision): (&str, i32),
    sealed_secret: Vec<u8>,
    now_ms: i64,
) -> Result<(), DbErr> {
    let row = ActiveModel {
        instance_id: Set(instance_id.to_owned()),
        revision: Set(revision),
        sealed_secret: Set(sealed_secret),
        created_at_ms: Set(now_ms),
        expires_at_ms: Set(None),
    };
    Entity::insert(row).exec_without_returning(db).await?;
    Ok(())
}

/// Lets the instance's secrets end at `at_ms`, or earlier where they already do.
pub(crate) async fn end_secrets(
    db: &impl ConnectionTrait,
    instance_id: &str,
    at_ms: i64,
) -> Result<(), DbErr> {
    Entity::update_many()
        .col_expr(Column::ExpiresAtMs, Expr::value(at_ms))
        .filter(Column::InstanceId.eq(instance_id))
        .filter(ends_after(at_ms))
        .exec(db)
        .await?;
    Ok(())
}

/// Forgets the secrets that have ended: nothing can be done with them.
pub(crate) async fn delete_ended_secrets(
    db: &impl ConnectionTrait,
    instance_id: &str,
    now_ms: i64,
) -> Result<(), DbErr> {
    Entity::delete_many()
        .filter(Column::InstanceId.eq(instance_id))
        .filter(Column::ExpiresAtMs.lte(now_ms))
        .exec(db)
        .await?;
    Ok(())
}

/// The instance's live secrets, newest first.
pub(crate) async fn list_live_secrets(
    db: &impl ConnectionTrait,
    instance_id: &str,
    now_ms: i64,
) -> Result<Vec<Model>, DbErr> {
    Entity::find()
        .filter(Column::InstanceId.eq(instance_id))
        .filter(ends_after(now_ms))
        .order_by_desc(Column::Revision)
        .all(db)
        .await
}
