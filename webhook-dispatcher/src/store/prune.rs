//! What is forgotten by age: bodies, attempts, whole deliveries. Always a few, in the order of their ids, with one commit.

use sea_orm::{
    Condition, ConnectionTrait, DbErr, Order, QueryOrder as _, QuerySelect as _, QueryTrait as _, Select,
    UpdateMany,
    entity::prelude::*,
    sea_query::{LockBehavior, LockType},
};

use super::{
    attempt,
    delivery::{Column, Entity},
    message,
};

/// The deliveries of some place that are old enough.
#[derive(Debug, Default)]
pub struct Old {
    /// Their ids.
    pub ids: Vec<String>,
    /// Their messages, each once.
    pub messages: Vec<String>,
    /// The last id that was looked at.
    pub last: Option<String>,
}

impl Old {
    fn of(rows: Vec<(String, String)>) -> Self {
        let last = rows.last().map(|(id, _)| id.clone());
        let (ids, mut messages): (Vec<_>, Vec<_>) = rows.into_iter().unzip();
        messages.sort_unstable();
        messages.dedup();
        Self { ids, messages, last }
    }
}

/// Settled before then: older than then, so that the primary key finds them.
pub(super) fn settled_before(after: &str, before_ms: i64, limit: u64) -> Select<Entity> {
    let settled = old(after, before_ms).filter(Column::SettledAtMs.lt(before_ms));
    settled.order_by(Column::Id, Order::Asc).limit(limit)
}

pub(super) fn old(after: &str, before_ms: i64) -> Select<Entity> {
    let ids = Entity::find().select_only().column(Column::Id).column(Column::MessageId);
    let floor = platform::ids::floor("dly", before_ms);
    ids.filter(Condition::all().add(Column::Id.gt(after)).add(Column::Id.lt(floor)))
}

/// The next after this id that were settled before then, kept as they are until the transaction ends. What somebody
/// sends again right now is passed over.
pub async fn take_settled(
    tx: &impl ConnectionTrait,
    after: &str,
    before_ms: i64,
    limit: u64,
) -> Result<Old, DbErr> {
    let settled = settled_before(after, before_ms, limit);
    let settled = settled.lock_with_behavior(LockType::Update, LockBehavior::SkipLocked);
    Ok(Old::of(settled.into_tuple().all(tx).await?))
}

/// The next after this id that are that old, whatever their state.
pub async fn list_old(
    tx: &impl ConnectionTrait,
    after: &str,
    before_ms: i64,
    limit: u64,
) -> Result<Old, DbErr> {
    let old = old(after, before_ms).order_by(Column::Id, Order::Asc).limit(limit);
    Ok(Old::of(old.into_tuple().all(tx).await?))
}

/// Forgets these deliveries and their attempts; how many attempts that were.
pub async fn forget(tx: &impl ConnectionTrait, ids: &[String]) -> Result<u64, DbErr> {
    let attempts = attempt::Entity::delete_many().filter(attempt::Column::DeliveryId.is_in(ids));
    let attempts = attempts.exec(tx).await?.rows_affected;
    Entity::delete_many().filter(Column::Id.is_in(ids)).exec(tx).await?;
    Ok(attempts)
}

/// Forgets the attempts of those of these deliveries that have settled.
pub async fn forget_attempts(tx: &impl ConnectionTrait, ids: &[String]) -> Result<u64, DbErr> {
    let settled = Entity::find().select_only().column(Column::Id).filter(Column::Id.is_in(ids));
    let settled = settled.filter(Column::SettledAtMs.is_not_null()).into_query();
    let attempts = attempt::Entity::delete_many()
        .filter(attempt::Column::DeliveryId.is_in(ids))
        .filter(attempt::Column::DeliveryId.in_subquery(settled));
    Ok(attempts.exec(tx).await?.rows_affected)
}

/// Wipes what these messages say, unless it is still to be told to somebody; how many that were. Who sends one of them
/// again waits for this transaction or is seen by it: both lock the message first.
pub async fn wipe_bodies(tx: &impl ConnectionTrait, messages: &[String]) -> Result<u64, DbErr> {
    lock_messages(tx, messages).await?;
    Ok(wiping(messages).exec(tx).await?.rows_affected)
}

pub(super) fn wiping(messages: &[String]) -> UpdateMany<message::Entity> {
    let open =
        Entity::find().select_only().column(Column::MessageId).filter(Column::MessageId.is_in(messages));
    let open = open.filter(Column::SettledAtMs.is_null()).into_query();
    message::Entity::update_many()
        .col_expr(message::Column::SealedBody, Expr::value(Vec::<u8>::new()))
        .filter(message::Column::Id.is_in(messages))
        .filter(message::Column::Id.not_in_subquery(open))
        .filter(has_body())
}

async fn lock_messages(tx: &impl ConnectionTrait, messages: &[String]) -> Result<(), DbErr> {
    let lock = message::Entity::find().select_only().column(message::Column::Id);
    let lock = lock.filter(message::Column::Id.is_in(messages)).order_by_asc(message::Column::Id);
    lock.lock_exclusive().into_tuple::<String>().all(tx).await?;
    Ok(())
}

/// Those of these messages that still say something, and go on doing so until the transaction ends.
pub async fn keep_bodies(
    tx: &impl ConnectionTrait,
    messages: Vec<String>,
) -> Result<std::collections::HashSet<String>, DbErr> {
    let kept = message::Entity::find().select_only().column(message::Column::Id).filter(has_body());
    let kept = kept.filter(message::Column::Id.is_in(messages)).order_by_asc(message::Column::Id);
    Ok(kept.lock_shared().into_tuple::<String>().all(tx).await?.into_iter().collect())
}

fn has_body() -> Expr {
    Expr::cust("length(sealed_body) > 0")
}
