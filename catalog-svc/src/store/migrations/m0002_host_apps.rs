use sea_orm::{ConnectionTrait as _, DbErr};
use sea_orm_migration::{
    MigrationName, MigrationTrait, SchemaManager,
    async_trait::async_trait,
    schema::{big_integer_null, binary, integer, string},
    sea_query::{ColumnDef, ForeignKey, Index, Table},
};

use crate::store::entity::{app_secret, product, release};

/// An app's kind, a hosted app's endpoint and secrets, and when a release is required.
pub(super) struct HostApps;

impl MigrationName for HostApps {
    fn name(&self) -> &'static str {
        "m0002_host_apps"
    }
}

#[async_trait]
impl MigrationTrait for HostApps {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        add_to_products(manager).await?;
        let required_after = Table::alter()
            .table(release::Entity)
            .add_column(ColumnDef::new(release::Column::RequiredAfterMs).big_integer().null())
            .to_owned();
        manager.alter_table(required_after).await?;
        create_app_secrets(manager).await
    }
}

/// SQLite takes one column at a time, and none that is not null without a default.
async fn add_to_products(manager: &SchemaManager<'_>) -> Result<(), DbErr> {
    let kind = ColumnDef::new(product::Column::Kind).string().not_null().default("plugin").to_owned();
    let revision =
        ColumnDef::new(product::Column::EndpointRevision).integer().not_null().default(0).to_owned();
    for column in [kind, revision] {
        manager.alter_table(Table::alter().table(product::Entity).add_column(column).to_owned()).await?;
    }
    // Where an app was published with two kinds, the last one is what shops install.
    let of_the_newest = "UPDATE products SET kind = (SELECT kind FROM releases \
         WHERE releases.product_id = products.id ORDER BY published_at_ms DESC, id DESC LIMIT 1) \
         WHERE EXISTS (SELECT 1 FROM releases WHERE releases.product_id = products.id)";
    manager.get_connection().execute_unprepared(of_the_newest).await?;
    Ok(())
}

async fn create_app_secrets(manager: &SchemaManager<'_>) -> Result<(), DbErr> {
    use app_secret::Column;
    let table = Table::create()
        .table(app_secret::Entity)
        .col(string(Column::ProductId))
        .col(integer(Column::Position))
        .col(binary(Column::SealedSecret))
        .col(big_integer_null(Column::ExpiresAtMs))
        .primary_key(Index::create().col(Column::ProductId).col(Column::Position))
        .foreign_key(
            ForeignKey::create()
                .from(app_secret::Entity, Column::ProductId)
                .to(product::Entity, product::Column::Id),
        )
        .to_owned();
    manager.create_table(table).await
}
