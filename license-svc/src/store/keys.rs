//! Table `instance_keys`: keys by the SHA-256 of their text.

use sea_orm::{
    ActiveValue::Set, ColumnTrait as _, Condition, ConnectionTrait, DbErr, FromQueryResult, JoinType,
    QuerySelect as _, entity::prelude::*,
};

use super::{damaged, instances};
use crate::domain::key::KeyKind;

#[sea_orm::model]
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "instance_keys")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub key_hash: Vec<u8>,
    pub kind: String,
    /// Absent for a shared key.
    pub instance_id: Option<String>,
    pub label: Option<String>,
    pub created_at_ms: i64,
    /// Absent: lives until it is rotated.
    pub expires_at_ms: Option<i64>,
}

impl ActiveModelBehavior for ActiveModel {}

/// A key to be stored.
pub(crate) struct NewKey<'a> {
    pub(crate) hash: [u8; 32],
    pub(crate) kind: KeyKind,
    pub(crate) instance_id: Option<&'a str>,
    pub(crate) label: Option<&'a str>,
    pub(crate) now_ms: i64,
}

/// Stores it.
pub(crate) async fn create_key(db: &impl ConnectionTrait, key: NewKey<'_>) -> Result<(), DbErr> {
    let row = ActiveModel {
        key_hash: Set(key.hash.to_vec()),
        kind: Set(key.kind.as_str().to_owned()),
        instance_id: Set(key.instance_id.map(str::to_owned)),
        label: Set(key.label.map(str::to_owned)),
        created_at_ms: Set(key.now_ms),
        expires_at_ms: Set(None),
    };
    Entity::insert(row).exec_without_returning(db).await?;
    Ok(())
}

/// Lets the instance's keys of one kind end at `at_ms`, or earlier where they already do.
pub(crate) async fn end_keys(
    db: &impl ConnectionTrait,
    instance_id: &str,
    kind: KeyKind,
    at_ms: i64,
) -> Result<(), DbErr> {
    let later = Condition::any().add(Column::ExpiresAtMs.is_null()).add(Column::ExpiresAtMs.gt(at_ms));
    Entity::update_many()
        .col_expr(Column::ExpiresAtMs, Expr::value(at_ms))
        .filter(Column::InstanceId.eq(instance_id))
        .filter(Column::Kind.eq(kind.as_str()))
        .filter(later)
        .exec(db)
        .await?;
    Ok(())
}

/// Whom a key speaks for.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Holder {
    pub(crate) kind: KeyKind,
    /// None for a shared key.
    pub(crate) instance_id: Option<String>,
    /// None: lives until it is rotated.
    pub(crate) expires_at_ms: Option<i64>,
}

#[derive(FromQueryResult)]
struct HolderRow {
    kind: String,
    instance_id: Option<String>,
    expires_at_ms: Option<i64>,
    disabled: Option<bool>,
}

/// The holder of a key that lives now and whose instance is not disabled.
pub(crate) async fn find_holder(
    db: &impl ConnectionTrait,
    key_hash: &[u8],
    now_ms: i64,
) -> Result<Option<Holder>, DbErr> {
    let owner =
        Entity::belongs_to(instances::Entity).from(Column::InstanceId).to(instances::Column::Id).into();
    let live = Condition::any().add(Column::ExpiresAtMs.is_null()).add(Column::ExpiresAtMs.gt(now_ms));
    let row = Entity::find()
        .select_only()
        .columns([Column::Kind, Column::InstanceId, Column::ExpiresAtMs])
        .column(instances::Column::Disabled)
        .join(JoinType::LeftJoin, owner)
        .filter(Column::KeyHash.eq(key_hash.to_vec()))
        .filter(live)
        .into_model::<HolderRow>()
        .one(db)
        .await?;
    row.filter(|row| row.disabled != Some(true)).map(holder).transpose()
}

fn holder(row: HolderRow) -> Result<Holder, DbErr> {
    let kind = KeyKind::parse(&row.kind).ok_or_else(|| damaged("instance_keys.kind"))?;
    Ok(Holder { kind, instance_id: row.instance_id, expires_at_ms: row.expires_at_ms })
}
