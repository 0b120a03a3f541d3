//! Messages: one event to be told.

use platform::telemetry::TraceContext;
use sea_orm::{ConnectionTrait, DbErr, IntoActiveModel as _, entity::prelude::*};

/// A message. Its body is sealed: it holds the licence key and the buyer's e-mail, or an API key. That of a callback is
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

/// Wipes what a message said.
pub async fn wipe(tx: &impl ConnectionTrait, id: &str) -> Result<(), DbErr> {
    let update = Entity::update_many().col_expr(Column::SealedBody, Expr::value(Vec::<u8>::new()));
    update.filter(Column::Id.eq(id)).exec(tx).await?;
    Ok(())
}

/// Those of these ids.
pub async fn list_by_ids(db: &impl ConnectionTrait, ids: Vec<String>) -> Result<Vec<Model>, DbErr> {
    Entity::find().filter(Column::Id.is_in(ids)).all(db).await
}

/// Forgets those that no delivery refers to and that are older than this.
pub async fn prune(db: &impl ConnectionTrait, before_ms: i64) -> Result<u64, DbErr> {
    let told = sea_orm::sea_query::Query::select()
        .column(super::delivery::Column::MessageId)
        .from(super::delivery::Entity)
        .to_owned();
    let old = Entity::delete_many().filter(Column::CreatedAtMs.lt(before_ms));
    Ok(old.filter(Column::Id.not_in_subquery(told)).exec(db).await?.rows_affected)
}
