//! The manifest, `manifest.json` at the root of a plugin's ZIP, or by itself for a hosted app (contracts.md section 8).
//!
//! A [`Manifest`] is always a valid one. What is wrong with one that is not is told all at once, for its author to mend
//! in one go.

mod hosted;
mod reader;
mod types;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use thiserror::Error;

pub use hosted::{ApiRange, Hosted};
use reader::Fields;
pub use types::{AppType, MarketplaceId, ParseAppTypeError, ParseMarketplaceIdError, Price};

/// A manifest is read whole into memory; real ones have a few kilobytes.
pub const MAX_BYTES: usize = 256 * 1024;

const MAX_NAME: usize = 120;
const MAX_DESCRIPTION: usize = 10_000;
const MAX_URL: usize = 2_000;
const MAX_PATH: usize = 500;
const MAX_TEXT: usize = 500;
const MAX_LIST: usize = 100;

/// What a vendor says about an app, valid (contracts.md section 8).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Value")]
pub struct Manifest {
    /// The app's short name, lower case and hyphens.
    pub id: String,
    /// `@vendor/name`
    pub marketplace_id: MarketplaceId,
    /// The name people see.
    pub name: String,
    /// The release's semantic version.
    pub version: semver::Version,
    /// What the app is for.
    #[serde(rename = "type")]
    pub app_type: AppType,
    /// The oldest platform it runs on.
    pub carphacom_min_version: semver::Version,
    /// What it does.
    pub description: String,
    /// Who wrote it.
    pub author: String,
    /// 0 for a free app.
    pub price_eur: Price,
    /// The file that the platform loads, a path inside the ZIP as the vendor wrote it; see [`Manifest::entry_path`].
    /// For a hosted app its address, a whole URL.
    pub entry: String,
    /// The author's site.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub author_url: Option<String>,
    /// The icon.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub icon_url: Option<String>,
    /// Pictures for the listing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub screenshots: Option<Vec<String>>,
    /// Whether the app brings database migrations.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub migrations: Option<bool>,
    /// Whether the shop restarts its backend after installing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub auto_restart: Option<bool>,
    /// The settings that the shop's administrator fills in, by field.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub config_schema: Option<Map<String, Value>>,
    /// Entries of the shop's admin menu, each with `label` and `path`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub menu_items: Option<Vec<Map<String, Value>>>,
    /// The Medusa provider to register, with `module`, `resolve` and `id`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub medusa_provider: Option<Map<String, Value>>,
    /// What the app may do in the shop, such as `api:orders.read`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub permissions: Option<Vec<String>>,
    /// Words to find it by.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub keywords: Option<Vec<String>>,
    /// Where its changes are told.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub changelog_url: Option<String>,
    /// How a hosted app is reached. An app is hosted if and only if its manifest has this.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hosted: Option<Hosted>,
    /// Keys this version does not know: kept and shown, never fatal.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

impl Manifest {
    /// Reads and checks the bytes of a `manifest.json` (contracts.md section 8).
    pub fn from_json(bytes: &[u8]) -> Result<Self, ManifestError> {
        if bytes.len() > MAX_BYTES {
            return Err(ManifestError::TooLarge);
        }
        // Editors on Windows put a byte order mark before the text.
        let text = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
        let value: Value = serde_json::from_slice(text)
            .map_err(|e| ManifestError::NotJson { line: e.line(), column: e.column() })?;
        Self::try_from(value)
    }

    /// `entry` as a path of the ZIP: without the `./` that Node's way of writing puts before it.
    #[must_use]
    pub fn entry_path(&self) -> &str {
        self.entry.strip_prefix("./").unwrap_or(&self.entry)
    }

    /// The one way to write this manifest, RFC 8785: the vendor of a hosted app signs these bytes, and their SHA-256
    /// stands in the release statement (contracts.md section 8).
    ///
    /// They are those of the vendor's own file in that form. Only an optional field that is `null` is left out.
    #[must_use]
    pub fn canonical(&self) -> Vec<u8> {
        canonical(self)
    }

    /// The permissions, none if the manifest names none.
    #[must_use]
    pub fn permissions(&self) -> &[String] {
        self.permissions.as_deref().unwrap_or_default()
    }
}

impl TryFrom<Value> for Manifest {
    type Error = ManifestError;

