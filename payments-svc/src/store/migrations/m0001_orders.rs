use sea_orm_migration::{
    MigrationName, MigrationTrait, SchemaManager,
    prelude::*,
    schema::{big_integer, big_integer_null, binary, integer, string, string_null, text, text_null},
};

use crate::store::{keys, orders};

pub(super) struct Migration;

impl MigrationName for Migration {
    fn name(&self) -> &'static str {
        "m0001_orders"
    }
}

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager.create_table(orders_table()).await?;
        manager.create_table(keys_table()).await?;
        for index in INDEXES {
            manager.get_connection().execute_unprepared(index).await?;
        }
        Ok(())
    }
}

/// The first one decides the race of two checkouts at once: one live order of an instance for an app. An order whose
/// payment does not fit waits for the operator and does not stand in the way of another purchase.
const INDEXES: [&str; 5] = [
    "CREATE UNIQUE INDEX orders_one_live ON orders (instance_id, marketplace_id) \
     WHERE state IN ('created', 'open', 'processing') AND mismatch_event_id IS NULL",
    "CREATE UNIQUE INDEX orders_session ON orders (session_id)",
    "CREATE INDEX orders_by_instance ON orders (instance_id, id)",
    "CREATE INDEX idempotency_keys_order ON idempotency_keys (order_id)",
    "CREATE INDEX idempotency_keys_age ON idempotency_keys (created_at_ms)",
];

fn orders_table() -> TableCreateStatement {
    use orders::Column as C;
    Table::create()
        .table(orders::Entity)
        .col(string(C::Id).primary_key())
        .col(text(C::InstanceId))
        .col(text(C::MarketplaceId))
        .col(text(C::Version))
        .col(text(C::ProductName))
        .col(big_integer(C::AmountCents))
        .col(string(C::Currency))
        .col(binary(C::SealedEmail))
        .col(string(C::State))
        .col(integer(C::Revision))
        .col(string_null(C::SessionId))
        .col(text_null(C::SessionUrl))
        .col(big_integer(C::PayableUntilMs))
        .col(string_null(C::PaymentIntentId))
        .col(string_null(C::MismatchEventId))
        .col(big_integer_null(C::MismatchAmountCents))
        .col(string_null(C::MismatchCurrency))
        .col(big_integer_null(C::MismatchAtMs))
        .col(big_integer(C::CreatedAtMs))
        .col(big_integer(C::UpdatedAtMs))
        .to_owned()
}

fn keys_table() -> TableCreateStatement {
    use keys::Column as C;
    Table::create()
        .table(keys::Entity)
        .col(text(C::InstanceId))
        .col(binary(C::KeyHash))
        .col(string(C::OrderId))
        .col(binary(C::SealedParameters))
        .col(big_integer(C::CreatedAtMs))
        .primary_key(Index::create().col(C::InstanceId).col(C::KeyHash))
        .to_owned()
}
