//! The apps of the demo: sources in `assets/apps`, made into ZIPs and signed by their vendors here.

use std::io::{Cursor, Write as _};

use wire::{keys::SigningKey, release};
use zip::{ZipWriter, write::SimpleFileOptions};

/// A vendor of the demo.
#[derive(Debug, Clone, Copy)]
pub(super) struct Vendor {
    pub(super) name: &'static str,
    pub(super) display_name: &'static str,
}

/// Those who publish the samples.
pub(super) const VENDORS: [Vendor; 2] = [Vendor { name: "carphacom", display_name: "CarphaCom" }, ATELIER];

/// The one that also has an app on a server of its own.
pub(super) const ATELIER: Vendor = Vendor { name: "atelier", display_name: "Atelier" };

/// One version of a sample.
#[derive(Debug, Clone, Copy)]
pub(super) struct Sample {
    pub(super) vendor: &'static str,
    pub(super) version: &'static str,
    pub(super) kind: &'static str,
    pub(super) security: bool,
    files: &'static [(&'static str, &'static str)],
}

/// A sample as its vendor hands it in.
pub(super) struct SignedZip {
    pub(super) bytes: Vec<u8>,
    pub(super) signature: String,
}

macro_rules! files {
    ($($name:literal from $path:literal),+ $(,)?) => {
        &[$(($name, include_str!(concat!("../../assets/apps/", $path)))),+]
    };
}

/// A first version of a free app, which the demo's shop starts with: so that there is an update to see.
pub(super) const INSTALLED: (&str, &str) = ("@carphacom/seo-essentials", "1.0.0");

/// What is published before the shop is fitted out.
pub(super) const FIRST: [Sample; 8] = [
    Sample {
        vendor: "carphacom",
        version: "1.0.0",
        kind: "static",
        security: false,
        files: files!(
            "manifest.json" from "seo-essentials/manifest.json",
            "index.html" from "seo-essentials/index.html",
            "app.js" from "seo-essentials/1.0.0/app.js",
            "README.md" from "seo-essentials/1.0.0/README.md",
        ),
    },
    Sample {
        vendor: "carphacom",
        version: "1.0.2",
        kind: "plugin",
        security: false,
        files: files!(
            "manifest.json" from "bank-transfer/manifest.json",
            "index.js" from "bank-transfer/index.js",
            "README.md" from "bank-transfer/README.md",
        ),
    },
    Sample {
        vendor: "atelier",
        version: "1.4.0",
        kind: "plugin",
        security: false,
        files: files!(
            "manifest.json" from "parcel-labels/manifest.json",
            "index.html" from "parcel-labels/index.html",
            "app.js" from "parcel-labels/1.4.0/app.js",
            "README.md" from "parcel-labels/1.4.0/README.md",
        ),
    },
    Sample {
        vendor: "atelier",
        version: "2.0.0",
        kind: "plugin",
        security: false,
        files: files!(
            "manifest.json" from "punchout/manifest.json",
            "index.js" from "punchout/index.js",
            "README.md" from "punchout/README.md",
        ),
    },
    Sample {
        vendor: "carphacom",
        version: "1.3.0",
        kind: "static",
        security: false,
        files: files!(
            "manifest.json" from "linen/manifest.json",
            "index.html" from "linen/index.html",
            "linen.css" from "linen/linen.css",
            "README.md" from "linen/README.md",
        ),
    },
    Sample {
        vendor: "atelier",
        version: "1.2.0",
        kind: "plugin",
        security: false,
        files: files!(
            "manifest.json" from "abandoned-cart/manifest.json",
            "index.js" from "abandoned-cart/index.js",
            "README.md" from "abandoned-cart/README.md",
        ),
    },
    Sample {
        vendor: "carphacom",
        version: "0.9.1",
        kind: "plugin",
        security: false,
        files: files!(
            "manifest.json" from "stock-watch/manifest.json",
            "index.html" from "stock-watch/index.html",
            "app.js" from "stock-watch/app.js",
            "README.md" from "stock-watch/README.md",
        ),
    },
    Sample {
        vendor: "carphacom",
        version: "1.0.0",
        kind: "static",
        security: false,
        files: files!(
            "manifest.json" from "size-chart/manifest.json",
            "index.html" from "size-chart/index.html",
            "app.js" from "size-chart/app.js",
            "README.md" from "size-chart/README.md",
        ),
    },
];

