use sea_orm::{DbErr, DeriveMigrationName};
use sea_orm_migration::{
    MigrationTrait, SchemaManager,
    async_trait::async_trait,
    schema::{big_integer, binary_null, boolean, text, text_null},
    sea_query::{Index, Table, TableCreateStatement},
};

use super::m0001_create_instances::text_key;
use crate::store::{installations, installations::Column, seats};

#[derive(DeriveMigrationName)]
pub(super) struct Migration;

#[async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager.create_table(table()).await?;
        let of_shop = Index::create()
            .name("installations_of_shop")
            .table(installations::Entity)
            .col(Column::InstanceId)
            .col(Column::MarketplaceId)
            .to_owned();
        manager.create_index(of_shop).await?;
        let of_app = Index::create()
            .name("installations_of_app")
            .table(installations::Entity)
            .col(Column::MarketplaceId)
            .col(Column::Version)
            .to_owned();
        manager.create_index(of_app).await?;
        // The seats of a shop: what its paid apps are allowed by. Their own key begins with the licence.
        let of_holder = Index::create()
            .name("seats_of_instance")
            .table(seats::Entity)
            .col(seats::Column::InstanceId)
            .to_owned();
        manager.create_index(of_holder).await
    }
}

fn table() -> TableCreateStatement {
    Table::create()
        .table(installations::Entity)
        .col(text_key(Column::Id))
        .col(text(Column::InstanceId))
        .col(text(Column::MarketplaceId))
        .col(text(Column::Kind))
        .col(text(Column::State))
        .col(text_null(Column::Live).unique_key())
        .col(text(Column::Version))
        .col(text(Column::Permissions))
        .col(text(Column::Surface))
        .col(boolean(Column::Paid))
        .col(big_integer(Column::PublishedAtMs))
        .col(text_null(Column::Updating))
        .col(big_integer(Column::Sequence))
        .col(binary_null(Column::KeyHash).unique_key())
        .col(binary_null(Column::SealedKey))
        .col(text_null(Column::LastCallback))
        .col(big_integer(Column::CreatedAtMs))
        .col(big_integer(Column::UpdatedAtMs))
        .to_owned()
}
