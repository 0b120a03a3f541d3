//! The schema, step by step. A step that has been released is never changed.

mod m0001_create_instances;
mod m0002_create_licenses;
mod m0003_create_installations;
mod m0004_keep_hosted_releases;

use platform::{inbox::CreateInbox, outbox::CreateOutbox};
use sea_orm_migration::{MigrationTrait, MigratorTrait, async_trait::async_trait};

/// The migrations of the schema `license`.
pub struct Migrator;

#[async_trait]
impl MigratorTrait for Migrator {
    fn migrations() -> Vec<Box<dyn MigrationTrait>> {
        vec![
            Box::new(CreateOutbox),
            Box::new(CreateInbox),
            Box::new(m0001_create_instances::Migration),
            Box::new(m0002_create_licenses::Migration),
            Box::new(m0003_create_installations::Migration),
            Box::new(m0004_keep_hosted_releases::Migration),
        ]
    }
}
