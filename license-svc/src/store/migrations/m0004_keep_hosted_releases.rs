use sea_orm::{DbErr, DeriveMigrationName};
use sea_orm_migration::{
    MigrationTrait, SchemaManager,
    async_trait::async_trait,
    schema::{boolean, text_null},
    sea_query::Table,
};

use crate::store::{releases, releases::Column};

#[derive(DeriveMigrationName)]
pub(super) struct Migration;

#[async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let columns = [
            boolean(Column::Yanked).default(false).to_owned(),
            text_null(Column::Surface),
            text_null(Column::Hosted),
        ];
        // One at a time: SQLite adds no more.
        for column in columns {
            manager.alter_table(Table::alter().table(releases::Entity).add_column(column).to_owned()).await?;
        }
        Ok(())
    }
}
