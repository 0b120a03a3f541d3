//! The store: PostgreSQL with a schema per service, or a SQLite file per service.

use std::{fs, ops::Deref, path::Path, sync::Arc, time::Duration};

use sea_orm::{
    ConnectOptions, ConnectionTrait, Database, DatabaseConnection, DatabaseTransaction, DbBackend, DbErr,
    RuntimeErr, SqliteTransactionMode, Statement, TransactionOptions, TransactionTrait as _,
    sqlx::{
        self,
        sqlite::{SqliteJournalMode, SqliteSynchronous},
    },
};
use sea_orm_migration::MigratorTrait;
use serde::Deserialize;
use tokio::sync::Notify;

use crate::{AppResult, config::Problems, secret::Secret};

/// Where the service keeps its rows.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DatabaseConfig {
    /// `postgres://user:password@host/database` or `sqlite:///folder/file.db` (`DATABASE_URL`).
    pub url: Secret,
    /// Connections at most.
    #[serde(default = "default_connections")]
    pub max_connections: u32,
}

fn default_connections() -> u32 {
    16
}

impl DatabaseConfig {
    /// A SQLite file.
    #[must_use]
    pub fn sqlite(path: &Path) -> Self {
        Self { url: Secret::new(format!("sqlite://{}", path.display())), max_connections: 4 }
    }

    /// Reports what cannot work.
    pub fn check(&self, problems: &mut Problems) {
        if !["postgres://", "postgresql://", "sqlite:"].iter().any(|scheme| self.url.starts_with(scheme)) {
            problems.add("database.url", "must begin with postgres:// or sqlite:// (DATABASE_URL)");
        }
        if self.max_connections == 0 {
            problems.add("database.max_connections", "must be at least 1");
        }
    }

    fn is_sqlite(&self) -> bool {
        self.url.starts_with("sqlite:")
    }
}

/// The service's store; cheap to clone. Reads go through it as a connection, writes through [`Db::begin`].
#[derive(Clone)]
pub struct Db {
    readers: DatabaseConnection,
    writer: DatabaseConnection,
    announced: Arc<Notify>,
    name: Arc<str>,
}

impl Db {
    /// Connects. `schema` is the service's own, such as `license`.
    pub async fn connect(config: &DatabaseConfig, schema: &str) -> Result<Self, DbErr> {
        let (announced, name) = (Arc::default(), Arc::from(schema));
        if config.is_sqlite() {
            create_folder(config);
            // SQLite has one writer: one connection writes and the others wait their turn in its queue.
            let writer = Database::connect(options(config, schema, 1)).await?;
            let readers = Database::connect(options(config, schema, config.max_connections)).await?;
            return Ok(Self { readers, writer, announced, name });
        }
        let readers = Database::connect(options(config, schema, config.max_connections)).await?;
        Ok(Self { writer: readers.clone(), readers, announced, name })
    }

    /// Begins a transaction that may write.
    pub async fn begin(&self) -> Result<Tx, DbErr> {
        let sqlite_transaction_mode =
            (self.backend() == DbBackend::Sqlite).then_some(SqliteTransactionMode::Immediate);
        let options = TransactionOptions { sqlite_transaction_mode, ..TransactionOptions::default() };
        let inner = self.writer.begin_with_options(options).await?;
        Ok(Tx { inner, announced: self.announced.clone() })
    }

    /// For reads.
    #[must_use]
    pub fn read(&self) -> &DatabaseConnection {
        &self.readers
    }

    /// For one statement that writes by itself.
    #[must_use]
    pub fn write(&self) -> &DatabaseConnection {
        &self.writer
    }

    /// Which kind of store it is.
    #[must_use]
    pub fn backend(&self) -> DbBackend {
        self.readers.get_database_backend()
    }

    /// Whose it is: the schema it was opened with.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Whether it answers now.
    pub async fn is_ready(&self) -> bool {
        self.readers.ping().await.is_ok()
    }

    /// Woken when a transaction that announced something has committed.
    pub(crate) fn announced(&self) -> &Notify {
        &self.announced
    }
}

/// A transaction. Rolled back when dropped; its commit wakes the outbox relay.
pub struct Tx {
    inner: DatabaseTransaction,
    announced: Arc<Notify>,
}

impl Tx {
    /// Makes it true.
    pub async fn commit(self) -> AppResult<()> {
        self.inner.commit().await?;
        self.announced.notify_one();
        Ok(())
    }
}

impl Deref for Tx {
    type Target = DatabaseTransaction;

    fn deref(&self) -> &DatabaseTransaction {
        &self.inner
    }
}

