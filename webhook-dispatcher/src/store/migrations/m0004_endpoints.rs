use sea_orm_migration::{
    MigrationName, MigrationTrait, SchemaManager,
    async_trait::async_trait,
    schema::{big_integer, big_integer_null, binary_null, string},
    sea_orm::{ConnectionTrait as _, DbErr},
    sea_query::{ColumnDef, Table},
};

use crate::store::endpoint::{Column as Endpoint, Entity as Endpoints};

/// What an operator sets for an endpoint, and what is known of its health. Each column has a default for replicas of
/// the release before this one, which name none of them.
pub(super) struct Migration;

impl MigrationName for Migration {
    fn name(&self) -> &'static str {
        "m0004_endpoints"
    }
}

#[async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        for column in columns() {
            // One by one: SQLite adds no two columns with one statement.
            let alter = Table::alter().table(Endpoints).add_column(column).to_owned();
            manager.alter_table(alter).await?;
        }
        let only_one =
            "CREATE UNIQUE INDEX endpoints_of_operator ON endpoints (kind) WHERE kind = 'operator'";
        manager.get_connection().execute_unprepared(only_one).await?;
        Ok(())
    }
}

fn columns() -> [ColumnDef; 8] {
    [
        // Names with commas between them; without meaning for a hosted app's endpoint.
        string(Endpoint::Events).default("license-issued").to_owned(),
        // Names with commas between them; with their values, sealed; null: none.
        string(Endpoint::HeaderNames).default("").to_owned(),
        binary_null(Endpoint::SealedHeaders),
        // Null: no bound.
        big_integer_null(Endpoint::RatePerSecond),
        // Since then every attempt has failed; null: the last one did not, or there was none.
        big_integer_null(Endpoint::FailingSinceMs),
        // `closed`, `open` or `half_open`; until when nothing is sent, or the probe may take; how often it has opened
        // since it was closed.
        string(Endpoint::Circuit).default("closed").to_owned(),
        big_integer(Endpoint::CircuitUntilMs).default(0).to_owned(),
        big_integer(Endpoint::CircuitTrips).default(0).to_owned(),
    ]
}
