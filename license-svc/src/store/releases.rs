//! Table `releases`: when each release was published, told by the catalogue.

use sea_orm::{ActiveValue::Set, ConnectionTrait, DbErr, entity::prelude::*, sea_query::OnConflict};

#[sea_orm::model]
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "releases")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub marketplace_id: String,
    #[sea_orm(primary_key, auto_increment = false)]
    pub version: String,
    pub published_at_ms: i64,
}

impl ActiveModelBehavior for ActiveModel {}

/// Notes a release. It is immutable, so that the first word about it stays.
pub(crate) async fn create_release(
    db: &impl ConnectionTrait,
    marketplace_id: &str,
    version: &str,
    published_at_ms: i64,
) -> Result<(), DbErr> {
    let row = ActiveModel {
        marketplace_id: Set(marketplace_id.to_owned()),
        version: Set(version.to_owned()),
        published_at_ms: Set(published_at_ms),
    };
    let once = OnConflict::columns([Column::MarketplaceId, Column::Version]).do_nothing().to_owned();
    Entity::insert(row).on_conflict(once).exec_without_returning(db).await?;
    Ok(())
}
