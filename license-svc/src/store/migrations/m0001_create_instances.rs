use sea_orm::{DbErr, DeriveMigrationName};
use sea_orm_migration::{
    MigrationTrait, SchemaManager,
    async_trait::async_trait,
    schema::{big_integer, big_integer_null, binary, boolean, integer, text, text_null, text_uniq},
    sea_query::{ColumnDef, Index, IntoIden, Table, TableCreateStatement},
};

use crate::store::{instances, keys, webhook_secrets};

#[derive(DeriveMigrationName)]
pub(super) struct Migration;

#[async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager.create_table(instances()).await?;
        manager.create_table(instance_keys()).await?;
        manager.create_table(webhook_secrets()).await?;
        let of_instance = Index::create()
            .name("instance_keys_of_instance")
            .table(keys::Entity)
            .col(keys::Column::InstanceId)
            .to_owned();
        manager.create_index(of_instance).await
    }
}

pub(super) fn text_key(column: impl IntoIden) -> ColumnDef {
    text(column).primary_key().take()
}

fn instances() -> TableCreateStatement {
    use instances::Column;
    Table::create()
        .table(instances::Entity)
        .col(text_key(Column::Id))
        .col(text(Column::BaseUrl))
        .col(text_uniq(Column::Shop))
        .col(text(Column::SiteUrl))
        .col(text(Column::ApiBaseUrl))
        .col(integer(Column::ApiMinVersion))
        .col(integer(Column::ApiMaxVersion))
        .col(text(Column::PublishableKey))
        .col(boolean(Column::Disabled))
        .col(integer(Column::Revision))
        .col(big_integer(Column::CreatedAtMs))
        .to_owned()
}

fn instance_keys() -> TableCreateStatement {
    use keys::Column;
    Table::create()
        .table(keys::Entity)
        .col(binary(Column::KeyHash).primary_key())
        .col(text(Column::Kind))
        .col(text_null(Column::InstanceId))
        .col(text_null(Column::Label))
        .col(big_integer(Column::CreatedAtMs))
        .col(big_integer_null(Column::ExpiresAtMs))
        .to_owned()
}

fn webhook_secrets() -> TableCreateStatement {
    use webhook_secrets::Column;
    Table::create()
        .table(webhook_secrets::Entity)
        .col(text(Column::InstanceId))
        .col(integer(Column::Revision))
        .col(binary(Column::SealedSecret))
        .col(big_integer(Column::CreatedAtMs))
        .col(big_integer_null(Column::ExpiresAtMs))
        .primary_key(Index::create().col(Column::InstanceId).col(Column::Revision))
        .to_owned()
}