/// Whether the same statement may succeed later: its connection could not be made or broke, or the store is ending,
/// starting, full of connections, or has chosen it as a deadlock's victim.
#[must_use]
pub fn may_pass(error: &DbErr) -> bool {
    match error {
        DbErr::Conn(_) | DbErr::ConnectionAcquire(_) => true,
        DbErr::Exec(RuntimeErr::SqlxError(cause)) | DbErr::Query(RuntimeErr::SqlxError(cause)) => {
            cause_may_pass(cause)
        }
        _ => false,
    }
}

fn cause_may_pass(cause: &sqlx::Error) -> bool {
    match cause {
        sqlx::Error::Io(_) | sqlx::Error::Tls(_) | sqlx::Error::PoolTimedOut => true,
        sqlx::Error::Database(said) => said.code().is_some_and(|code| state_may_pass(&code)),
        _ => false,
    }
}

/// PostgreSQL's appendix A: class 08 is the connection's, 40 a rolled back transaction's, 53 and 57P an operator's.
fn state_may_pass(state: &str) -> bool {
    let passing = ["40001", "40P01", "53300", "57P01", "57P02", "57P03"];
    passing.contains(&state) || (state.len() == 5 && state.starts_with("08"))
}

fn create_folder(config: &DatabaseConfig) {
    let path = config.url.trim_start_matches("sqlite:").trim_start_matches("//");
    if let Some(folder) = Path::new(path).parent() {
        // Where it cannot be made, connecting says so with the file's name.
        let _ = fs::create_dir_all(folder);
    }
}

fn options(config: &DatabaseConfig, schema: &str, max_connections: u32) -> ConnectOptions {
    let mut options = ConnectOptions::new(config.url.expose());
    options
        .max_connections(max_connections)
        .acquire_timeout(Duration::from_secs(5))
        .test_before_acquire_if_idle_for(Duration::from_secs(5))
        .sqlx_logging(false);
    if config.is_sqlite() {
        options.map_sqlx_sqlite_opts(|sqlite| {
            sqlite
                .create_if_missing(true)
                .journal_mode(SqliteJournalMode::Wal)
                .synchronous(SqliteSynchronous::Full)
                .busy_timeout(Duration::from_secs(10))
                .foreign_keys(true)
        });
    } else {
        options.set_schema_search_path(schema);
    }
    options
}

/// Why a schema is not as the service needs it.
#[derive(Debug, thiserror::Error)]
pub enum SchemaError {
    /// `serve` refuses to start.
    #[error("the schema is behind by {0} migration(s); run the `migrate` command first")]
    Behind(usize),
    /// The store said no.
    #[error("the store cannot be used: {0}")]
    Store(#[from] DbErr),
}

/// Brings the schema up to date. Two at once are safe: one waits for the other under an advisory lock.
pub async fn migrate<M: MigratorTrait>(db: &Db, schema: &str) -> Result<(), SchemaError> {
    let tx = db.begin().await?;
    if db.backend() == DbBackend::Postgres {
        let lock = Statement::from_sql_and_values(
            DbBackend::Postgres,
            "SELECT pg_advisory_xact_lock(hashtext($1))",
            [format!("mercato-migrate-{schema}").into()],
        );
        tx.execute_raw(lock).await?;
        tx.execute_unprepared(&format!("CREATE SCHEMA IF NOT EXISTS \"{schema}\"")).await?;
    }
    M::up(&*tx, None).await?;
    tx.inner.commit().await?;
    Ok(())
}

/// Refuses a schema that is behind.
pub async fn require_current<M: MigratorTrait>(db: &Db) -> Result<(), SchemaError> {
    match M::get_pending_migrations_read_only(db.read()).await?.len() {
        0 => Ok(()),
        pending => Err(SchemaError::Behind(pending)),
    }
}

/// The store's own clock as SQL, Unix milliseconds: leases of several replicas are compared by one clock.
#[must_use]
pub fn now_ms_sql(backend: DbBackend) -> &'static str {
    match backend {
        DbBackend::Postgres => "(extract(epoch from clock_timestamp()) * 1000)::bigint",
        _ => "cast((julianday('now') - 2440587.5) * 86400000.0 as integer)",
    }
}

/// `FOR UPDATE SKIP LOCKED` where several replicas claim rows; SQLite's writer is alone anyway.
#[must_use]
pub fn skip_locked_sql(backend: DbBackend) -> &'static str {
    match backend {
        DbBackend::Postgres => "FOR UPDATE SKIP LOCKED",
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_store_that_is_shut_down_may_come_back_and_a_broken_rule_stays_broken() {
        for state in ["08006", "57P01", "57P02", "57P03", "53300", "40001", "40P01"] {
            assert!(state_may_pass(state), "{state}");
        }
        for state in ["23505", "42601", "22P02", "2067", "08"] {
            assert!(!state_may_pass(state), "{state}");
        }
    }
}
