//! Packages, built on the fly.

use std::io::{Cursor, Write as _};

use anyhow::Context as _;
use serde_json::{Map, Value, json};
use wire::manifest::Manifest;
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

    /// A hosted app that runs at this address and takes its callbacks there.
    #[must_use]
    pub fn hosted(marketplace_id: &str, url: &str) -> Self {
        let hosted = json!({ "installation_url": format!("{url}/callbacks") });
        Self::new(marketplace_id).field("entry", json!(format!("{url}/app"))).field("hosted", hosted)
    }

    /// The versions of the shop's API that a hosted app speaks.
    #[must_use]
    pub fn speaks_api(mut self, min_version: u32, max_version: u32) -> Self {
        let api = json!({ "min_version": min_version, "max_version": max_version });
        if let Some(Value::Object(hosted)) = self.manifest.get_mut("hosted") {
            hosted.insert("api".to_owned(), api);
        }
        self
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

    /// What it asks for.
    #[must_use]
    pub fn required_permissions(&self) -> Vec<&str> {
        let permissions = self.manifest.get("permissions").and_then(Value::as_array);
        permissions.into_iter().flatten().filter_map(Value::as_str).collect()
    }

    /// The manifest alone: all there is of a hosted app.
    pub fn manifest(&self) -> anyhow::Result<Vec<u8>> {
        Ok(serde_json::to_vec_pretty(&self.manifest)?)
    }

    /// The manifest as a vendor signs it (RFC 8785).
    pub fn canonical(&self) -> anyhow::Result<Vec<u8>> {
        let manifest = Manifest::from_json(&self.manifest()?).context("the manifest is wrong")?;
        Ok(manifest.canonical())
    }

    /// The ZIP.
    pub fn build(&self) -> anyhow::Result<Vec<u8>> {
        let mut archive = ZipWriter::new(Cursor::new(Vec::new()));
        let manifest = self.manifest()?;
        let files = self.files.iter().map(|(path, bytes)| (path.as_str(), bytes));
        for (path, bytes) in std::iter::once(("manifest.json", &manifest)).chain(files) {
            archive.start_file(path, SimpleFileOptions::default())?;
            archive.write_all(bytes)?;
        }
        Ok(archive.finish()?.into_inner())
    }
}
