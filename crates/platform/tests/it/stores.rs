//! Both stores, and what is true of them: migrations, the inbox, transactions.

use platform::{
    db::{self, DatabaseConfig, Db, SchemaError},
    inbox,
    secret::Secret,
};
use sea_orm::{ConnectionTrait as _, Statement};
use sea_orm_migration::{MigrationTrait, MigratorTrait};
use tempfile::TempDir;

pub(crate) const SCHEMA: &str = "example";

pub(crate) struct Migrator;

impl MigratorTrait for Migrator {
    fn migrations() -> Vec<Box<dyn MigrationTrait>> {
        vec![Box::new(platform::outbox::CreateOutbox), Box::new(inbox::CreateInbox)]
    }
}

/// An empty store of each kind.
pub(crate) async fn empty_stores() -> Vec<(DatabaseConfig, Option<TempDir>)> {
    let folder = tempfile::tempdir().unwrap();
    let sqlite = DatabaseConfig::sqlite(&folder.path().join("example.db"));
    let url = testkit::servers::test_env().fresh_database().await.unwrap();
    let postgres = DatabaseConfig { url: Secret::new(url), max_connections: 8 };
    vec![(sqlite, Some(folder)), (postgres, None)]
}

/// A migrated store of each kind.
pub(crate) async fn stores() -> Vec<(Db, Option<TempDir>)> {
    let mut stores = Vec::new();
    for (config, folder) in empty_stores().await {
        let db = Db::connect(&config, SCHEMA).await.unwrap();
        db::migrate::<Migrator>(&db, SCHEMA).await.unwrap();
        stores.push((db, folder));
    }
    stores
}

#[tokio::test]
async fn a_schema_that_is_behind_is_refused_and_one_that_is_migrated_is_not() {
    for (config, _folder) in empty_stores().await {
        let db = Db::connect(&config, SCHEMA).await.unwrap();
        let behind = db::require_current::<Migrator>(&db).await.unwrap_err();
        assert!(matches!(behind, SchemaError::Behind(2)), "{behind}");
        db::migrate::<Migrator>(&db, SCHEMA).await.unwrap();
        db::require_current::<Migrator>(&db).await.unwrap();
    }
}

#[tokio::test]
async fn migrations_that_start_at_once_do_not_race() {
    for (config, _folder) in empty_stores().await {
        let starts = (0..4).map(|_| {
            let config = config.clone();
            tokio::spawn(async move {
                let db = Db::connect(&config, SCHEMA).await.unwrap();
                db::migrate::<Migrator>(&db, SCHEMA).await
            })
        });
        for started in futures::future::join_all(starts).await {
            started.unwrap().unwrap();
        }
    }
}

#[tokio::test]
async fn of_many_deliveries_of_one_event_at_once_exactly_one_takes_effect() {
    for (db, _folder) in stores().await {
        let deliveries = (0..16).map(|_| {
            let db = db.clone();
            tokio::spawn(async move {
                let tx = db.begin().await.unwrap();
                let first = inbox::is_first(&*tx, "licences", "evt_1", 0).await.unwrap();
                tx.commit().await.unwrap();
                first
            })
        });
        let effects =
            futures::future::join_all(deliveries).await.into_iter().filter(|first| *first.as_ref().unwrap());
        assert_eq!(effects.count(), 1);
    }
}

#[tokio::test]
async fn an_effect_that_was_rolled_back_happens_when_the_event_comes_again() {
    for (db, _folder) in stores().await {
        let tx = db.begin().await.unwrap();
        assert!(inbox::is_first(&*tx, "licences", "evt_1", 0).await.unwrap());
        drop(tx);
        let tx = db.begin().await.unwrap();
        assert!(inbox::is_first(&*tx, "licences", "evt_1", 0).await.unwrap());
    }
}

#[tokio::test]
async fn two_consumers_each_take_the_same_event() {
    for (db, _folder) in stores().await {
        let tx = db.begin().await.unwrap();
        assert!(inbox::is_first(&*tx, "licences", "evt_1", 0).await.unwrap());
        assert!(inbox::is_first(&*tx, "mail", "evt_1", 0).await.unwrap());
        assert!(!inbox::is_first(&*tx, "mail", "evt_1", 0).await.unwrap());
    }
}

#[tokio::test]
async fn the_stores_clock_is_the_time_of_day_in_milliseconds() {
    for (db, _folder) in stores().await {
        let sql = format!("SELECT {} AS now", db::now_ms_sql(db.backend()));
        let row = db.read().query_one_raw(Statement::from_string(db.backend(), sql)).await.unwrap().unwrap();
        let now: i64 = row.try_get("", "now").unwrap();
        let here = platform::Clock::system().now_ms();
        assert!((here - now).abs() < 5_000, "{now} is not {here}");
    }
}
