//! The dispatcher's schema.

mod m0001_create_deliveries;
mod m0002_add_callbacks;
mod m0003_speed;
mod m0004_endpoints;
mod m0005_replay;
mod m0006_verification;

use sea_orm_migration::{MigrationTrait, MigratorTrait};

/// Brings the schema `webhooks` up to date.
pub struct Migrator;

impl MigratorTrait for Migrator {
    fn migrations() -> Vec<Box<dyn MigrationTrait>> {
        vec![
            Box::new(platform::outbox::CreateOutbox),
            Box::new(platform::inbox::CreateInbox),
            Box::new(m0001_create_deliveries::Migration),
            Box::new(m0002_add_callbacks::Migration),
            Box::new(m0003_speed::Migration),
            Box::new(m0004_endpoints::Migration),
            Box::new(m0005_replay::Migration),
            Box::new(m0006_verification::Migration),
        ]
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]

    use platform::{
        db::{DatabaseConfig, Db},
        secret::Secret,
    };
    use sea_orm::{ConnectionTrait as _, DbBackend, EntityTrait as _};

    use super::*;
    use crate::{
        domain::{endpoint::Owner, kind::Kind, settings::Subscription, verification::Verification},
        store::{delivery, endpoint},
    };

    /// What a dispatcher that knew no callbacks has stored, or stores while it is being replaced, is found again.
    async fn keeps_what_is_there(database: DatabaseConfig) {
        let db = Db::connect(&database, "webhooks").await.unwrap();
        let store = db.write();
        if db.backend() == DbBackend::Postgres {
            store.execute_unprepared("CREATE SCHEMA webhooks").await.unwrap();
        }
        Migrator::up(store, Some(3)).await.unwrap();
        let disabled = if db.backend() == DbBackend::Postgres { "false" } else { "0" };
        let old = format!(
            "INSERT INTO endpoints VALUES ('ep_1', 'inst_1', 'https://shop.example', '', 7, {disabled}, 'gone', 5, 1, 2)"
        );
        store.execute_unprepared(&old).await.unwrap();
        let old = "INSERT INTO deliveries VALUES \
                   ('dly_1', 'msg_1', 'ep_1', 'inst_1', 'license-issued', 'held', 2, 3, 2, 9, 0, 4, NULL, 1, NULL)";
        store.execute_unprepared(old).await.unwrap();
        Migrator::up(store, None).await.unwrap();

        let old = format!(
            "INSERT INTO endpoints (id, instance_id, base_url, sealed_secrets, revision, tenant_disabled, \
             throttled_until_ms, created_at_ms, updated_at_ms) \
             VALUES ('ep_3', 'inst_3', 'https://other.example', '', 1, {disabled}, 0, 1, 1)"
        );
        store.execute_unprepared(&old).await.expect("a replica that knows no kind goes on adding endpoints");

        let owner = Owner::Instance("inst_3".to_owned());
        let endpoint = endpoint::find_by_owner(store, &owner).await.unwrap().unwrap();
        assert_eq!((endpoint.kind.as_str(), endpoint.owner()), ("webhook", owner));
        assert_eq!(endpoint.subscription(), Subscription::default());
        assert_eq!(endpoint.health().verification, Verification::NotAwaited, "it is told as before");
        let owner = Owner::Instance("inst_1".to_owned());
        let endpoint = endpoint::find_by_owner(store, &owner).await.unwrap().unwrap();
        assert_eq!(
            (endpoint.kind.as_str(), endpoint.revision, endpoint.throttled_until_ms),
            ("webhook", 7, 5)
        );
        assert_eq!(endpoint.disabled_reason.as_deref(), Some("gone"));
        let delivery = delivery::find(store, "dly_1").await.unwrap().unwrap();
        assert_eq!(
            (delivery.kind(), delivery.kind.as_str(), delivery.place()),
            (Kind::Webhook, "webhook", None)
        );
        assert_eq!((delivery.attempts, delivery.lease_token, delivery.held_since_ms), (2, 3, Some(4)));
        let twice = endpoint::Model { id: "ep_2".to_owned(), ..endpoint };
        assert!(endpoint::create(store, twice).await.is_err(), "one endpoint for each instance");
        assert_eq!(endpoint::Entity::find().all(store).await.unwrap().len(), 2);
    }

    #[tokio::test]
    async fn a_sqlite_store_keeps_what_is_there() {
        let folder = tempfile::tempdir().unwrap();
        keeps_what_is_there(DatabaseConfig::sqlite(&folder.path().join("webhooks.db"))).await;
    }

    #[tokio::test]
    async fn a_postgres_store_keeps_what_is_there() {
        let url = Secret::new(testkit::servers::test_env().fresh_database().await.unwrap());
        keeps_what_is_there(DatabaseConfig { url, max_connections: 2 }).await;
    }
}
