use sea_orm_migration::{
    MigrationName, MigrationTrait, SchemaManager,
    async_trait::async_trait,
    schema::{big_integer, big_integer_null, string, string_null},
    sea_orm::{ConnectionTrait as _, DbErr},
    sea_query::Table,
};

use crate::store::{
    mark::{Column as Mark, Entity as Marks},
    replay::{Column as Replay, Entity as Replays},
};

/// Replays, and lists that stay fast however much is kept.
pub(super) struct Migration;

/// Partial, all but the replays' own: what is delivered at once, as most is, has no place in them.
const INDEXES: [&str; 9] = [
    // A change of the endpoint, as before, and its lists of what is open (`list::deliveries`), both in the order of ids.
    "INDEX deliveries_open_of_endpoint ON deliveries (endpoint_id, state, id) WHERE settled_at_ms IS NULL",
    // What is open, newest first (`list::deliveries`).
    "INDEX deliveries_open_newest ON deliveries (id) WHERE settled_at_ms IS NULL",
    // Whether anything of a message is open (`prune::wipe_bodies`).
    "INDEX deliveries_open_of_message ON deliveries (message_id) WHERE settled_at_ms IS NULL",
    // Dead letters (`list::deliveries`), and what a replay sends again (`replay::candidates`).
    "INDEX deliveries_dead ON deliveries (id) WHERE state = 'dead'",
    "INDEX deliveries_dead_of_endpoint ON deliveries (endpoint_id, id) WHERE state = 'dead'",
    // Callbacks among the many webhooks (`list::deliveries`).
    "INDEX deliveries_of_callbacks ON deliveries (id) WHERE marketplace_id IS NOT NULL",
    // The next step (`replay::take_due`), and one job for the same request.
    "INDEX replays_due ON replays (next_step_at_ms, id) WHERE state = 'running'",
    "UNIQUE INDEX replays_running ON replays (request) WHERE state = 'running'",
    "UNIQUE INDEX replays_of_key ON replays (idempotency_key) WHERE idempotency_key IS NOT NULL",
];

impl MigrationName for Migration {
    fn name(&self) -> &'static str {
        "m0005_replay"
    }
}

#[async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        replays(manager).await?;
        marks(manager).await?;
        let store = manager.get_connection();
        store.execute_unprepared("DROP INDEX deliveries_open").await?;
        for index in INDEXES {
            store.execute_unprepared(&format!("CREATE {index}")).await?;
        }
        Ok(())
    }
}

async fn replays(manager: &SchemaManager<'_>) -> Result<(), DbErr> {
    let table = Table::create()
        .table(Replays)
        .col(string(Replay::Id).primary_key())
        // What was asked for, in one text: the same again is the same job.
        .col(string(Replay::Request))
        .col(string_null(Replay::IdempotencyKey))
        // Null: all endpoints.
        .col(string_null(Replay::EndpointId))
        // By the times in the deliveries' ids.
        .col(big_integer(Replay::SinceMs))
        .col(big_integer(Replay::UntilMs))
        .col(string(Replay::Which))
        .col(big_integer(Replay::RatePerSecond))
        .col(string(Replay::State))
        // The last delivery that was looked at; null: none was.
        .col(string_null(Replay::Position))
        .col(big_integer(Replay::Found))
        .col(big_integer(Replay::Replayed))
        .col(big_integer(Replay::SkippedDisabled))
        .col(big_integer(Replay::SkippedSettled))
        .col(big_integer(Replay::SkippedInFlight))
        .col(big_integer(Replay::SkippedBodyGone))
        // By the service's clock, as all that keeps a rate.
        .col(big_integer(Replay::NextStepAtMs))
        .col(big_integer(Replay::CreatedAtMs))
        .col(big_integer_null(Replay::FinishedAtMs))
        .to_owned();
    manager.create_table(table).await
}

/// How far what is done by age has come.
async fn marks(manager: &SchemaManager<'_>) -> Result<(), DbErr> {
    let table = Table::create()
        .table(Marks)
        .col(string(Mark::Name).primary_key())
        // The id of the last delivery.
        .col(string(Mark::Position))
        .to_owned();
    manager.create_table(table).await
}
