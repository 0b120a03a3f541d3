//! The dispatcher's schema.

mod m0001_create_deliveries;
mod m0002_add_callbacks;

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
        ]
    }
}
