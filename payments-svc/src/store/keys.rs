//! The tenants' idempotency keys. The key itself is the tenant's own text and only its hash is kept; the parameters of
//! the call hold an e-mail address and are sealed.

use platform::AppResult;
use sea_orm::{ActiveValue::Set, entity::prelude::*, sea_query::OnConflict};

/// Contracts.md section 2: kept 24 h.
const KEEP_MS: i64 = 24 * 60 * 60 * 1000;

#[sea_orm::model]
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "idempotency_keys")]
pub(crate) struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub(crate) instance_id: String,
    #[sea_orm(primary_key, auto_increment = false)]
    pub(crate) key_hash: Vec<u8>,
    pub(crate) order_id: String,
    pub(crate) sealed_parameters: Vec<u8>,
    pub(crate) created_at_ms: i64,
}

impl ActiveModelBehavior for ActiveModel {}

impl Model {
    pub(crate) fn is_old(&self, now_ms: i64) -> bool {
        self.created_at_ms <= now_ms - KEEP_MS
    }
}

/// Forgets what is too old to be remembered, of all instances.
pub(crate) async fn delete_old(db: &impl ConnectionTrait, now_ms: i64) -> AppResult<()> {
    Entity::delete_many().filter(Column::CreatedAtMs.lte(now_ms - KEEP_MS)).exec(db).await?;
    Ok(())
}

/// Forgets one use.
pub(crate) async fn delete_key(db: &impl ConnectionTrait, key: Model) -> AppResult<()> {
    Entity::delete_by_id((key.instance_id, key.key_hash)).exec(db).await?;
    Ok(())
}

/// What the instance used this key for.
pub(crate) async fn find_key(
    db: &impl ConnectionTrait,
    instance_id: &str,
    key_hash: &[u8],
) -> AppResult<Option<Model>> {
    Ok(Entity::find_by_id((instance_id.to_owned(), key_hash.to_vec())).one(db).await?)
}

/// Notes the key's use. False: another call noted one at the same time.
pub(crate) async fn create_key(db: &impl ConnectionTrait, key: Model) -> AppResult<bool> {
    let row = ActiveModel {
        instance_id: Set(key.instance_id),
        key_hash: Set(key.key_hash),
        order_id: Set(key.order_id),
        sealed_parameters: Set(key.sealed_parameters),
        created_at_ms: Set(key.created_at_ms),
    };
    let nothing = OnConflict::columns([Column::InstanceId, Column::KeyHash]).do_nothing().to_owned();
    Ok(Entity::insert(row).on_conflict(nothing).exec_without_returning(db).await? > 0)
}

/// Forgets the uses that led to this order: it came to nothing, and the same key may ask anew.
pub(crate) async fn delete_of_order(db: &impl ConnectionTrait, order_id: &str) -> AppResult<()> {
    Entity::delete_many().filter(Column::OrderId.eq(order_id)).exec(db).await?;
    Ok(())
}
