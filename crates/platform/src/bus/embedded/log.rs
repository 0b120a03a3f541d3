//! The tables of `bus.db` and every statement on them. Each function runs inside its caller's transaction.

use std::path::Path;

use sea_orm::sqlx::{
    self, Connection, FromRow, Row, SqliteConnection,
    sqlite::{SqliteConnectOptions, SqliteJournalMode, SqliteLockingMode, SqliteRow, SqliteSynchronous},
};

use crate::{
    bus::{DUPLICATE_WINDOW, DeadLetter, Lag, Message},
    clock::millis,
    telemetry::TraceContext,
};

/// A message leaves the log when it is this old and every consumer that takes it has settled it.
const KEPT_FOR_MS: i64 = 7 * 24 * 3_600 * 1_000;
/// So many messages of the log are looked at, and counted, for a consumer that is behind: everybody waits meanwhile.
const LOOKS_AHEAD: i64 = 2_000;
/// How many messages one transaction prunes at most.
pub(super) const PRUNE_BATCH: u64 = 500;

type Result<T> = std::result::Result<T, sqlx::Error>;

/// A file that this process alone uses: two would not wake each other's consumers.
pub(super) fn file(path: &Path) -> SqliteConnectOptions {
    SqliteConnectOptions::new()
        .filename(path)
        .create_if_missing(true)
        .journal_mode(SqliteJournalMode::Wal)
        .locking_mode(SqliteLockingMode::Exclusive)
        .synchronous(SqliteSynchronous::Full)
}

/// A log that ends with the process.
pub(super) fn memory() -> SqliteConnectOptions {
    SqliteConnectOptions::new().in_memory(true)
}

/// Opens the log. What another process held when it ended is due at once.
pub(super) async fn open(options: &SqliteConnectOptions) -> Result<SqliteConnection> {
    let mut connection = SqliteConnection::connect_with(options).await?;
    sqlx::raw_sql(include_str!("schema.sql")).execute(&mut connection).await?;
    sqlx::query("UPDATE pending SET due_at = 0, handed_out = 0 WHERE handed_out = 1")
        .execute(&mut connection)
        .await?;
    Ok(connection)
}

/// How safe the next transactions are: `FULL` outlives the loss of power, `NORMAL` the loss of the process.
pub(super) async fn set_synchronous(db: &mut SqliteConnection, full: bool) -> Result<()> {
    let pragma = if full { "PRAGMA synchronous = FULL" } else { "PRAGMA synchronous = NORMAL" };
    sqlx::raw_sql(pragma).execute(db).await.map(drop)
}

/// Stores the message unless the window has seen its id; whether it did.
pub(super) async fn publish(db: &mut SqliteConnection, message: &Message, now: i64) -> Result<bool> {
    let stored = sqlx::query(
        "INSERT INTO messages (id, subject, traceparent, tracestate, payload, published_at)
         SELECT ?1, ?2, ?3, ?4, ?5, ?6
         WHERE NOT EXISTS (SELECT 1 FROM messages WHERE id = ?1 AND published_at > ?7)",
    )
    .bind(&message.id)
    .bind(&message.subject)
    .bind(&message.trace.traceparent)
    .bind(&message.trace.tracestate)
    .bind(message.payload.as_ref())
    .bind(now)
    .bind(now - millis(DUPLICATE_WINDOW));
    Ok(stored.execute(db).await?.rows_affected() > 0)
}

/// Stores the letter unless the window has seen the same consumer give the same message up.
pub(super) async fn bury(db: &mut SqliteConnection, letter: &DeadLetter, now: i64) -> Result<()> {
    sqlx::query(
        "INSERT INTO dead_letters (id, subject, traceparent, tracestate, payload, consumer, reason, buried_at)
         SELECT ?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8
         WHERE NOT EXISTS (SELECT 1 FROM dead_letters WHERE id = ?1 AND consumer = ?6 AND buried_at > ?9)",
    )
    .bind(&letter.message.id)
    .bind(&letter.message.subject)
    .bind(&letter.message.trace.traceparent)
    .bind(&letter.message.trace.tracestate)
    .bind(letter.message.payload.as_ref())
    .bind(&letter.consumer)
    .bind(&letter.reason)
    .bind(now)
    .bind(now - millis(DUPLICATE_WINDOW))
    .execute(db)
    .await
    .map(drop)
}