/// What is published after it.
pub(super) const THEN: [Sample; 2] = [
    Sample {
        vendor: "carphacom",
        version: "1.1.0",
        kind: "static",
        security: false,
        files: files!(
            "manifest.json" from "seo-essentials/manifest.json",
            "index.html" from "seo-essentials/index.html",
            "app.js" from "seo-essentials/1.1.0/app.js",
            "README.md" from "seo-essentials/1.1.0/README.md",
        ),
    },
    Sample {
        vendor: "atelier",
        version: "1.4.1",
        kind: "plugin",
        security: true,
        files: files!(
            "manifest.json" from "parcel-labels/manifest.json",
            "index.html" from "parcel-labels/index.html",
            "app.js" from "parcel-labels/1.4.1/app.js",
            "README.md" from "parcel-labels/1.4.1/README.md",
        ),
    },
];

impl Sample {
    /// The ZIP, the same bytes each time, with its vendor's signature.
    pub(super) fn sign(&self, key: &SigningKey) -> anyhow::Result<SignedZip> {
        let bytes = self.zip()?;
        let signature = release::sign_artifact(key, &bytes);
        Ok(SignedZip { bytes, signature })
    }

    fn zip(&self) -> anyhow::Result<Vec<u8>> {
        let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
        for (name, text) in self.files {
            zip.start_file(*name, SimpleFileOptions::default())?;
            zip.write_all(text.replace("{{version}}", self.version).as_bytes())?;
        }
        Ok(zip.finish()?.into_inner())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use wire::{
        manifest::AppType,
        package::{Limits, inspect},
    };

    use super::*;

    fn all() -> impl Iterator<Item = Sample> {
        FIRST.into_iter().chain(THEN)
    }

    #[test]
    fn each_sample_is_a_package_that_its_vendor_signed() {
        let key = SigningKey::from_seed(&[7; 32]);
        for sample in all() {
            let signed = sample.sign(&key).unwrap();
            let package = inspect(&signed.bytes, &Limits::default()).unwrap();
            let manifest = package.manifest();
            assert_eq!(manifest.version.to_string(), sample.version);
            assert_eq!(manifest.marketplace_id.vendor(), sample.vendor);
            assert!(VENDORS.iter().any(|vendor| vendor.name == sample.vendor));
            assert!(package.entries().iter().any(|entry| entry.path == "README.md"));
            assert_eq!(signed.bytes, sample.sign(&key).unwrap().bytes, "the same ZIP each time");
        }
    }

    #[test]
    fn the_catalogue_has_every_type_free_and_paid_apps_and_updates() {
        let (mut types, mut versions, mut free) = (BTreeSet::new(), BTreeMap::<String, usize>::new(), 0);
        for sample in all() {
            let bytes = sample.zip().unwrap();
            let package = inspect(&bytes, &Limits::default()).unwrap();
            let manifest = package.manifest();
            types.insert(manifest.app_type);
            *versions.entry(manifest.marketplace_id.to_string()).or_default() += 1;
            free += usize::from(manifest.price_eur.is_free());
        }
        assert_eq!(types, AppType::ALL.into_iter().collect());
        assert_eq!((versions.len(), versions.values().filter(|count| **count == 2).count()), (8, 2));
        assert_eq!(free, 4, "two versions of one, one of two others");
        assert!(all().any(|sample| sample.security));
        assert!(versions.contains_key(INSTALLED.0));
    }
}
