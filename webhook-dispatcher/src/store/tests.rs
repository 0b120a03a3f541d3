//! Which indexes the planners take: what has settled is kept for weeks, and no turn check may read it.
#![allow(clippy::unwrap_used)]

mod lists;

use platform::{
    db::{self, DatabaseConfig, Db},
    secret::Secret,
};
use sea_orm::{ConnectionTrait as _, DbBackend, QuerySelect as _, QueryTrait as _, Statement};

use super::{
    delivery::earlier,
    lease::{Claim, claiming},
    migrations::Migrator,
};
use crate::domain::callback::Place;

const SETTLED: &str = "INSERT INTO deliveries (id, message_id, endpoint_id, instance_id, event, state, attempts, \
    lease_token, failures, next_attempt_at_ms, lease_until_ms, created_at_ms, settled_at_ms, kind, serial, sequence) \
    WITH RECURSIVE numbers(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < 3000) \
    SELECT 'dly_' || n, 'msg_' || n, 'ep_1', 'inst_1', 'Update', 'delivered', 1, 1, 0, 0, 0, 1, 1, 'callback', \
    'app shop' || n % 100, n FROM numbers";

/// Without them any index would do.
const OPEN: &str = "INSERT INTO deliveries (id, message_id, endpoint_id, instance_id, event, state, attempts, \
    lease_token, failures, next_attempt_at_ms, lease_until_ms, created_at_ms, kind) \
    SELECT 'dly_w' || id, message_id, endpoint_id, instance_id, 'license-issued', 'held', 1, 1, 0, 0, 0, 1, \
    'webhook' FROM deliveries";

async fn plan(db: &Db, statement: Statement) -> String {
    let (explain, column) = match db.backend() {
        DbBackend::Postgres => ("EXPLAIN", 0),
        _ => ("EXPLAIN QUERY PLAN", 3),
    };
    let sql = format!("{explain} {}", statement.sql);
    let values = statement.values.unwrap();
    let explained = Statement::from_sql_and_values(db.backend(), sql, values.0);
    let rows = db.write().query_all_raw(explained).await.unwrap();
    rows.iter().map(|row| row.try_get_by_index::<String>(column).unwrap() + "\n").collect()
}

async fn turn_checks_read_no_settled_callbacks(database: DatabaseConfig) {
    let db = Db::connect(&database, "webhooks").await.unwrap();
    db::migrate::<Migrator>(&db, "webhooks").await.unwrap();
    for rows in [SETTLED, OPEN] {
        db.write().execute_unprepared(rows).await.unwrap();
    }
    if db.backend() == DbBackend::Postgres {
        db.write().execute_unprepared("ANALYZE deliveries").await.unwrap();
    }
    let claim = claiming(db.backend(), &Claim { now_ms: 9, lease_ms: 9, limit: 9, busy: &[] });
    let place = Place { serial: "app shop7".to_owned(), sequence: 3001 };
    let take_in = earlier(&place).lock_exclusive().build(db.backend());
    for statement in [claim, take_in] {
        let plan = plan(&db, statement).await;
        assert!(plan.contains("deliveries_open_of_serial"), "{plan}");
        assert!(!plan.contains("deliveries_of_serial"), "{plan}");
    }
}

#[tokio::test]
async fn turn_checks_on_sqlite_read_no_settled_callbacks() {
    let folder = tempfile::tempdir().unwrap();
    turn_checks_read_no_settled_callbacks(DatabaseConfig::sqlite(&folder.path().join("webhooks.db"))).await;
}

#[tokio::test]
async fn turn_checks_on_postgres_read_no_settled_callbacks() {
    let url = Secret::new(testkit::servers::test_env().fresh_database().await.unwrap());
    turn_checks_read_no_settled_callbacks(DatabaseConfig { url, max_connections: 2 }).await;
}