/// The letters, oldest first.
pub(super) async fn dead_letters(db: &mut SqliteConnection, limit: i64) -> Result<Vec<DeadLetter>> {
    let rows = sqlx::query(
        "SELECT id, subject, traceparent, tracestate, payload, consumer, reason
         FROM dead_letters ORDER BY seq LIMIT ?",
    )
    .bind(limit)
    .fetch_all(db)
    .await?;
    rows.iter().map(letter).collect()
}

fn letter(row: &SqliteRow) -> Result<DeadLetter> {
    let (consumer, reason) = (row.try_get("consumer")?, row.try_get("reason")?);
    Ok(DeadLetter { message: message(row)?, consumer, reason })
}

fn message(row: &SqliteRow) -> Result<Message> {
    let payload: Vec<u8> = row.try_get("payload")?;
    let trace =
        TraceContext { traceparent: row.try_get("traceparent")?, tracestate: row.try_get("tracestate")? };
    let (id, subject) = (row.try_get("id")?, row.try_get("subject")?);
    Ok(Message { id, subject, payload: payload.into(), trace })
}

/// A new consumer starts at the beginning of what is kept, a known one goes on; the subjects are the spec's.
pub(super) async fn open_consumer(db: &mut SqliteConnection, name: &str, subjects: &str) -> Result<()> {
    sqlx::query("INSERT INTO consumers (name, position) VALUES (?, 0) ON CONFLICT DO NOTHING")
        .bind(name)
        .execute(&mut *db)
        .await?;
    sqlx::query("DELETE FROM consumer_subjects WHERE consumer = ?").bind(name).execute(&mut *db).await?;
    sqlx::query(
        "INSERT INTO consumer_subjects (subject, consumer) SELECT DISTINCT value, ? FROM json_each(?)",
    )
    .bind(name)
    .bind(subjects)
    .execute(db)
    .await
    .map(drop)
}

/// A message with its place in the log and the number of times it has been handed out.
pub(super) struct Entry {
    pub(super) seq: i64,
    pub(super) count: i64,
    pub(super) message: Message,
}

impl FromRow<'_, SqliteRow> for Entry {
    fn from_row(row: &SqliteRow) -> Result<Self> {
        Ok(Self { seq: row.try_get("seq")?, count: row.try_get("count")?, message: message(row)? })
    }
}

/// Who claims what, and until when it is theirs.
pub(super) struct Claim<'a> {
    pub(super) consumer: &'a str,
    pub(super) limit: i64,
    pub(super) now: i64,
    pub(super) until: i64,
}

/// Hands out what is due again, then what is new.
pub(super) async fn claim(db: &mut SqliteConnection, claim: &Claim<'_>) -> Result<Vec<Entry>> {
    let mut entries = claim_due(db, claim).await?;
    let room = claim.limit - i64::try_from(entries.len()).unwrap_or(i64::MAX);
    if room > 0 {
        entries.extend(claim_new(db, claim, room).await?);
    }
    Ok(entries)
}

async fn claim_due(db: &mut SqliteConnection, claim: &Claim<'_>) -> Result<Vec<Entry>> {
    let entries: Vec<Entry> = sqlx::query_as(
        "SELECT m.seq, p.count + 1 AS count, m.id, m.subject, m.traceparent, m.tracestate, m.payload
         FROM pending p JOIN messages m USING (seq)
         WHERE p.consumer = ? AND p.due_at <= ? ORDER BY p.due_at, p.seq LIMIT ?",
    )
    .bind(claim.consumer)
    .bind(claim.now)
    .bind(claim.limit)
    .fetch_all(&mut *db)
    .await?;
    if !entries.is_empty() {
        sqlx::query(
            "UPDATE pending SET count = count + 1, due_at = ?, handed_out = 1
             WHERE consumer = ? AND seq IN (SELECT value FROM json_each(?))",
        )
        .bind(claim.until)
        .bind(claim.consumer)
        .bind(seqs(&entries))
        .execute(db)
        .await?;
    }
    Ok(entries)
}

