//! ZIPs as vendors build them, and as nobody should.

use std::io::{Cursor, Write as _};

use serde_json::{Value, json};
use zip::{
    CompressionMethod,
    write::{SimpleFileOptions, ZipWriter},
};

pub(crate) const INSTALLATION_URL: &str = "https://app.acme.example/install";

/// A package in the making.
#[derive(Clone)]
pub(crate) struct Package {
    manifest: Value,
    files: Vec<(String, Vec<u8>)>,
}

impl Package {
    pub(crate) fn new(marketplace_id: &str, version: &str) -> Self {
        let (_, name) = marketplace_id.rsplit_once('/').unwrap();
        let manifest = json!({
            "id": name, "marketplace_id": marketplace_id, "name": format!("App {name}"), "version": version,
            "type": "admin-extension", "carphacom_min_version": "1.0.0", "description": "Does what it says",
            "author": "Acme", "price_eur": 19.99, "entry": "./index.js",
            "changelog_url": "https://acme.example/changes", "x_own_key": {"kept": true},
        });
        Self { manifest, files: vec![("index.js".into(), b"export default {}".to_vec())] }
    }

    /// One that runs on its vendor's servers.
    pub(crate) fn hosted(marketplace_id: &str, version: &str) -> Self {
        let hosted = json!({
            "installation_url": INSTALLATION_URL, "api": {"min_version": 1, "max_version": 3},
        });
        Self::new(marketplace_id, version).with("entry", "https://app.acme.example/").with("hosted", hosted)
    }

    /// The same with another address for its callbacks.
    pub(crate) fn installed_at(mut self, url: &str) -> Self {
        self.manifest["hosted"]["installation_url"] = url.into();
        self
    }

    pub(crate) fn with(mut self, field: &str, value: impl Into<Value>) -> Self {
        self.manifest[field] = value.into();
        self
    }

    pub(crate) fn file(mut self, path: &str, content: impl Into<Vec<u8>>) -> Self {
        self.files.push((path.to_owned(), content.into()));
        self
    }

    /// The manifest alone, as an author writes it.
    pub(crate) fn manifest(&self) -> Vec<u8> {
        serde_json::to_vec_pretty(&self.manifest).unwrap()
    }

    pub(crate) fn zip(&self) -> Vec<u8> {
        let manifest = ("manifest.json".to_owned(), self.manifest.to_string().into_bytes());
        zip_of(&[&[manifest], self.files.as_slice()].concat())
    }

    /// Without its manifest.
    pub(crate) fn zip_without_manifest(&self) -> Vec<u8> {
        zip_of(&self.files)
    }

    /// With a symbolic link beside the code.
    pub(crate) fn zip_with_link(&self) -> Vec<u8> {
        let mut zip = self.clone().file("link", "/etc/passwd").zip();
        // The upper half of the external attributes is the Unix mode: make it that of a link.
        let header = (0..zip.len() - 4).rev().find(|at| zip[*at..].starts_with(b"PK\x01\x02")).unwrap();
        zip[header + 38..header + 42].copy_from_slice(&(0o120_777_u32 << 16).to_le_bytes());
        zip
    }
}

fn zip_of(files: &[(String, Vec<u8>)]) -> Vec<u8> {
    let mut writer = ZipWriter::new(Cursor::new(Vec::new()));
    let options = SimpleFileOptions::default().compression_method(CompressionMethod::Deflated);
    for (path, content) in files {
        writer.start_file(path.as_str(), options).unwrap();
        writer.write_all(content).unwrap();
    }
    writer.finish().unwrap().into_inner()
}

/// The same ZIP with an entry renamed in both of its headers, to what no honest tool would write.
pub(crate) fn renamed(mut zip: Vec<u8>, from: &str, to: &str) -> Vec<u8> {
    assert_eq!(from.len(), to.len());
    let places: Vec<_> =
        (0..=zip.len() - from.len()).filter(|at| zip[*at..].starts_with(from.as_bytes())).collect();
    assert_eq!(places.len(), 2, "the local and the central header");
    for at in places {
        zip[at..at + to.len()].copy_from_slice(to.as_bytes());
    }
    zip
}
