//! A store that is away while shops are told from memory.

use std::time::Duration;

use platform::db::Db;
use sea_orm::{ConnectionTrait as _, Database, DbBackend, Statement};
use webhook_dispatcher::config::DeliveryConfig;

use crate::harness::{Dispatcher, On, WAIT};

/// The shortest lease that an attempt of a second allows.
const LEASE: Duration = Duration::from_secs(7);

/// What a seeded run of faults led to: results were given up after a lease, although the attempts had been made and
/// nobody else could have written anything meanwhile; each was then made again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_told_while_the_store_was_away_for_longer_than_a_lease_is_not_told_again() {
    let delivery = DeliveryConfig {
        timeout_seconds: 1,
        lease_seconds: LEASE.as_secs(),
        allow_cidrs: vec!["127.0.0.0/8".parse().unwrap()],
        ..DeliveryConfig::default()
    };
    let dispatcher = Dispatcher::start_with(On::Servers, delivery).await;
    let shop = dispatcher.shop("inst_1").await;
    let database = name_of(&dispatcher.db).await;
    close(&database).await;
    dispatcher.issue("inst_1").await;
    shop.receiver.wait_for_count(1, WAIT).await.unwrap();
    // The outage has to last for longer than a lease, which is real time.
    tokio::time::sleep(LEASE + Duration::from_secs(1)).await;
    administer(&format!("ALTER DATABASE {database} ALLOW_CONNECTIONS true")).await;

    let written = async || {
        let asked = "SELECT state, attempts FROM deliveries".to_owned();
        let row = dispatcher.db.read().query_one_raw(Statement::from_string(DbBackend::Postgres, asked));
        let row = row.await.ok()??;
        Some((row.try_get_by_index::<String>(0).unwrap(), row.try_get_by_index::<i64>(1).unwrap()))
    };
    let delivery = testkit::eventually("the delivery", WAIT, written).await.unwrap();
    assert_eq!(delivery, ("delivered".to_owned(), 1));
    assert_eq!(shop.receiver.requests().len(), 1);
}

async fn name_of(db: &Db) -> String {
    let asked = Statement::from_string(DbBackend::Postgres, "SELECT current_database()::text");
    db.read().query_one_raw(asked).await.unwrap().unwrap().try_get_by_index(0).unwrap()
}

/// Takes no connection to this database any more, and ends those that are open.
async fn close(database: &str) {
    administer(&format!("ALTER DATABASE {database} ALLOW_CONNECTIONS false")).await;
    let end = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname =";
    administer(&format!("{end} '{database}'")).await;
}

async fn administer(statement: &str) {
    let administrator = Database::connect(testkit::servers::test_env().database_url).await.unwrap();
    administrator.execute_unprepared(statement).await.unwrap();
}
