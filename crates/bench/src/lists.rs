//! `lists`: what operators list, of a store that holds a great deal.

use std::time::Duration;

use anyhow::{Context as _, ensure};
use platform::{
    db::{self, DatabaseConfig, Db},
    secret::Secret,
};
use sea_orm::{
    ConnectionTrait, DbBackend, DbErr, ExecResult, QueryResult, Statement,
    entity::prelude::async_trait::async_trait,
};
use testkit::servers::{Postgres, default_root};
use tokio::time::Instant;
use webhook_dispatcher::{
    Migrator,
    domain::{delivery::State, endpoint::Owner},
    store::{
        endpoint,
        list::{self, Filter, MessageFilter, Span},
        page::Stretch,
        prune,
    },
};

use crate::report::Report;

#[derive(Debug, Clone, Copy, clap::Args)]
pub(crate) struct Args {
    /// Deliveries, each with its message and its attempt; a million takes about 1 GB for as long as this runs
    #[arg(long, default_value_t = 1_000_000)]
    rows: u32,
}

impl Default for Args {
    fn default() -> Self {
        Self { rows: 1_000_000 }
    }
}

/// One delivery each 100 ms until then.
const NOW_MS: i64 = 1_800_000_000_000;
const APART_MS: i64 = 100;
const SHOPS: u32 = 1_000;

/// The slowest of the lists, beside counting the deliveries exactly. Each list's plan goes to standard error.
pub(crate) async fn run(args: Args) -> anyhow::Result<Report> {
    ensure!(args.rows >= 10 * SHOPS, "with fewer than {} rows there is nothing to measure", 10 * SHOPS);
    let postgres = Postgres::start(&default_root()?).await?;
    let config = DatabaseConfig { url: Secret::new(postgres.url()), max_connections: 2 };
    let db = Db::connect(&config, "webhooks").await?;
    db::migrate::<Migrator>(&db, "webhooks").await?;
    eprintln!("writing {} deliveries, messages and attempts …", args.rows);
    for statement in filling(args.rows) {
        db.write().execute_unprepared(&statement).await?;
    }
    let watched = Watched(&db);
    let mut slowest = (String::new(), Duration::ZERO);
    for (name, filter) in filters(args.rows) {
        let took = list_twice(&watched, &name, &filter).await?;
        if took > slowest.1 {
            slowest = (name, took);
        }
    }
    others(&watched, args.rows).await?;
    let exact = exact_count(&db).await?;
    let ms = |took: Duration| took.as_secs_f64() * 1_000.0;
    Ok(Report::new("lists", "ms of the slowest list", ms(slowest.1), ms(exact))
        .with("slowest", slowest.0)
        .with("rows", args.rows)
        .with("store_mib", size_mib(&db).await?))
}

/// The first part and the next, as an operator asks for them; how long the slower one took, counting included.
async fn list_twice(watched: &Watched<'_>, name: &str, filter: &Filter) -> anyhow::Result<Duration> {
    let (mut after, mut slower) = (None, Duration::ZERO);
    for part in ["first", "next"] {
        eprintln!("── deliveries, {name}, the {part} part");
        let stretch = Stretch { limit: 20, offset: 0, after: after.as_deref() };
        let begun = Instant::now();
        let found = list::deliveries(watched.0.read(), filter, stretch).await?;
        let took = begun.elapsed();
        list::deliveries(watched, filter, stretch).await?;
        eprintln!("{} rows, {} counted, {took:?}", found.rows.len(), found.count.found);
        slower = slower.max(took);
        after = found.next;
        if after.is_none() {
            break;
        }
    }
    Ok(slower)
}

/// Messages, attempts, and what is forgotten next.
async fn others(watched: &Watched<'_>, rows: u32) -> anyhow::Result<()> {
    let stretch = Stretch { limit: 20, offset: 0, after: None };
    eprintln!("── messages");
    list::messages(watched, &MessageFilter::default(), stretch).await?;
    eprintln!("── attempts");
    let newest = list::deliveries(watched.0.read(), &Filter::default(), stretch).await?;
    list::attempts_of(watched, &newest.rows, None).await?;
    eprintln!("── what is forgotten next");
    prune::take_settled(watched, "", NOW_MS - APART_MS * i64::from(rows) / 2, 500).await?;
    Ok(())
}

fn filters(rows: u32) -> Vec<(String, Filter)> {
    let endpoint = |number: u32| {
        let owner = Owner::Instance(format!("inst_{number}"));
        Some(endpoint::Model::new(format!("ep_{number}"), &owner, "https://shop.example", 1))
    };
    let middle = NOW_MS - APART_MS * i64::from(rows) / 2;
    let span = Span { since_ms: None, until_ms: Some(middle) };
    let large = |state| Filter { endpoint: endpoint(0), state, ..Filter::default() };
    let small = |state| Filter { endpoint: endpoint(7), state, ..Filter::default() };
    let dead = Some(State::Dead);
    [
        ("all", Filter::default()),
        ("until the middle of them", Filter { span, ..Filter::default() }),
        ("of the shop with half of them", large(None)),
        ("dead of that shop", large(dead)),
        ("of a small shop", small(None)),
        ("dead of a small shop", small(dead)),
        ("dead", Filter { state: dead, ..Filter::default() }),
        ("dead of a class", Filter { state: dead, reason: Some("timeout".to_owned()), ..Filter::default() }),
        ("held", Filter { state: Some(State::Held), ..Filter::default() }),
        ("callbacks", Filter { kind: Some("callback".to_owned()), ..Filter::default() }),
        (
            "of an event that never happened",
            Filter { event: Some("license-revoked".to_owned()), ..Filter::default() },
        ),
    ]
    .map(|(name, filter)| (name.to_owned(), filter))
    .into()
}

