//! Messages: one event to be told.

use std::collections::HashSet;

use platform::telemetry::TraceContext;
use sea_orm::{ConnectionTrait, DbErr, DeleteMany, IntoActiveModel as _, entity::prelude::*};

use super::bulk;

/// A message. What is told to many has no instance. Its body is sealed: it holds the licence key and the buyer's e-mail, or an API key. That of a callback is
/// wiped when it settles, and empty from then on.
#[sea_orm::model]
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "messages")]
#[allow(missing_docs, reason = "the columns are told in the migration")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: String,
    pub instance_id: String,
    pub event: String,
    pub sealed_body: Vec<u8>,
    pub traceparent: Option<String>,
    pub tracestate: Option<String>,
    pub created_at_ms: i64,
}

impl ActiveModelBehavior for ActiveModel {}

impl Model {
    /// The trace that the message belongs to.
    #[must_use]
    pub fn trace(&self) -> TraceContext {
        TraceContext { traceparent: self.traceparent.clone(), tracestate: self.tracestate.clone() }
    }
}

/// Adds one.
pub async fn create(tx: &impl ConnectionTrait, message: Model) -> Result<(), DbErr> {
    Entity::insert(message.into_active_model()).exec_without_returning(tx).await?;
    Ok(())
}

/// Adds those that are new, and answers which those are.
pub async fn create_new(tx: &impl ConnectionTrait, messages: &[&Model]) -> Result<HashSet<String>, DbErr> {
    let all = || messages.iter();
    let columns = vec![
        bulk::Column::text("id", all().map(|one| one.id.clone())),
        bulk::Column::text("instance_id", all().map(|one| one.instance_id.clone())),
        bulk::Column::text("event", all().map(|one| one.event.clone())),
        bulk::Column::bytes("sealed_body", all().map(|one| one.sealed_body.clone())),
        bulk::Column::maybe_text("traceparent", all().map(|one| one.traceparent.clone())),
        bulk::Column::maybe_text("tracestate", all().map(|one| one.tracestate.clone())),
        bulk::Column::number("created_at_ms", all().map(|one| one.created_at_ms)),
    ];
    let new = bulk::insert(tx, "messages", columns, "ON CONFLICT (id) DO NOTHING RETURNING id").await?;
    new.iter().map(|row| row.try_get("", "id")).collect()
}

/// Wipes what a message said.
pub async fn wipe(tx: &impl ConnectionTrait, id: &str) -> Result<(), DbErr> {
    let update = Entity::update_many().col_expr(Column::SealedBody, Expr::value(Vec::<u8>::new()));
    update.filter(Column::Id.eq(id)).exec(tx).await?;
    Ok(())
}

/// One by its id.
pub async fn find(db: &impl ConnectionTrait, id: &str) -> Result<Option<Model>, DbErr> {
    Entity::find_by_id(id).one(db).await
}

/// Those of these ids.
pub async fn list_by_ids(db: &impl ConnectionTrait, ids: Vec<String>) -> Result<Vec<Model>, DbErr> {
    Entity::find().filter(Column::Id.is_in(ids)).all(db).await
}

/// Which of these were told before, or are kept to be told.
pub async fn list_known(db: &impl ConnectionTrait, ids: &[String]) -> Result<HashSet<String>, DbErr> {
    let columns = vec![bulk::Column::text("id", ids.iter().cloned())];
    let sql = |rows: &str| format!("SELECT messages.id FROM messages JOIN {rows} ON messages.id = given.id");
    let known = bulk::run(db, columns, sql).await?;
    known.iter().map(|row| row.try_get("", "id")).collect()
}

/// Forgets those of these of which nothing is to be told any more: their deliveries are forgotten. What a message is told
/// to has the time of its id, so the primary key finds whether anything is left.
pub async fn prune(tx: &impl ConnectionTrait, ids: &[String]) -> Result<u64, DbErr> {
    Ok(pruning(ids).exec(tx).await?.rows_affected)
}

pub(super) fn pruning(ids: &[String]) -> DeleteMany<Entity> {
    Entity::delete_many().filter(Column::Id.is_in(ids)).filter(Expr::cust(NONE_LEFT))
}

/// The first ten characters of a ULID are its time.
const NONE_LEFT: &str = "NOT EXISTS (SELECT 1 FROM deliveries AS left_over WHERE left_over.message_id = messages.id \
    AND left_over.id > 'dly_' || substr(messages.id, 5, 10) \
    AND left_over.id <= 'dly_' || substr(messages.id, 5, 10) || 'ZZZZZZZZZZZZZZZZ')";
