//! What an earlier version of the service has left.

use catalog_svc::{Migrator, domain::Kind, store};
use platform::{
    db::{self, DatabaseConfig, Db},
    secret::Secret,
};
use sea_orm::ConnectionTrait as _;
use sea_orm_migration::{MigrationTrait, MigratorTrait};
use tempfile::TempDir;
use testkit::servers::test_env;

const SCHEMA: &str = "catalog";

/// The schema before there were hosted apps: the outbox and `m0001`.
struct Before;

impl MigratorTrait for Before {
    fn migrations() -> Vec<Box<dyn MigrationTrait>> {
        Migrator::migrations().into_iter().take(2).collect()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_app_takes_the_kind_of_its_newest_release_on_sqlite() {
    let data = TempDir::new().unwrap();
    apps_take_their_kinds(&DatabaseConfig::sqlite(&data.path().join("catalog.db"))).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_app_takes_the_kind_of_its_newest_release_on_postgresql() {
    let url = Secret::new(test_env().fresh_database().await.unwrap());
    apps_take_their_kinds(&DatabaseConfig { url, max_connections: 4 }).await;
}

async fn apps_take_their_kinds(database: &DatabaseConfig) {
    let db = Db::connect(database, SCHEMA).await.unwrap();
    db::migrate::<Before>(&db, SCHEMA).await.unwrap();
    for statement in left_behind() {
        db.write().execute_unprepared(&statement).await.unwrap();
    }
    db::migrate::<Migrator>(&db, SCHEMA).await.unwrap();
    for (name, kind) in [("@acme/tool", Kind::Plugin), ("@acme/page", Kind::Static)] {
        let product = store::find_product(db.read(), &name.parse().unwrap()).await.unwrap().unwrap();
        assert_eq!((product.known.kind, product.endpoint_revision), (kind, 0), "{name}");
    }
    let page = store::list_products(db.read(), Some(&["@acme/page".to_owned()])).await.unwrap();
    let kinds: Vec<Kind> = page[0].releases().iter().map(catalog_svc::domain::Release::kind).collect();
    assert_eq!(kinds, [Kind::Static, Kind::Plugin], "what is published stays as it was");
}

/// A vendor, a plugin, and an app that was published as a plugin first and as a static app then.
fn left_behind() -> Vec<String> {
    let mut rows = vec![
        "INSERT INTO vendors (id, name, display_name, secret_hash, created_at_ms) \
         VALUES ('vnd_1', 'acme', 'Acme', 'hash', 1)"
            .to_owned(),
    ];
    for name in ["tool", "page"] {
        rows.push(format!(
            "INSERT INTO products (id, marketplace_id, vendor_id, app_type, created_at_ms) \
             VALUES ('ccmp_{name}', '@acme/{name}', 'vnd_1', 'marketing', 1)"
        ));
    }
    rows.extend([release("tool", "1.0.0", "plugin", 1), release("page", "1.0.0", "plugin", 2)]);
    rows.push(release("page", "1.1.0", "static", 3));
    rows
}

fn release(name: &str, version: &str, kind: &str, published_at_ms: i64) -> String {
    let manifest = serde_json::json!({
        "id": name, "marketplace_id": format!("@acme/{name}"), "name": name, "version": version,
        "type": "marketing", "carphacom_min_version": "1.0.0", "description": "It works", "author": "Acme",
        "price_eur": 0, "entry": "index.js",
    });
    let sha256 = "0".repeat(64);
    format!(
        "INSERT INTO releases (id, product_id, version, kind, state, manifest, sha256, size, security, key_id, \
         signature, vendor_key_id, vendor_signature, published_at_ms) VALUES ('rel_{name}_{version}', \
         'ccmp_{name}', '{version}', '{kind}', 'published', '{manifest}', '{sha256}', 1, FALSE, 'k', 's', 'k', \
         's', {published_at_ms})"
    )
}
