//! Looks behind the service: into its rows and the bus's dead letters.

use platform::bus::DeadLetter;
use sea_orm::{ConnectionTrait as _, DbBackend, SqlErr, Statement};

use super::{PATIENCE, World};

impl World {
    /// Changes a row behind the service's back: what no call of today can bring about.
    pub(crate) async fn set(&self, sql: &str, id: &str) {
        let statement = Statement::from_sql_and_values(self.db.backend(), sql, [id.into()]);
        assert_eq!(self.db.write().execute_raw(statement).await.unwrap().rows_affected(), 1);
    }

    /// Whether the schema itself refuses a second installation in the place of one that is there.
    pub(crate) async fn refuses_a_second_installation(&self) -> bool {
        let columns = "instance_id, marketplace_id, kind, state, live, version, permissions, surface, paid, \
                       published_at_ms, sequence, created_at_ms, updated_at_ms";
        let copy = format!(
            "INSERT INTO installations (id, {columns}) SELECT 'itn_second', {columns} FROM installations"
        );
        let error = self.db.write().execute_unprepared(&copy).await.unwrap_err();
        matches!(error.sql_err(), Some(SqlErr::UniqueConstraintViolation(_)))
    }

    pub(crate) async fn count(&self, table: &str) -> i64 {
        let statement =
            Statement::from_string(self.db.backend(), format!("SELECT COUNT(*) AS n FROM {table}"));
        self.db.read().query_one_raw(statement).await.unwrap().unwrap().try_get("", "n").unwrap()
    }

    /// The number of the installation's last callback.
    pub(super) async fn sequence_of(&self, id: &str) -> u64 {
        let sql = "SELECT sequence AS n FROM installations WHERE id = $1";
        let statement = Statement::from_sql_and_values(self.db.backend(), sql, [id.into()]);
        let row = self.db.read().query_one_raw(statement).await.unwrap().unwrap();
        row.try_get::<i64>("", "n").unwrap().try_into().unwrap()
    }

    /// Waits until the table has that many rows: what is consumed to no effect sends no event.
    pub(crate) async fn until_count(&self, table: &str, rows: i64) {
        let what = format!("{rows} rows in {table}");
        let look = || async { (self.count(table).await >= rows).then_some(()) };
        testkit::eventually(&what, PATIENCE, look).await.unwrap();
    }

    /// Every value of bytes that the service keeps, as hexadecimal digits.
    pub(crate) async fn stored_bytes(&self) -> String {
        let hex = |column: &str| match self.db.backend() {
            DbBackend::Postgres => format!("encode({column}, 'hex')"),
            _ => format!("lower(hex({column}))"),
        };
        let columns = [
            ("payload", "outbox"),
            ("key_hash", "instance_keys"),
            ("sealed_secret", "webhook_secrets"),
            ("key_hash", "licenses"),
            ("sealed_key", "licenses"),
            ("key_hash", "installations"),
            ("sealed_key", "installations"),
        ];
        let selects = columns.map(|(column, table)| format!("SELECT {} AS bytes FROM {table}", hex(column)));
        let statement = Statement::from_string(self.db.backend(), selects.join(" UNION ALL "));
        let rows = self.db.read().query_all_raw(statement).await.unwrap();
        rows.iter().map(|row| row.try_get::<String>("", "bytes").unwrap() + "\n").collect()
    }

    pub(crate) async fn until_dead(&self, letters: usize) -> Vec<DeadLetter> {
        let look = || async {
            let dead = self.bus.dead_letters(100).await.unwrap();
            (dead.len() >= letters).then_some(dead)
        };
        testkit::eventually("the dead letters", PATIENCE, look).await.unwrap()
    }
}
