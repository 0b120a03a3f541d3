use sea_orm_migration::{
    MigrationName, MigrationTrait, SchemaManager,
    async_trait::async_trait,
    schema::big_integer_null,
    sea_orm::{ConnectionTrait as _, DbErr},
    sea_query::Table,
};

use crate::store::endpoint::{Column as Endpoint, Entity as Endpoints};

/// Whether an endpoint was asked to show that it is there, and did. What is there already was not asked.
pub(super) struct Migration;

impl MigrationName for Migration {
    fn name(&self) -> &'static str {
        "m0006_verification"
    }
}

#[async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        // Since then it is told nothing else; null: nobody waits for it. When it was; one of the two is null.
        for column in [Endpoint::UnverifiedSinceMs, Endpoint::VerifiedAtMs] {
            // One by one: SQLite adds no two columns with one statement.
            let alter = Table::alter().table(Endpoints).add_column(big_integer_null(column)).to_owned();
            manager.alter_table(alter).await?;
        }
        // Those that nobody waits for any longer (`endpoint::list_unverified`), and their count (`stats::read`).
        let unverified =
            "CREATE INDEX endpoints_unverified ON endpoints (id) WHERE unverified_since_ms IS NOT NULL";
        manager.get_connection().execute_unprepared(unverified).await?;
        Ok(())
    }
}
