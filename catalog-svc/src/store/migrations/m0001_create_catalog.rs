use sea_orm::DbErr;
use sea_orm_migration::{
    MigrationName, MigrationTrait, SchemaManager,
    async_trait::async_trait,
    schema::{
        big_integer, big_integer_null, binary, boolean, integer, string, string_null, string_uniq, text,
    },
    sea_query::{ForeignKey, Index, Table},
};

use crate::store::entity::{product, release, vendor, vendor_key};

/// Vendors and their keys, products and their releases.
pub(super) struct CreateCatalog;

impl MigrationName for CreateCatalog {
    fn name(&self) -> &'static str {
        "m0001_create_catalog"
    }
}

#[async_trait]
impl MigrationTrait for CreateCatalog {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        create_vendors(manager).await?;
        create_vendor_keys(manager).await?;
        create_products(manager).await?;
        create_releases(manager).await
    }
}

async fn create_vendors(manager: &SchemaManager<'_>) -> Result<(), DbErr> {
    let table = Table::create()
        .table(vendor::Entity)
        .col(string(vendor::Column::Id).primary_key())
        .col(string_uniq(vendor::Column::Name))
        .col(string(vendor::Column::DisplayName))
        .col(binary(vendor::Column::SecretHash).unique_key())
        .col(big_integer(vendor::Column::CreatedAtMs))
        .to_owned();
    manager.create_table(table).await
}

async fn create_vendor_keys(manager: &SchemaManager<'_>) -> Result<(), DbErr> {
    let table = Table::create()
        .table(vendor_key::Entity)
        .col(string(vendor_key::Column::VendorId))
        .col(string(vendor_key::Column::KeyId))
        .col(string(vendor_key::Column::PublicKey))
        .col(integer(vendor_key::Column::Position))
        .col(big_integer(vendor_key::Column::CreatedAtMs))
        .primary_key(Index::create().col(vendor_key::Column::VendorId).col(vendor_key::Column::KeyId))
        .foreign_key(
            ForeignKey::create()
                .from(vendor_key::Entity, vendor_key::Column::VendorId)
                .to(vendor::Entity, vendor::Column::Id),
        )
        .to_owned();
    manager.create_table(table).await
}

async fn create_products(manager: &SchemaManager<'_>) -> Result<(), DbErr> {
    let table = Table::create()
        .table(product::Entity)
        .col(string(product::Column::Id).primary_key())
        .col(string_uniq(product::Column::MarketplaceId))
        .col(string(product::Column::VendorId))
        .col(string(product::Column::AppType))
        .col(big_integer(product::Column::CreatedAtMs))
        .foreign_key(
            ForeignKey::create()
                .from(product::Entity, product::Column::VendorId)
                .to(vendor::Entity, vendor::Column::Id),
        )
        .to_owned();
    manager.create_table(table).await?;
    let by_vendor = Index::create()
        .name("products_vendor")
        .table(product::Entity)
        .col(product::Column::VendorId)
        .to_owned();
    manager.create_index(by_vendor).await
}

async fn create_releases(manager: &SchemaManager<'_>) -> Result<(), DbErr> {
    use release::Column;
    let table = Table::create()
        .table(release::Entity)
        .col(string(Column::Id).primary_key())
        .col(string(Column::ProductId))
        .col(string(Column::Version))
        .col(string(Column::Kind))
        .col(string(Column::State))
        .col(text(Column::Manifest))
        .col(string(Column::Sha256))
        .col(big_integer(Column::Size))
        .col(boolean(Column::Security))
        .col(string(Column::KeyId))
        .col(string(Column::Signature))
        .col(string(Column::VendorKeyId))
        .col(string(Column::VendorSignature))
        .col(big_integer(Column::PublishedAtMs))
        .col(big_integer_null(Column::YankedAtMs))
        .col(string_null(Column::YankedReason))
        .foreign_key(
            ForeignKey::create()
                .from(release::Entity, Column::ProductId)
                .to(product::Entity, product::Column::Id),
        )
        .to_owned();
    manager.create_table(table).await?;
    // What makes a release immutable when two are imported at once.
    let one_of_a_version = Index::create()
        .name("releases_version")
        .table(release::Entity)
        .col(Column::ProductId)
        .col(Column::Version)
        .unique()
        .to_owned();
    manager.create_index(one_of_a_version).await
}
