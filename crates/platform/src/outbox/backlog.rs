//! How much waits in the outbox, and for how long.

use sea_orm::{ConnectionTrait as _, DbErr, FromQueryResult, Statement};

use super::LEASE_MS;
use crate::{Clock, Shutdown, db::Db, measure};

/// Nothing is counted beyond it.
const MOST: u32 = 100_000;

#[derive(Debug, PartialEq, Eq, FromQueryResult)]
pub(super) struct Backlog {
    pub(super) messages: i64,
    pub(super) oldest_at_ms: Option<i64>,
}

/// Looks until `shutdown`.
pub(super) async fn keep_measuring(db: &Db, clock: &Clock, shutdown: Shutdown) {
    let gauge = |name: &'static str| metrics::gauge!(name, "store" => db.name().to_owned());
    let messages = gauge("outbox_pending_messages");
    let age = gauge("outbox_oldest_age_seconds");
    #[expect(clippy::cast_precision_loss, reason = "a count below 100,001, and an age")]
    let look = || async {
        let now_ms = clock.now_ms();
        let backlog = read(db, now_ms).await?;
        messages.set(backlog.messages as f64);
        age.set(backlog.oldest_at_ms.map_or(0, |oldest_ms| now_ms - oldest_ms).max(0) as f64 / 1000.0);
        Ok::<_, DbErr>(())
    };
    measure::keep("outbox", shutdown, look).await;
}

/// Whatever rests longer than a relay holds it is no backlog: it is to be published again once the bus has forgotten
/// it, or the bus will never take it, which is counted where it happens.
pub(super) async fn read(db: &Db, now_ms: i64) -> Result<Backlog, DbErr> {
    let sql = format!(
        "SELECT count(*) AS messages, min(created_at_ms) AS oldest_at_ms FROM (\
         SELECT created_at_ms FROM outbox WHERE published_at_ms IS NULL AND claimed_until_ms <= $1 \
         ORDER BY id LIMIT {MOST}) AS waiting"
    );
    let statement = Statement::from_sql_and_values(db.backend(), sql, [(now_ms + LEASE_MS).into()]);
    let row = db.read().query_one_raw(statement).await?;
    let row = row.ok_or_else(|| DbErr::RecordNotFound("a count has a row".to_owned()))?;
    Backlog::from_query_result(&row, "")
}
