//! Rows: entities, queries over a connection or a transaction, migrations.
#![expect(unreachable_pub, reason = "what the entity derives make is public")]

pub(crate) mod installations;
pub(crate) mod instances;
pub(crate) mod keys;
pub(crate) mod licenses;
pub(crate) mod migrations;
pub(crate) mod releases;
pub(crate) mod seats;
pub(crate) mod webhook_secrets;

use sea_orm::DbErr;

/// A row that no code of ours can have written.
fn damaged(what: &str) -> DbErr {
    DbErr::Custom(format!("a row is damaged: {what}"))
}
