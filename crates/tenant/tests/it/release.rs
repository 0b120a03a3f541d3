//! Releases of these tests: real bytes, real signatures.

use std::io::{Cursor, Write as _};

use serde_json::{Value, json};
use wire::{
    keys::SigningKey,
    manifest::Manifest,
    release::{self, ArtifactDigest},
};
use zip::{ZipWriter, write::SimpleFileOptions};

pub(crate) fn key(seed: u8) -> SigningKey {
    SigningKey::from_seed(&[seed; 32])
}

/// A release as the marketplace has it.
#[derive(Clone)]
pub(crate) struct Release {
    pub(crate) app: String,
    /// `plugin`, `static` or `hosted`.
    pub(crate) kind: &'static str,
    pub(crate) version: String,
    pub(crate) price: u32,
    pub(crate) permissions: Vec<String>,
    pub(crate) zip: Vec<u8>,
    /// What is served, where it is not the same.
    pub(crate) served: Option<Vec<u8>>,
    /// The manifest that the feed shows, where it is not the same.
    pub(crate) shown: Option<Value>,
    pub(crate) vendor: SigningKey,
    pub(crate) statement: SigningKey,
}

impl Release {
    pub(crate) fn new(app: &str, version: &str, price: u32) -> Self {
        let name = app.split('/').nth(1).unwrap();
        let mut release = Self {
            app: app.to_owned(),
            kind: "plugin",
            version: version.to_owned(),
            price,
            permissions: vec!["api:orders.read".to_owned()],
            zip: Vec::new(),
            served: None,
            shown: None,
            vendor: key(1),
            statement: key(2),
        };
        release.zip = zip_of(&[
            ("manifest.json", release.manifest().to_string().as_bytes()),
            ("index.js", format!("// {name} {version}").as_bytes()),
        ]);
        release
    }

    pub(crate) fn with_permissions(mut self, permissions: &[&str]) -> Self {
        self.permissions = permissions.iter().map(ToString::to_string).collect();
        let manifest = self.manifest_of_zip().to_string();
        self.zip = zip_of(&[("manifest.json", manifest.as_bytes()), ("index.js", b"x")]);
        self
    }

    pub(crate) fn of_kind(mut self, kind: &'static str) -> Self {
        self.kind = kind;
        self
    }

    pub(crate) fn manifest(&self) -> Value {
        let mut manifest = self.manifest_of_zip();
        if self.kind == "hosted" {
            manifest["hosted"] = json!({ "installation_url": "https://acme.example/callbacks" });
            manifest["entry"] = json!(format!("https://acme.example/{}", self.version));
        }
        manifest
    }

    fn manifest_of_zip(&self) -> Value {
        let name = self.app.split('/').nth(1).unwrap();
        json!({
            "id": name, "marketplace_id": self.app, "name": format!("App {name}"), "version": self.version,
            "type": "admin-extension", "carphacom_min_version": "1.0.0", "author": "Acme <Tools>",
            "description": "Does one thing well.\n\nAnd tells how.", "price_eur": self.price, "entry": "./index.js",
            "permissions": self.permissions,
        })
    }

    /// What vendor and marketplace sign: the ZIP, or a hosted app's manifest in its canonical form.
    fn signed_bytes(&self) -> Vec<u8> {
        match self.kind {
            "hosted" => Manifest::try_from(self.manifest()).unwrap().canonical(),
            _ => self.zip.clone(),
        }
    }

    pub(crate) fn sha256(&self) -> ArtifactDigest {
        ArtifactDigest::of(&self.signed_bytes())
    }

    pub(crate) fn signatures(&self) -> (Value, Value) {
        let (app, version) = (self.app.parse().unwrap(), self.version.parse().unwrap());
        let statement = release::sign_statement(&self.statement, &app, &version, &self.sha256());
        let signature = release::sign_artifact(&self.vendor, &self.signed_bytes());
        let vendor = json!({ "key_id": self.vendor.key_id(), "value": signature });
        (serde_json::to_value(statement).unwrap(), vendor)
    }

    pub(crate) fn product(&self) -> Value {
        let (signature, vendor_signature) = self.signatures();
        let mut product = json!({
            "id": "ccmp_01", "marketplace_id": self.app, "name": self.manifest()["name"], "type": "admin-extension",
            "kind": self.kind, "version": self.version, "price_eur": self.price, "manifest": self.manifest(),
            "download_url": format!("/store/marketplace/download/{}/{}", self.app, self.version),
            "sha256": self.sha256().to_string(), "published_at": "2026-11-02T08:00:00Z", "permissions": self.permissions,
            "signature": signature, "vendor_signature": vendor_signature,
        });
        if self.kind == "hosted" {
            product["download_url"] = Value::Null;
            product["sha256"] = Value::Null;
        }
        if let Some(shown) = &self.shown {
            product["manifest"] = shown.clone();
        }
        product
    }
}

pub(crate) fn zip_of(files: &[(&str, &[u8])]) -> Vec<u8> {
    let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
    for (path, content) in files {
        zip.start_file(*path, SimpleFileOptions::default()).unwrap();
        zip.write_all(content).unwrap();
    }
    zip.finish().unwrap().into_inner()
}