/// The position moves in the transaction that makes what it passes pending: nothing lies between the two.
async fn claim_new(db: &mut SqliteConnection, claim: &Claim<'_>, room: i64) -> Result<Vec<Entry>> {
    let entries: Vec<Entry> = sqlx::query_as(
        "SELECT seq, 1 AS count, id, subject, traceparent, tracestate, payload FROM messages
         WHERE seq > (SELECT position FROM consumers WHERE name = ?1)
           AND subject IN (SELECT subject FROM consumer_subjects WHERE consumer = ?1)
         ORDER BY seq LIMIT ?2",
    )
    .bind(claim.consumer)
    .bind(room)
    .fetch_all(&mut *db)
    .await?;
    if !entries.is_empty() {
        sqlx::query(
            "INSERT INTO pending (consumer, seq, count, due_at, handed_out)
             SELECT ?, value, 1, ?, 1 FROM json_each(?)",
        )
        .bind(claim.consumer)
        .bind(claim.until)
        .bind(seqs(&entries))
        .execute(&mut *db)
        .await?;
    }
    let is_full = i64::try_from(entries.len()).is_ok_and(|taken| taken == room);
    let reached = entries.last().filter(|_| is_full).map(|last| last.seq);
    move_position(db, claim.consumer, reached).await?;
    Ok(entries)
}

/// To `reached`, or to the log's end where nothing more is for this consumer, so that nothing is looked at twice.
async fn move_position(db: &mut SqliteConnection, consumer: &str, reached: Option<i64>) -> Result<()> {
    sqlx::query(
        "WITH reached (seq) AS (SELECT coalesce(?, (SELECT max(seq) FROM messages), 0))
         UPDATE consumers SET position = (SELECT seq FROM reached)
         WHERE name = ? AND position < (SELECT seq FROM reached)",
    )
    .bind(reached)
    .bind(consumer)
    .execute(db)
    .await
    .map(drop)
}

fn seqs(entries: &[Entry]) -> String {
    let seqs: Vec<_> = entries.iter().map(|entry| entry.seq).collect();
    serde_json::json!(seqs).to_string()
}

/// When the consumer's next redelivery is due.
pub(super) async fn next_due(db: &mut SqliteConnection, consumer: &str) -> Result<Option<i64>> {
    sqlx::query_scalar("SELECT min(due_at) FROM pending WHERE consumer = ?")
        .bind(consumer)
        .fetch_one(db)
        .await
}

/// How far the consumer is behind, as far as one looks ahead.
pub(super) async fn lag(db: &mut SqliteConnection, consumer: &str) -> Result<Lag> {
    let (pending, outstanding): (i64, i64) = sqlx::query_as(
        "SELECT
           (SELECT count(*) FROM
              (SELECT subject FROM messages WHERE seq > (SELECT position FROM consumers WHERE name = ?1)
               ORDER BY seq LIMIT ?2)
            WHERE subject IN (SELECT subject FROM consumer_subjects WHERE consumer = ?1)),
           (SELECT count(*) FROM (SELECT 1 FROM pending WHERE consumer = ?1 LIMIT ?2))",
    )
    .bind(consumer)
    .bind(LOOKS_AHEAD)
    .fetch_one(db)
    .await?;
    Ok(Lag { pending: pending.unsigned_abs(), outstanding: outstanding.unsigned_abs() })
}

/// One hand-out of one message. The count tells it from a later hand-out of the same message.
#[derive(Debug, Clone)]
pub(super) struct HandOut {
    pub(super) consumer: std::sync::Arc<str>,
    pub(super) seq: i64,
    pub(super) count: i64,
}

/// The effect has committed, whoever holds the message now: it is never handed out again.
pub(super) async fn ack(db: &mut SqliteConnection, held: &HandOut) -> Result<()> {
    let gone = sqlx::query("DELETE FROM pending WHERE consumer = ? AND seq = ?");
    gone.bind(&*held.consumer).bind(held.seq).execute(db).await.map(drop)
}

/// Due again at `due_at`, unless it has been handed out anew since.
pub(super) async fn retry(db: &mut SqliteConnection, held: &HandOut, due_at: i64) -> Result<()> {
    sqlx::query("UPDATE pending SET due_at = ?, handed_out = 0 WHERE consumer = ? AND seq = ? AND count = ?")
        .bind(due_at)
        .bind(&*held.consumer)
        .bind(held.seq)
        .bind(held.count)
        .execute(db)
        .await
        .map(drop)
}

/// Its holder keeps it until `until`.
pub(super) async fn extend(db: &mut SqliteConnection, held: &HandOut, until: i64) -> Result<()> {
    sqlx::query("UPDATE pending SET due_at = ? WHERE consumer = ? AND seq = ? AND count = ?")
        .bind(until)
        .bind(&*held.consumer)
        .bind(held.seq)
        .bind(held.count)
        .execute(db)
        .await
        .map(drop)
}