    fn try_from(value: Value) -> Result<Self, Self::Error> {
        let Value::Object(map) = value else {
            return Err(ManifestError::NotAnObject);
        };
        let mut fields = Fields::new(map);
        let manifest = read(&mut fields);
        let problems = fields.into_problems();
        match manifest {
            Some(manifest) if problems.is_empty() => Ok(manifest),
            _ => Err(ManifestError::Invalid(Problems(problems))),
        }
    }
}

/// Reads every field before giving up, so that all problems are noted.
fn read(fields: &mut Fields) -> Option<Manifest> {
    let id = fields.slug("id");
    let marketplace_id = fields.parsed("marketplace_id");
    let name = fields.text("name", MAX_NAME);
    let version = fields.version("version");
    let app_type = fields.parsed("type");
    let carphacom_min_version = fields.version("carphacom_min_version");
    let description = fields.text("description", MAX_DESCRIPTION);
    let author = fields.text("author", MAX_NAME);
    let price_eur = fields.price("price_eur");
    let is_hosted = fields.has("hosted");
    let entry = if is_hosted { fields.address("entry", MAX_URL) } else { fields.path("entry", MAX_PATH) };
    let optional = read_optional(fields);
    Some(Manifest {
        id: id?,
        marketplace_id: marketplace_id?,
        name: name?,
        version: version?,
        app_type: app_type?,
        carphacom_min_version: carphacom_min_version?,
        description: description?,
        author: author?,
        price_eur: price_eur?,
        entry: entry?,
        author_url: optional.author_url,
        icon_url: optional.icon_url,
        screenshots: optional.screenshots,
        migrations: optional.migrations,
        auto_restart: optional.auto_restart,
        config_schema: optional.config_schema,
        menu_items: optional.menu_items,
        medusa_provider: optional.medusa_provider,
        permissions: optional.permissions,
        keywords: optional.keywords,
        changelog_url: optional.changelog_url,
        hosted: optional.hosted,
        extra: fields.take_rest(),
    })
}

#[expect(clippy::expect_used, reason = "JSON that was read holds no number that can't be written")]
fn canonical(manifest: &Manifest) -> Vec<u8> {
    serde_json_canonicalizer::to_vec(manifest).expect("JSON that was read")
}

struct Optional {
    author_url: Option<String>,
    icon_url: Option<String>,
    screenshots: Option<Vec<String>>,
    migrations: Option<bool>,
    auto_restart: Option<bool>,
    config_schema: Option<Map<String, Value>>,
    menu_items: Option<Vec<Map<String, Value>>>,
    medusa_provider: Option<Map<String, Value>>,
    permissions: Option<Vec<String>>,
    keywords: Option<Vec<String>>,
    changelog_url: Option<String>,
    hosted: Option<Hosted>,
}

fn read_optional(fields: &mut Fields) -> Optional {
    Optional {
        author_url: fields.url("author_url", MAX_URL),
        icon_url: fields.url("icon_url", MAX_URL),
        screenshots: fields.urls("screenshots", MAX_LIST, MAX_URL),
        migrations: fields.flag("migrations"),
        auto_restart: fields.flag("auto_restart"),
        config_schema: fields.config_schema("config_schema", MAX_LIST, MAX_TEXT),
        menu_items: fields.menu_items("menu_items", MAX_LIST, MAX_TEXT),
        medusa_provider: fields.provider("medusa_provider", MAX_TEXT),
        permissions: fields.permissions("permissions", MAX_LIST),
        keywords: fields.texts("keywords", MAX_LIST, MAX_NAME),
        changelog_url: fields.url("changelog_url", MAX_URL),
        hosted: fields.nested("hosted", hosted::read),
    }
}

/// Why bytes are no valid manifest.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ManifestError {
    /// It is longer than [`MAX_BYTES`].
    #[error("manifest.json is too large; it may have at most 256 KiB")]
    TooLarge,
    /// It is no JSON.
    #[error("manifest.json is not valid JSON; look at line {line}, column {column}")]
    NotJson {
        /// Where reading stopped, from 1.
        line: usize,
        /// Where in that line.
        column: usize,
    },
    /// It is JSON, but no object.
    #[error("manifest.json must be a JSON object, {{…}}")]
    NotAnObject,
    /// Fields are missing or wrong.
    #[error("manifest.json is not valid: {0}")]
    Invalid(Problems),
}

impl ManifestError {
    /// The fields that are wrong, if the manifest could be read at all.
    #[must_use]
    pub fn problems(&self) -> &[Problem] {
        match self {
            Self::Invalid(problems) => &problems.0,
            _ => &[],
        }
    }
}

/// Everything that is wrong with a manifest; never empty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problems(Vec<Problem>);

impl std::fmt::Display for Problems {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for (at, problem) in self.0.iter().enumerate() {
            let separator = if at == 0 { "" } else { "; " };
            write!(f, "{separator}{problem}")?;
        }
        Ok(())
    }
}

/// One thing that is wrong, and what would be right.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Problem {
    /// The field, such as `version` or `screenshots[2]`.
    pub field: String,
    /// What is wrong and what would be right; never the value itself.
    pub message: String,
}

impl std::fmt::Display for Problem {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "`{}` {}", self.field, self.message)
    }
}

#[cfg(test)]
mod tests;
