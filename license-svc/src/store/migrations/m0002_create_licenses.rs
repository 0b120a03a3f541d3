use sea_orm::{DbErr, DeriveMigrationName};
use sea_orm_migration::{
    MigrationTrait, SchemaManager,
    async_trait::async_trait,
    schema::{big_integer, big_integer_null, binary, binary_uniq, integer, text, text_null, text_uniq},
    sea_query::{Index, Table, TableCreateStatement},
};

use super::m0001_create_instances::text_key;
use crate::store::{licenses, releases, seats};

#[derive(DeriveMigrationName)]
pub(super) struct Migration;

#[async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager.create_table(licenses()).await?;
        manager.create_table(seats()).await?;
        manager.create_table(releases()).await?;
        let of_buyer = Index::create()
            .name("licenses_of_buyer")
            .table(licenses::Entity)
            .col(licenses::Column::InstanceId)
            .col(licenses::Column::MarketplaceId)
            .to_owned();
        manager.create_index(of_buyer).await?;
        let of_app = Index::create()
            .name("licenses_of_app")
            .table(licenses::Entity)
            .col(licenses::Column::MarketplaceId)
            .to_owned();
        manager.create_index(of_app).await
    }
}

fn licenses() -> TableCreateStatement {
    use licenses::Column;
    Table::create()
        .table(licenses::Entity)
        .col(text_key(Column::Id))
        .col(binary_uniq(Column::KeyHash))
        .col(binary(Column::SealedKey))
        .col(text_uniq(Column::OrderId))
        .col(big_integer(Column::OrderRevision))
        .col(text(Column::InstanceId))
        .col(text(Column::MarketplaceId))
        .col(text(Column::Version))
        .col(text(Column::Status))
        .col(text_null(Column::Reason))
        .col(integer(Column::Seats))
        .col(big_integer(Column::IssuedAtMs))
        .col(big_integer_null(Column::ExpiresAtMs))
        .col(big_integer_null(Column::UpdatesUntilMs))
        .to_owned()
}

fn seats() -> TableCreateStatement {
    use seats::Column;
    Table::create()
        .table(seats::Entity)
        .col(text(Column::LicenseId))
        .col(text(Column::InstanceId))
        .col(big_integer(Column::TakenAtMs))
        .primary_key(Index::create().col(Column::LicenseId).col(Column::InstanceId))
        .to_owned()
}

fn releases() -> TableCreateStatement {
    use releases::Column;
    Table::create()
        .table(releases::Entity)
        .col(text(Column::MarketplaceId))
        .col(text(Column::Version))
        .col(big_integer(Column::PublishedAtMs))
        .primary_key(Index::create().col(Column::MarketplaceId).col(Column::Version))
        .to_owned()
}