/// No handler ever saw it: due at once, and this hand-out does not count.
pub(super) async fn release(db: &mut SqliteConnection, held: &HandOut) -> Result<()> {
    sqlx::query(
        "UPDATE pending SET due_at = 0, count = count - 1, handed_out = 0
         WHERE consumer = ? AND seq = ? AND count = ?",
    )
    .bind(&*held.consumer)
    .bind(held.seq)
    .bind(held.count)
    .execute(db)
    .await
    .map(drop)
}

/// Removes some of what is old and settled by every consumer that takes it; how many went.
pub(super) async fn prune(db: &mut SqliteConnection, now: i64) -> Result<u64> {
    let gone = sqlx::query(
        "DELETE FROM messages WHERE seq IN (
           SELECT m.seq FROM messages m
           WHERE m.published_at < ?
             AND NOT EXISTS (SELECT 1 FROM pending p WHERE p.seq = m.seq)
             AND NOT EXISTS (
               SELECT 1 FROM consumer_subjects s JOIN consumers c ON c.name = s.consumer
               WHERE s.subject = m.subject AND c.position < m.seq)
           ORDER BY m.published_at LIMIT ?)",
    )
    .bind(now - KEPT_FOR_MS)
    .bind(i64::try_from(PRUNE_BATCH).unwrap_or(i64::MAX));
    Ok(gone.execute(db).await?.rows_affected())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    const SUBJECT: &str = "payments.v1.order_paid";

    async fn publish_at(db: &mut SqliteConnection, id: &str, now: i64) {
        let message = Message {
            id: id.into(),
            subject: SUBJECT.into(),
            payload: b"paid".as_slice().into(),
            trace: TraceContext::default(),
        };
        assert!(publish(db, &message, now).await.unwrap());
    }

    #[tokio::test]
    async fn only_what_is_old_and_settled_by_everyone_is_pruned() {
        let mut db = open(&memory()).await.unwrap();
        for consumer in ["fast", "slow"] {
            open_consumer(&mut db, consumer, &format!("[\"{SUBJECT}\"]")).await.unwrap();
        }
        publish_at(&mut db, "old", 0).await;
        publish_at(&mut db, "new", KEPT_FOR_MS).await;
        let all = |consumer| Claim { consumer, limit: 10, now: KEPT_FOR_MS, until: KEPT_FOR_MS + 1 };
        let later = KEPT_FOR_MS + 1;

        for entry in claim(&mut db, &all("fast")).await.unwrap() {
            ack(&mut db, &HandOut { consumer: "fast".into(), seq: entry.seq, count: 1 }).await.unwrap();
        }
        assert_eq!(prune(&mut db, later).await.unwrap(), 0, "the slow one has seen neither");
        let held = claim(&mut db, &all("slow")).await.unwrap();
        assert_eq!(prune(&mut db, later).await.unwrap(), 0, "the slow one holds both");
        for entry in held {
            ack(&mut db, &HandOut { consumer: "slow".into(), seq: entry.seq, count: 1 }).await.unwrap();
        }
        assert_eq!(prune(&mut db, later).await.unwrap(), 1, "the new one is kept");
    }

    #[tokio::test]
    async fn a_late_retry_does_not_touch_a_newer_hand_out() {
        let mut db = open(&memory()).await.unwrap();
        open_consumer(&mut db, "c", &format!("[\"{SUBJECT}\"]")).await.unwrap();
        publish_at(&mut db, "one", 0).await;
        let at = |now| Claim { consumer: "c", limit: 1, now, until: now + 10 };
        let first = claim(&mut db, &at(0)).await.unwrap().remove(0);
        let second = claim(&mut db, &at(10)).await.unwrap().remove(0);
        assert_eq!((first.count, second.count), (1, 2));
        let late = HandOut { consumer: "c".into(), seq: first.seq, count: first.count };
        retry(&mut db, &late, 0).await.unwrap();
        extend(&mut db, &late, 1_000).await.unwrap();
        assert_eq!(next_due(&mut db, "c").await.unwrap(), Some(20));
        ack(&mut db, &late).await.unwrap();
        assert_eq!(next_due(&mut db, "c").await.unwrap(), None, "the effect has committed, whoever holds it");
    }
}
