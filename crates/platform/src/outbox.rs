//! The outbox: state and message commit together.
//!
//! A use case announces an event in the transaction that changes the rows. The relay publishes it and marks it
//! only after the bus has acknowledged. Marked rows stay for seven days, so that a bus that lost data can be fed again.

mod backlog;

use std::time::Duration;

use futures::{StreamExt as _, stream};
use metrics::Label;
use sea_orm::{
    ActiveValue::Set, ConnectionTrait, DbErr, ExprTrait, FromQueryResult, Statement, entity::prelude::*,
};
use sea_orm_migration::{
    MigrationName, MigrationTrait, SchemaManager,
    async_trait::async_trait,
    schema::{big_integer, big_integer_null, binary, string, string_null},
    sea_query::{Index, Table},
};

use tokio::time::Instant;

use self::row::{ActiveModel, Column, Entity, Model};
use crate::{
    Clock, Ids, Shutdown,
    bus::{Bus, BusError, DUPLICATE_WINDOW, Message},
    clock::millis,
    db::{Db, now_ms_sql, skip_locked_sql},
    telemetry::{
        TraceContext,
        durations::{Durations, error_type},
    },
};

const KEEP_MS: i64 = 7 * 24 * 60 * 60 * 1000;
const BATCH: i64 = 256;
const PUBLISHES_AT_ONCE: usize = 64;
/// So long a relay that dies in the middle holds up what it had claimed: with one replica nobody else is there to
/// publish it sooner. A relay that only is slow may be overtaken, which costs a second publish that the bus drops by
/// its id.
const LEASE_MS: i64 = 20_000;
/// What the bus can never take rests this long, so that it stands in no other message's way.
const REFUSED_REST_MS: i64 = 60 * 60 * 1000;
/// The safety net behind the wake-up by commit: it finds what another replica left.
const SLOW_POLL: Duration = Duration::from_secs(5);
const HOUSEKEEPING_MS: i64 = 60 * 60 * 1000;

mod row {
    #![allow(missing_docs, unreachable_pub, reason = "sea-orm generates public items from the row")]

    use sea_orm::entity::prelude::*;

    #[sea_orm::model]
    #[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
    #[sea_orm(table_name = "outbox")]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub id: String,
        pub subject: String,
        pub payload: Vec<u8>,
        pub traceparent: Option<String>,
        pub tracestate: Option<String>,
        pub created_at_ms: i64,
        pub claimed_until_ms: i64,
        pub published_at_ms: Option<i64>,
    }

    impl ActiveModelBehavior for ActiveModel {}
}

/// Announces an event in the given transaction. It is published once the transaction has committed.
pub async fn announce(
    tx: &impl ConnectionTrait,
    ids: &Ids,
    now_ms: i64,
    subject: &str,
    event: &impl prost::Message,
) -> Result<(), DbErr> {
    let trace = TraceContext::current();
    let row = ActiveModel {
        id: Set(ids.generate("evt")),
        subject: Set(subject.to_owned()),
        payload: Set(event.encode_to_vec()),
        traceparent: Set(trace.traceparent),
        tracestate: Set(trace.tracestate),
        created_at_ms: Set(now_ms),
        claimed_until_ms: Set(0),
        published_at_ms: Set(None),
    };
    Entity::insert(row).exec_without_returning(tx).await?;
    Ok(())
}

/// Publishes what has been announced until `shutdown`.
pub async fn relay(db: Db, bus: Bus, clock: Clock, shutdown: Shutdown) {
    let measuring = backlog::keep_measuring(&db, &clock, shutdown.clone());
    tokio::join!(keep_publishing(&db, bus, &clock, shutdown), measuring);
}

/// The bus, and how long it takes for what; why it did not take it.
struct Publisher {
    bus: Bus,
    durations: Durations<Published>,
}

/// A message by all that its measurement tells: the bus, the subject, why it was not taken.
type Published = (&'static str, String, Option<&'static str>);

/// As the OpenTelemetry conventions name them for `messaging.client.operation.duration`.
fn labels((system, subject, error): &Published) -> Vec<Label> {
    let labels = [
        Label::from_static_parts("messaging_system", system),
        Label::from_static_parts("messaging_operation_name", "publish"),
        Label::new("messaging_destination_name", subject.clone()),
    ];
    labels.into_iter().chain(error_type(*error)).collect()
}

async fn keep_publishing(db: &Db, bus: Bus, clock: &Clock, shutdown: Shutdown) {
    let durations = Durations::new("messaging_client_operation_duration_seconds", labels);
    let publisher = Publisher { bus, durations };
    let mut cleaned_at_ms = clock.now_ms();
    while !shutdown.is_cancelled() {
        match publish_batch(db, &publisher, clock).await {
            Ok(count) if count == BATCH.unsigned_abs() => {}
            Ok(_) => wait(db, SLOW_POLL, &shutdown).await,
            Err(error) => {
                tracing::warn!(%error, "the outbox could not be published; trying again");
                wait(db, Duration::from_secs(1), &shutdown).await;
            }
        }
        if clock.now_ms() - cleaned_at_ms > HOUSEKEEPING_MS {
            cleaned_at_ms = clock.now_ms();
            if let Err(error) = prune(db, cleaned_at_ms).await {
                tracing::warn!(%error, "old outbox rows could not be removed");
            }
        }
    }
}

async fn wait(db: &Db, at_most: Duration, shutdown: &Shutdown) {
    tokio::select! {
        () = db.announced().notified() => {}
        () = tokio::time::sleep(at_most) => {}
        () = shutdown.cancelled() => {}
    }
}

