//! Packages: ZIPs with a manifest.

use std::{
    collections::HashSet,
    io::{Cursor, Read as _, Write as _},
};

use wire::{
    manifest::Manifest,
    package::{Limits, Package, inspect, is_clean_path},
};
use zip::{CompressionMethod, ZipWriter, write::SimpleFileOptions};

/// Small enough that a package beyond them is found in a moment.
const LIMITS: Limits = Limits { archive_bytes: 64 * 1024, entries: 50, total_bytes: 256 * 1024, ratio: 200 };

const MANIFEST: &[u8] = br#"{"id":"seo-essentials","marketplace_id":"@carphacom/seo-essentials",
"name":"SEO Essentials","version":"1.0.0","type":"admin-extension","carphacom_min_version":"1.0.0",
"description":"Titles and sitemaps.","author":"CarphaCom","price_eur":0,"entry":"./index.js"}"#;

/// The bytes of a ZIP.
///
/// What is taken stays within the limits, has only paths that stay in their folder, and reads as it says.
pub fn package(input: &[u8]) {
    let Ok(mut package) = inspect(input, &LIMITS) else { return };
    assert!(input.len() as u64 <= LIMITS.archive_bytes);
    assert!(package.entries().len() <= LIMITS.entries && package.total_size() <= LIMITS.total_bytes);
    paths_are_safe(&package);
    reads_as_it_says(&mut package);
    let manifest = package.read_entry("manifest.json").expect("the manifest");
    assert_eq!(Manifest::from_json(&manifest).as_ref(), Ok(package.manifest()));
}

fn paths_are_safe(package: &Package<'_>) {
    let mut met = HashSet::new();
    for entry in package.entries() {
        assert!(is_clean_path(&entry.path));
        let mut parts = std::path::Path::new(&entry.path).components();
        assert!(parts.all(|part| matches!(part, std::path::Component::Normal(_))), "leaves its folder");
        assert!(met.insert(entry.path.to_lowercase()), "two files of one path");
    }
    assert!(met.contains(&package.manifest().entry_path().to_lowercase()));
}

fn reads_as_it_says(package: &mut Package<'_>) {
    let entries = package.entries().to_vec();
    for entry in &entries {
        assert_eq!(package.read_entry(&entry.path).expect("a file").len() as u64, entry.size);
    }
    let mut read = 0;
    let counted = package.for_each_file(|_, file| {
        read += std::io::copy(&mut file.take(u64::MAX), &mut std::io::sink())?;
        Ok(())
    });
    counted.expect("files that were inspected");
    assert_eq!(read, package.total_size());
}

/// Paths, a line each, of the files of an otherwise good ZIP; their contents are the lines.
///
/// It is taken exactly if every path is clean and none clashes with another.
pub fn package_names(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else { return };
    let names: Vec<&str> = text.lines().take(LIMITS.entries - 2).collect();
    let Some(zip) = zip_of(&names) else { return };
    let Ok(mut package) = inspect(&zip, &Limits { archive_bytes: u64::MAX, ..LIMITS }) else {
        return assert!(!are_plainly_good(&names), "good names are refused: {names:?}");
    };
    paths_are_safe(&package);
    reads_as_it_says(&mut package);
    for name in names {
        match name.strip_suffix('/') {
            Some(folder) => assert!(is_clean_path(folder)),
            None => assert_eq!(package.read_entry(name).expect("its file"), name.as_bytes()),
        }
    }
}

/// Files at the root, in letters alone, no two alike.
fn are_plainly_good(names: &[&str]) -> bool {
    let mut met = HashSet::new();
    names.iter().all(|name| {
        let plain = (4..=64).contains(&name.len()) && name.bytes().all(|byte| byte.is_ascii_lowercase());
        plain && met.insert(name)
    })
}

/// None where the ZIP cannot be written: its writer refuses some names itself.
fn zip_of(names: &[&str]) -> Option<Vec<u8>> {
    let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
    let stored = SimpleFileOptions::default().compression_method(CompressionMethod::Stored);
    for (name, content) in [("manifest.json", MANIFEST), ("index.js", b"export default {};")] {
        zip.start_file(name, stored).ok()?;
        zip.write_all(content).ok()?;
    }
    for name in names {
        if let Some(folder) = name.strip_suffix('/') {
            zip.add_directory(format!("{folder}/"), stored).ok()?;
        } else {
            zip.start_file(*name, stored).ok()?;
            zip.write_all(name.as_bytes()).ok()?;
        }
    }
    Some(zip.finish().ok()?.into_inner())
}