/// Half of the deliveries go to one shop; one of a hundred is dead, one held, one a callback.
fn filling(rows: u32) -> Vec<String> {
    let first = NOW_MS - APART_MS * i64::from(rows);
    let at = format!("{first} + n * {APART_MS}");
    let (id, message) = (id_sql("dly", &at), id_sql("msg", &at));
    let number = format!("CASE WHEN n % 2 = 0 THEN 0 ELSE n % {SHOPS} END");
    let numbers = format!("generate_series(1::bigint, {rows}) n");
    vec![
        format!(
            "INSERT INTO messages (id, instance_id, event, sealed_body, created_at_ms) \
             SELECT {message}, 'inst_' || {number}, 'license-issued', decode(repeat('5a', 250), 'hex'), {at} FROM {numbers}"
        ),
        format!(
            "INSERT INTO deliveries (id, message_id, endpoint_id, instance_id, event, state, attempts, lease_token, \
             failures, next_attempt_at_ms, lease_until_ms, held_since_ms, dead_reason, created_at_ms, settled_at_ms, kind, \
             marketplace_id) SELECT {id}, {message}, 'ep_' || {number}, 'inst_' || {number}, 'license-issued', \
             CASE n % 100 WHEN 1 THEN 'dead' WHEN 3 THEN 'held' ELSE 'delivered' END, 1, 1, 0, {at}, 0, \
             CASE n % 100 WHEN 3 THEN {at} END, \
             CASE n % 100 WHEN 1 THEN '6 attempts failed; the last one: timeout' END, {at}, \
             CASE n % 100 WHEN 3 THEN NULL ELSE {at} END, CASE n % 100 WHEN 4 THEN 'callback' ELSE 'webhook' END, \
             CASE n % 100 WHEN 4 THEN '@v/app' END FROM {numbers}"
        ),
        format!(
            "INSERT INTO attempts (delivery_id, number, started_at_ms, duration_ms, status, outcome, response_size) \
             SELECT {id}, 1, {at}, 5, 204, 'success', 0 FROM {numbers}"
        ),
        "VACUUM ANALYZE".to_owned(),
    ]
}

/// An id of that time: the first ten characters of a ULID are its milliseconds, five bits each.
fn id_sql(prefix: &str, at: &str) -> String {
    let digits = (0..10).rev().map(|place| {
        format!("substr('0123456789ABCDEFGHJKMNPQRSTVWXYZ', ((({at}) >> {}) & 31)::int + 1, 1)", place * 5)
    });
    let time = digits.collect::<Vec<_>>().join(" || ");
    format!("'{prefix}_' || {time} || lpad(upper(to_hex(n)), 16, '0')")
}

async fn exact_count(db: &Db) -> anyhow::Result<Duration> {
    let count = Statement::from_string(DbBackend::Postgres, "SELECT count(*) FROM deliveries");
    let begun = Instant::now();
    db.read().query_one_raw(count).await?;
    Ok(begun.elapsed())
}

async fn size_mib(db: &Db) -> anyhow::Result<i64> {
    let size =
        Statement::from_string(DbBackend::Postgres, "SELECT pg_database_size(current_database()) / 1048576");
    let row = db.read().query_one_raw(size).await?.context("a size has a row")?;
    Ok(row.try_get_by_index(0)?)
}

/// A store that tells the plan of each query before it is made.
struct Watched<'a>(&'a Db);

impl Watched<'_> {
    async fn tell(&self, statement: &Statement) -> Result<(), DbErr> {
        let sql = format!("EXPLAIN (ANALYZE, BUFFERS, COSTS OFF) {}", statement.sql);
        let values = statement.values.clone().map(|values| values.0).unwrap_or_default();
        let explain = Statement::from_sql_and_values(DbBackend::Postgres, sql, values);
        for row in self.0.read().query_all_raw(explain).await? {
            eprintln!("   {}", row.try_get_by_index::<String>(0)?);
        }
        Ok(())
    }
}

#[async_trait]
impl ConnectionTrait for Watched<'_> {
    fn get_database_backend(&self) -> DbBackend {
        DbBackend::Postgres
    }

    async fn execute_raw(&self, statement: Statement) -> Result<ExecResult, DbErr> {
        self.tell(&statement).await?;
        self.0.read().execute_raw(statement).await
    }

    async fn execute_unprepared(&self, sql: &str) -> Result<ExecResult, DbErr> {
        self.0.read().execute_unprepared(sql).await
    }

    async fn query_one_raw(&self, statement: Statement) -> Result<Option<QueryResult>, DbErr> {
        self.tell(&statement).await?;
        self.0.read().query_one_raw(statement).await
    }

    async fn query_all_raw(&self, statement: Statement) -> Result<Vec<QueryResult>, DbErr> {
        self.tell(&statement).await?;
        self.0.read().query_all_raw(statement).await
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use platform::ids::floor;

    use super::*;

    /// What PostgreSQL is asked to compute is what a ULID is.
    #[test]
    fn the_time_of_an_id_is_written_as_a_ulid_writes_it() {
        const DIGITS: &[u8] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";
        let digits = (0..10)
            .rev()
            .map(|place| char::from(DIGITS[usize::try_from((NOW_MS >> (place * 5)) & 31).unwrap()]));
        let time: String = digits.collect();
        assert_eq!(floor("dly", NOW_MS)[4..14], time);
        assert!(id_sql("dly", "7").starts_with("'dly_' || substr("));
    }
}
