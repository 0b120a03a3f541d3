//! Packages, built on the fly.

use std::io::{Cursor, Write as _};

use serde_json::{Map, Value, json};
use zip::{ZipWriter, write::SimpleFileOptions};

/// A package to be: a manifest and files, all of them right until a test makes one wrong.
#[derive(Debug, Clone)]
pub struct Package {
    manifest: Map<String, Value>,
    files: Vec<(String, Vec<u8>)>,
}

impl Package {
    /// A free admin extension `@vendor/name`, version 1.0.0.
    #[must_use]
    pub fn new(marketplace_id: &str) -> Self {
        let name = marketplace_id.rsplit('/').next().unwrap_or_default();
        let manifest = json!({
            "id": name,
            "marketplace_id": marketplace_id,
            "name": name.replace('-', " "),
            "version": "1.0.0",
            "type": "admin-extension",
            "carphacom_min_version": "1.0.0",
            "description": format!("What {name} does, told for people."),
            "author": "A vendor",
            "price_eur": 0,
            "entry": "./index.js",
        });
        let manifest = manifest.as_object().cloned().unwrap_or_default();
        Self { manifest, files: vec![("index.js".to_owned(), b"export default {};\n".to_vec())] }
    }

    /// Its version.
    #[must_use]
    pub fn version(self, version: &str) -> Self {
        self.field("version", json!(version))
    }

    /// Its price in cents.
    #[must_use]
    pub fn price_cents(self, cents: u32) -> Self {
        self.field("price_eur", json!(f64::from(cents) / 100.0))
    }

    /// Its type, such as `payment`.
    #[must_use]
    pub fn of_type(self, app_type: &str) -> Self {
        self.field("type", json!(app_type))
    }

    /// What it asks for, such as `api:orders.read`.
    #[must_use]
    pub fn permissions(self, permissions: &[&str]) -> Self {
        self.field("permissions", json!(permissions))
    }

    /// Any field of the manifest.
    #[must_use]
    pub fn field(mut self, name: &str, value: Value) -> Self {
        self.manifest.insert(name.to_owned(), value);
        self
    }

    /// The manifest without this field.
    #[must_use]
    pub fn without(mut self, name: &str) -> Self {
        self.manifest.remove(name);
        self
    }

    /// A further file.
    #[must_use]
    pub fn file(mut self, path: &str, bytes: impl Into<Vec<u8>>) -> Self {
        self.files.push((path.to_owned(), bytes.into()));
        self
    }

    /// `@vendor/name`.
    #[must_use]
    pub fn marketplace_id(&self) -> &str {
        self.manifest.get("marketplace_id").and_then(Value::as_str).unwrap_or_default()
    }

    /// The ZIP.
    pub fn build(&self) -> anyhow::Result<Vec<u8>> {
        let mut archive = ZipWriter::new(Cursor::new(Vec::new()));
        let manifest = serde_json::to_vec_pretty(&self.manifest)?;
        let files = self.files.iter().map(|(path, bytes)| (path.as_str(), bytes));
        for (path, bytes) in std::iter::once(("manifest.json", &manifest)).chain(files) {
            archive.start_file(path, SimpleFileOptions::default())?;
            archive.write_all(bytes)?;
        }
        Ok(archive.finish()?.into_inner())
    }
}
