//! The inbox: an event's effect happens once, however often the event arrives.

use std::time::Duration;

use sea_orm::{ActiveValue::Set, ConnectionTrait, DbErr, entity::prelude::*, sea_query::OnConflict};
use sea_orm_migration::{
    MigrationName, MigrationTrait, SchemaManager, async_trait::async_trait, sea_query::Table,
};

use self::row::{ActiveModel, Column, Entity};
use crate::{Clock, Shutdown, db::Db};

/// Inbox rows outlive every message on the bus (30 days by default) and every row of an outbox.
const KEEP_MS: i64 = 60 * 24 * 60 * 60 * 1000;
const HOUSEKEEPING: Duration = Duration::from_hours(1);

mod row {
    #![allow(missing_docs, unreachable_pub, reason = "sea-orm generates public items from the row")]

    use sea_orm::entity::prelude::*;

    #[sea_orm::model]
    #[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
    #[sea_orm(table_name = "inbox")]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub consumer: String,
        #[sea_orm(primary_key, auto_increment = false)]
        pub event_id: String,
        pub processed_at_ms: i64,
    }

    impl ActiveModelBehavior for ActiveModel {}
}

/// Notes that `consumer` takes the event in this transaction. False: it was taken before, and nothing is to be done.
pub async fn is_first(
    db: &impl ConnectionTrait,
    consumer: &str,
    event_id: &str,
    now_ms: i64,
) -> Result<bool, DbErr> {
    let row = ActiveModel {
        consumer: Set(consumer.to_owned()),
        event_id: Set(event_id.to_owned()),
        processed_at_ms: Set(now_ms),
    };
    let nothing = OnConflict::columns([Column::Consumer, Column::EventId]).do_nothing().to_owned();
    let inserted = Entity::insert(row).on_conflict(nothing).exec_without_returning(db).await?;
    Ok(inserted > 0)
}

/// Forgets, once an hour until `shutdown`, the rows that are older than any message can be.
pub async fn keep_tidy(db: Db, clock: Clock, shutdown: Shutdown) {
    while shutdown.run_until_cancelled(clock.sleep(HOUSEKEEPING)).await.is_some() {
        let old = Column::ProcessedAtMs.lt(clock.now_ms() - KEEP_MS);
        if let Err(error) = Entity::delete_many().filter(old).exec(db.write()).await {
            tracing::warn!(%error, "old inbox rows could not be removed");
        }
    }
}

/// Creates the inbox's table; each service that consumes puts it into its own migrations.
pub struct CreateInbox;

impl MigrationName for CreateInbox {
    fn name(&self) -> &'static str {
        "m0000_create_inbox"
    }
}

#[async_trait]
impl MigrationTrait for CreateInbox {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let table = Table::create()
            .table(Entity)
            .if_not_exists()
            .col(sea_orm_migration::schema::string(Column::Consumer))
            .col(sea_orm_migration::schema::string(Column::EventId))
            .col(sea_orm_migration::schema::big_integer(Column::ProcessedAtMs))
            .primary_key(
                sea_orm_migration::sea_query::Index::create().col(Column::Consumer).col(Column::EventId),
            )
            .to_owned();
        manager.create_table(table).await
    }
}