async fn publish_batch(db: &Db, publisher: &Publisher, clock: &Clock) -> Result<u64, DbErr> {
    let rows = claim(db).await?;
    let claimed = rows.len() as u64;
    let results: Vec<(String, Result<(), BusError>)> = stream::iter(rows)
        .map(|row| publisher.publish(row))
        .buffer_unordered(PUBLISHES_AT_ONCE)
        .collect()
        .await;
    let (mut taken, mut refused, mut again) = (Vec::new(), Vec::new(), Vec::new());
    for (id, result) in results {
        match result {
            Ok(()) => taken.push(id),
            Err(error) if error.is_transient() => again.push(id),
            Err(_) => refused.push(id),
        }
    }
    mark(db, taken, clock.now_ms()).await?;
    claim_until(db, refused, clock.now_ms() + REFUSED_REST_MS).await?;
    let failed = again.len();
    claim_until(db, again, 0).await?;
    match failed {
        0 => Ok(claimed),
        _ => Err(DbErr::Custom(format!("{failed} of {claimed} messages were not taken by the bus"))),
    }
}

impl Publisher {
    /// Publishes one row; what became of it, under its id.
    async fn publish(&self, row: Model) -> (String, Result<(), BusError>) {
        let message = Message {
            id: row.id,
            subject: row.subject,
            payload: row.payload.into(),
            trace: TraceContext { traceparent: row.traceparent, tracestate: row.tracestate },
        };
        let begun = Instant::now();
        let result = self.bus.publish(&message).await;
        let took = begun.elapsed();
        let error = result.as_ref().err().map(|error| tell(&message, error));
        self.durations.record((self.bus.system(), message.subject, error), took);
        (message.id, result)
    }
}

/// Says why a message was not taken; in a word, too.
fn tell(message: &Message, error: &BusError) -> &'static str {
    let (subject, event) = (&message.subject, &message.id);
    if error.is_transient() {
        tracing::debug!(%error, subject, event, "a message was not published");
        return "transient";
    }
    tracing::error!(%error, subject, event, "the bus will never take this message");
    "refused"
}

async fn claim(db: &Db) -> Result<Vec<Model>, DbErr> {
    let backend = db.backend();
    let (now, skip_locked) = (now_ms_sql(backend), skip_locked_sql(backend));
    let sql = format!(
        "UPDATE outbox SET claimed_until_ms = {now} + {LEASE_MS} WHERE id IN (\
         SELECT id FROM outbox WHERE published_at_ms IS NULL AND claimed_until_ms < {now} \
         ORDER BY id LIMIT {BATCH} {skip_locked}) RETURNING *"
    );
    let rows = db.write().query_all_raw(Statement::from_string(backend, sql)).await?;
    rows.iter().map(|row| Model::from_query_result(row, "")).collect()
}

async fn mark(db: &Db, ids: Vec<String>, now_ms: i64) -> Result<(), DbErr> {
    if ids.is_empty() {
        return Ok(());
    }
    Entity::update_many()
        .col_expr(Column::PublishedAtMs, Expr::value(now_ms))
        .filter(Column::Id.is_in(ids))
        .exec(db.write())
        .await?;
    Ok(())
}

async fn claim_until(db: &Db, ids: Vec<String>, until_ms: i64) -> Result<(), DbErr> {
    if ids.is_empty() {
        return Ok(());
    }
    Entity::update_many()
        .col_expr(Column::ClaimedUntilMs, Expr::value(until_ms))
        .filter(Column::Id.is_in(ids))
        .exec(db.write())
        .await?;
    Ok(())
}

async fn prune(db: &Db, now_ms: i64) -> Result<(), DbErr> {
    Entity::delete_many().filter(Column::PublishedAtMs.lt(now_ms - KEEP_MS)).exec(db.write()).await?;
    Ok(())
}

/// Publishes again what was published since `since_ms` (Unix milliseconds), for a bus that lost data; how many.
///
/// Each message waits until the bus has forgotten its id, [`DUPLICATE_WINDOW`] after it was published: before that
/// the bus would take it for a repetition, drop it and say that all is well.
pub async fn republish(db: &Db, since_ms: i64) -> Result<u64, DbErr> {
    let forgotten = ExprTrait::add(Expr::col(Column::PublishedAtMs), millis(DUPLICATE_WINDOW));
    let again = Entity::update_many()
        .col_expr(Column::PublishedAtMs, Expr::value(Option::<i64>::None))
        .col_expr(Column::ClaimedUntilMs, forgotten)
        .filter(Column::PublishedAtMs.gte(since_ms))
        .exec(db.write())
        .await?;
    Ok(again.rows_affected)
}

/// Creates the outbox's table; each service that announces puts it into its own migrations.
pub struct CreateOutbox;

impl MigrationName for CreateOutbox {
    fn name(&self) -> &'static str {
        "m0000_create_outbox"
    }
}

#[async_trait]
impl MigrationTrait for CreateOutbox {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let table = Table::create()
            .table(Entity)
            .if_not_exists()
            .col(string(Column::Id).primary_key())
            .col(string(Column::Subject))
            .col(binary(Column::Payload))
            .col(string_null(Column::Traceparent))
            .col(string_null(Column::Tracestate))
            .col(big_integer(Column::CreatedAtMs))
            .col(big_integer(Column::ClaimedUntilMs))
            .col(big_integer_null(Column::PublishedAtMs))
            .to_owned();
        manager.create_table(table).await?;
        let due = Index::create()
            .name("outbox_due")
            .table(Entity)
            .col(Column::PublishedAtMs)
            .col(Column::Id)
            .to_owned();
        manager.create_index(due).await
    }
}
