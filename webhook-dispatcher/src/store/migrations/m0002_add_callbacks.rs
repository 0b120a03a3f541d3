use sea_orm_migration::{
    MigrationName, MigrationTrait, SchemaManager,
    async_trait::async_trait,
    schema::{big_integer, big_integer_null, binary, boolean, string, string_null},
    sea_orm::{ConnectionTrait as _, DbErr},
    sea_query::{Alias, ColumnDef, Table},
};

use crate::store::{
    delivery::{Column as Delivery, Entity as Deliveries},
    endpoint::{Column as Endpoint, Entity as Endpoints},
    serial::{Column as Serial, Entity as Serials},
};

pub(super) struct Migration;

impl MigrationName for Migration {
    fn name(&self) -> &'static str {
        "m0002_add_callbacks"
    }
}

#[async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        endpoints(manager).await?;
        deliveries(manager).await?;
        serials(manager).await
    }
}

/// An endpoint is now an instance's or an app's. SQLite can't make a column nullable, so the table is made anew and
/// filled from the old one, on both stores in the same way.
async fn endpoints(manager: &SchemaManager<'_>) -> Result<(), DbErr> {
    let (next, mut kind) = (Alias::new("endpoints_next"), string(Endpoint::Kind));
    let table = Table::create()
        .table(next.clone())
        .col(string(Endpoint::Id).primary_key())
        // A replica of the release before this one names no kind.
        .col(kind.default("webhook"))
        // One of the two: of a shop's endpoint, of a hosted app's.
        .col(string_null(Endpoint::InstanceId).unique_key())
        .col(string_null(Endpoint::MarketplaceId).unique_key())
        // Of an app's endpoint the whole URL.
        .col(string(Endpoint::BaseUrl))
        .col(binary(Endpoint::SealedSecrets))
        .col(big_integer(Endpoint::Revision))
        .col(boolean(Endpoint::TenantDisabled))
        .col(string_null(Endpoint::DisabledReason))
        .col(big_integer(Endpoint::ThrottledUntilMs))
        .col(big_integer(Endpoint::CreatedAtMs))
        .col(big_integer(Endpoint::UpdatedAtMs))
        .to_owned();
    manager.create_table(table).await?;
    let same = "id, instance_id, base_url, sealed_secrets, revision, tenant_disabled, disabled_reason, \
                throttled_until_ms, created_at_ms, updated_at_ms";
    let copy = format!("INSERT INTO endpoints_next (kind, {same}) SELECT 'webhook', {same} FROM endpoints");
    manager.get_connection().execute_unprepared(&copy).await?;
    manager.drop_table(Table::drop().table(Endpoints).to_owned()).await?;
    manager.rename_table(Table::rename().table(next, Endpoints).to_owned()).await
}

async fn deliveries(manager: &SchemaManager<'_>) -> Result<(), DbErr> {
    let mut kind = string(Delivery::Kind);
    let columns: [ColumnDef; 6] = [
        kind.default("webhook").to_owned(),
        // Of a callback: the app, and the installation that it is about.
        string_null(Delivery::MarketplaceId),
        string_null(Delivery::InstallationId),
        // Names the app and the instance of a callback, whose callbacks are made one after the other; null: nothing waits.
        string_null(Delivery::Serial),
        big_integer_null(Delivery::Sequence),
        // Of an Install: no attempt begins after that, by the service's clock.
        big_integer_null(Delivery::GiveUpAtMs),
    ];
    for column in columns {
        // One by one: SQLite adds no two columns with one statement.
        let alter = Table::alter().table(Deliveries).add_column(column).to_owned();
        manager.alter_table(alter).await?;
    }
    // Partial, so that they cost a webhook nothing.
    for index in [
        // By the sequence first: for a serial's open callbacks no planner then takes this one, which has the settled.
        "UNIQUE INDEX deliveries_of_serial ON deliveries (sequence, serial) WHERE serial IS NOT NULL",
        "INDEX deliveries_open_of_serial ON deliveries (serial, sequence) \
         WHERE serial IS NOT NULL AND settled_at_ms IS NULL",
        "INDEX deliveries_to_give_up ON deliveries (give_up_at_ms) \
         WHERE give_up_at_ms IS NOT NULL AND settled_at_ms IS NULL",
        "INDEX deliveries_of_app ON deliveries (marketplace_id, created_at_ms) WHERE marketplace_id IS NOT NULL",
    ] {
        manager.get_connection().execute_unprepared(&format!("CREATE {index}")).await?;
    }
    Ok(())
}

async fn serials(manager: &SchemaManager<'_>) -> Result<(), DbErr> {
    let table = Table::create()
        .table(Serials)
        .col(string(Serial::Serial).primary_key())
        .col(big_integer(Serial::Highest))
        .to_owned();
    manager.create_table(table).await
}
