//! The schema, step by step.

mod m0001_create_catalog;
mod m0002_host_apps;

use platform::outbox::CreateOutbox;
use sea_orm_migration::{MigrationTrait, MigratorTrait};

/// Brings the service's schema up to date.
pub struct Migrator;

impl MigratorTrait for Migrator {
    fn migrations() -> Vec<Box<dyn MigrationTrait>> {
        vec![
            Box::new(CreateOutbox),
            Box::new(m0001_create_catalog::CreateCatalog),
            Box::new(m0002_host_apps::HostApps),
        ]
    }
}
