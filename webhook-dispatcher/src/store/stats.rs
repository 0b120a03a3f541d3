//! How much there is of what, for metrics: counted along partial indexes, and no further than a bound.

use sea_orm::{ConnectionTrait, DbBackend, DbErr, FromQueryResult, Statement};

/// Nothing is counted beyond it.
const MOST: u32 = 100_000;

/// What is there at one time.
#[derive(Debug, Clone, PartialEq, Eq, FromQueryResult)]
pub struct Stats {
    /// Pending deliveries whose time has come.
    pub due: i64,
    /// Pending deliveries whose time has not come.
    pub waiting: i64,
    /// Deliveries that are held for their endpoint.
    pub held: i64,
    /// Dead letters that are kept.
    pub dead: i64,
    /// Replays that are running.
    pub replays: i64,
    /// Endpoints that take deliveries.
    pub active: i64,
    /// Endpoints that asked to be left alone for a while.
    pub throttled: i64,
    /// Endpoints that are told nothing before they are verified.
    pub unverified: i64,
    /// Endpoints that are disabled.
    pub disabled: i64,
}

/// Counts everything, with one statement.
pub async fn read(db: &impl ConnectionTrait, now_ms: i64) -> Result<Stats, DbErr> {
    let row = db.query_one_raw(reading(db.get_database_backend(), now_ms)).await?;
    let row = row.ok_or_else(|| DbErr::RecordNotFound("counts have a row".to_owned()))?;
    Stats::from_query_result(&row, "")
}

pub(super) fn reading(backend: DbBackend, now_ms: i64) -> Statement {
    let deliveries = [
        ("due", "state = 'pending' AND next_attempt_at_ms <= $1"),
        ("waiting", "state = 'pending' AND next_attempt_at_ms > $1"),
        ("held", "state = 'held' AND held_since_ms > 0"),
        ("dead", "state = 'dead'"),
    ];
    let deliveries = deliveries.map(|(name, which)| (name, format!("deliveries WHERE {which}")));
    let disabled = "(tenant_disabled OR disabled_reason IS NOT NULL)";
    let told = format!("endpoints WHERE NOT {disabled} AND unverified_since_ms IS NULL");
    let others = [
        ("replays", "replays WHERE state = 'running'".to_owned()),
        ("active", format!("{told} AND throttled_until_ms <= $1")),
        ("throttled", format!("{told} AND throttled_until_ms > $1")),
        ("unverified", format!("endpoints WHERE NOT {disabled} AND unverified_since_ms IS NOT NULL")),
        ("disabled", format!("endpoints WHERE {disabled}")),
    ];
    let counts = deliveries.into_iter().chain(others).map(|(name, of)| {
        format!("(SELECT count(*) FROM (SELECT 1 FROM {of} LIMIT {MOST}) AS counted) AS {name}")
    });
    let sql = format!("SELECT {}", counts.collect::<Vec<_>>().join(", "));
    Statement::from_sql_and_values(backend, sql, [now_ms.into()])
}
