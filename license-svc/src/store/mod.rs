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
use serde::{Serialize, de::DeserializeOwned};

/// A row that no code of ours can have written.
fn damaged(what: &str) -> DbErr {
    DbErr::Custom(format!("a row is damaged: {what}"))
}

fn to_json(value: &impl Serialize) -> Result<String, DbErr> {
    serde_json::to_string(value).map_err(|error| DbErr::Json(error.to_string()))
}

fn from_json<T: DeserializeOwned>(text: &str, what: &str) -> Result<T, DbErr> {
    serde_json::from_str(text).map_err(|_| damaged(what))
}
