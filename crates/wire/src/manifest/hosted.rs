//! What only the manifest of a hosted app says, under its key `hosted` (contracts.md section 8).

use serde::Serialize;
use serde_json::{Map, Value};

use super::MAX_URL;
use super::reader::Fields;

/// How the marketplace and the shops reach an app that runs on its vendor's servers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Hosted {
    /// Where the app takes its callbacks (contracts.md section 4).
    pub installation_url: String,
    /// Where its code is loaded from, if that is another address than `entry`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub code_url: Option<String>,
    /// The versions of the shop's API that it speaks; absent: any.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub api: Option<ApiRange>,
    /// Keys this version does not know: kept and shown, never fatal.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

/// A range of versions of the shop's API, both ends in it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ApiRange {
    /// The oldest version that will do.
    pub min_version: u32,
    /// The newest version that is known to work.
    pub max_version: u32,
    /// Keys this version does not know: kept and shown, never fatal.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

impl ApiRange {
    /// The versions from `min_version` to `max_version`.
    #[must_use]
    pub fn new(min_version: u32, max_version: u32) -> Self {
        Self { min_version, max_version, extra: Map::new() }
    }

    /// Whether there is a version that this app and a shop of `min_version` to `max_version` both speak.
    #[must_use]
    pub fn overlaps(&self, min_version: u32, max_version: u32) -> bool {
        self.min_version <= max_version && min_version <= self.max_version
    }
}

/// Reads every field before giving up, so that all problems are noted.
pub(super) fn read(fields: &mut Fields) -> Option<Hosted> {
    let installation_url = fields.endpoint("installation_url", MAX_URL);
    let code_url = fields.url("code_url", MAX_URL);
    let api = fields.nested("api", read_api);
    Some(Hosted { installation_url: installation_url?, code_url, api, extra: fields.take_rest() })
}

fn read_api(fields: &mut Fields) -> Option<ApiRange> {
    let min_version = fields.api_version("min_version");
    let max_version = fields.api_version("max_version");
    let (min_version, max_version) = (min_version?, max_version?);
    fields.keep_if(min_version <= max_version, "max_version", "must not be below `min_version`", ())?;
    Some(ApiRange { min_version, max_version, extra: fields.take_rest() })
}
