//! What the operator calls, under `/admin`.

pub(super) mod apps;
pub(super) mod attempts;
pub(super) mod deliveries;
pub(super) mod endpoints;
pub(super) mod installations;
pub(super) mod instances;
pub(super) mod licenses;
pub(super) mod messages;
pub(super) mod orders;
pub(super) mod releases;
pub(super) mod replays;
mod stretch;
pub(super) mod vendors;

use platform::{AppError, AppResult, ids};
use serde::Deserialize;
use utoipa::{IntoParams, ToSchema};

use crate::domain::page::{Page, Paging};

/// A stretch of a collection.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct PageQuery {
    /// From 1 to 100; 20 when nothing is said.
    limit: Option<u32>,
    offset: Option<u32>,
}

impl PageQuery {
    pub(super) fn page(&self) -> AppResult<Page> {
        page(self.limit, self.offset)
    }
}

pub(super) fn page(limit: Option<u32>, offset: Option<u32>) -> AppResult<Page> {
    Page::parse(Paging { limit, offset, ..Paging::default() })
}

/// Why something is done.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Reason {
    /// For whoever asks later; at most 500 characters.
    reason: String,
}

impl Reason {
    fn check(self) -> AppResult<String> {
        match self.reason.trim() {
            "" => Err(AppError::invalid("reason must say why, in a few words")),
            reason if reason.chars().count() > 500 => {
                Err(AppError::invalid("reason must have at most 500 characters"))
            }
            reason => Ok(reason.to_owned()),
        }
    }
}

pub(super) fn require_id(id: String, prefix: &str) -> AppResult<String> {
    if ids::is_id(&id, prefix) {
        return Ok(id);
    }
    Err(AppError::invalid(format!("the id in the path must have the form {prefix}_…")))
}
