#![allow(clippy::unwrap_used, clippy::expect_used)]
use std::io::Write;

use zip::CompressionMethod;
use zip::write::{SimpleFileOptions, ZipWriter};

use super::*;

fn manifest() -> Vec<u8> {
    br#"{"id":"a","marketplace_id":"@v/a","name":"A","version":"1.0.0","type":"marketing",
        "carphacom_min_version":"1.0.0","description":"d","author":"v","price_eur":0,"entry":"./index.js"}"#
        .to_vec()
}

/// A ZIP of the manifest, the entry file and these further entries; a name that ends in `/` is a folder.
fn zip_with(extra: &[(&str, &[u8])]) -> Vec<u8> {
    let manifest = manifest();
    let mut files: Vec<(&str, &[u8])> = vec![("manifest.json", &manifest), ("index.js", b"export {}")];
    files.extend_from_slice(extra);
    zip_of(&files)
}

fn zip_of(files: &[(&str, &[u8])]) -> Vec<u8> {
    let mut writer = ZipWriter::new(Cursor::new(Vec::new()));
    for (name, content) in files {
        let options = SimpleFileOptions::default().compression_method(CompressionMethod::Deflated);
        if name.ends_with('/') {
            writer.add_directory(*name, options).unwrap();
        } else {
            writer.start_file(*name, options).unwrap();
            writer.write_all(content).unwrap();
        }
    }
    writer.finish().unwrap().into_inner()
}

/// Renames an entry in both headers, to names that the writer would refuse or repeat.
fn renamed(mut zip: Vec<u8>, from: &str, to: &[u8]) -> Vec<u8> {
    assert_eq!(from.len(), to.len());
    let mut found = 0;
    for at in 0..=zip.len() - from.len() {
        if zip[at..].starts_with(from.as_bytes()) {
            zip[at..at + to.len()].copy_from_slice(to);
            found += 1;
        }
    }
    assert_eq!(found, 2, "local and central header");
    zip
}

/// Where the last entry's central header begins.
fn last_central_header(zip: &[u8]) -> usize {
    (0..zip.len() - 4).rev().find(|at| zip[*at..].starts_with(b"PK\x01\x02")).unwrap()
}

fn last_local_header(zip: &[u8]) -> usize {
    (0..zip.len() - 4).rev().find(|at| zip[*at..].starts_with(b"PK\x03\x04")).unwrap()
}

fn refusal(zip: &[u8]) -> PackageError {
    inspect(zip, &Limits::default()).expect_err("must be refused")
}

#[test]
fn a_good_package_gives_its_manifest_and_its_files() {
    let zip = zip_with(&[("lib/", b""), ("lib/a.js", b"aaa"), ("assets/b.css", b"")]);
    let mut package = inspect(&zip, &Limits::default()).unwrap();
    assert_eq!(package.manifest().marketplace_id.as_str(), "@v/a");
    let paths: Vec<&str> = package.entries().iter().map(|entry| entry.path.as_str()).collect();
    assert_eq!(paths, ["manifest.json", "index.js", "lib/a.js", "assets/b.css"]);
    assert_eq!(package.read_entry("lib/a.js").unwrap(), b"aaa");
    assert!(matches!(package.read_entry("lib"), Err(PackageError::NotFound)));
    let mut written = Vec::new();
    package
        .for_each_file(|path, content| {
            written.push((path.to_owned(), io::copy(content, &mut io::sink())?));
            Ok(())
        })
        .unwrap();
    assert_eq!(written[2], ("lib/a.js".to_owned(), 3));
    assert_eq!(written.iter().map(|(_, size)| size).sum::<u64>(), package.total_size());
}

#[test]
fn an_error_of_the_writer_ends_the_walk() {
    let zip = zip_with(&[]);
    let mut package = inspect(&zip, &Limits::default()).unwrap();
    let mut calls = 0;
    let result = package.for_each_file(|_, _| {
        calls += 1;
        Err(io::Error::other("disk full"))
    });
    assert!(matches!(result, Err(PackageError::Io(_))));
    assert_eq!(calls, 1);
}

#[test]
fn what_is_no_zip_is_told() {
    for bytes in [&b""[..], b"PK", b"not a zip at all, whatever its name says"] {
        assert!(matches!(refusal(bytes), PackageError::NotAZip));
    }
    let zip = zip_with(&[]);
    assert!(inspect(&zip[..zip.len() / 2], &Limits::default()).is_err());
}

#[test]
fn no_path_leaves_the_folder() {
    for to in [
        "../../../x",
        "/etc/passw",
        "C:\\temp\\xy",
        "a\\..\\..\\bc",
        "a/../../bc",
        "abc\0.js/xy",
        "C:/temp/xy",
    ] {
        let zip = renamed(zip_with(&[("extra12345", b"x")]), "extra12345", to.as_bytes());
        assert!(matches!(refusal(&zip), PackageError::UnsafePath(3)), "{to:?}");
    }
    let not_utf8 = renamed(zip_with(&[("extra12345", b"x")]), "extra12345", b"\xff\xfeextra123");
    assert!(matches!(refusal(&not_utf8), PackageError::UnsafePath(3)));
}

#[test]
fn a_path_occurs_once_whatever_its_case() {
    let zip = zip_with(&[("a.js", b"1"), ("A.JS", b"2")]);
    assert!(matches!(refusal(&zip), PackageError::DuplicatePath(3, 4)));
    let zip = renamed(zip_with(&[("a1.js", b"1"), ("a2.js", b"2")]), "a2.js", b"a1.js");
    assert!(matches!(refusal(&zip), PackageError::Inconsistent));
}

#[test]
fn a_path_is_a_file_or_a_folder() {
    assert!(matches!(refusal(&zip_with(&[("a", b"1"), ("a/b", b"2")])), PackageError::FileAndFolder(3)));
    assert!(matches!(refusal(&zip_with(&[("a/b", b"1"), ("A", b"2")])), PackageError::FileAndFolder(4)));
    assert!(matches!(refusal(&zip_with(&[("a", b"1"), ("a/", b"")])), PackageError::FileAndFolder(4)));
}

#[test]
fn links_and_devices_are_refused() {
    let mut writer = ZipWriter::new(Cursor::new(Vec::new()));
    writer.add_symlink("link", "/etc/passwd", SimpleFileOptions::default()).unwrap();
    let zip = writer.finish().unwrap().into_inner();
    assert!(matches!(refusal(&zip), PackageError::SpecialFile(1)));
    for mode in [0o120_777_u32, 0o020_666, 0o060_666, 0o010_666, 0o140_777, 0o040_755] {
        let mut zip = zip_with(&[("extra", b"x")]);
        let attributes = last_central_header(&zip) + 38;
        zip[attributes..attributes + 4].copy_from_slice(&(mode << 16).to_le_bytes());
        assert!(matches!(refusal(&zip), PackageError::SpecialFile(3)), "{mode:o}");
    }
}

#[test]
fn an_encrypted_entry_is_refused() {
    let mut zip = zip_with(&[("extra", b"x")]);
    let (local, central) = (last_local_header(&zip), last_central_header(&zip));
    zip[local + 6] |= 1;
    zip[central + 8] |= 1;
    assert!(matches!(refusal(&zip), PackageError::Encrypted(3)));
}

#[test]
fn a_bomb_stops_at_the_ratio_and_not_at_the_end() {
    let zip = zip_with(&[("zeros", &vec![0; 20 * 1024 * 1024])]);
    assert!(matches!(refusal(&zip), PackageError::RatioTooHigh { entry: 3, limit: 200 }));
}

#[test]
fn a_header_that_lies_about_the_size_does_not_help_a_bomb() {
    let mut zip = zip_with(&[("zeros", &vec![0; 20 * 1024 * 1024])]);
    let (local, central) = (last_local_header(&zip), last_central_header(&zip));
    zip[local + 22..local + 26].copy_from_slice(&10_u32.to_le_bytes());
    zip[central + 24..central + 28].copy_from_slice(&10_u32.to_le_bytes());
    assert!(matches!(refusal(&zip), PackageError::Damaged(3) | PackageError::RatioTooHigh { entry: 3, .. }));
}

#[test]
fn sizes_and_counts_are_bounded() {
    let zip = zip_with(&[("a", &[7; 1000]), ("b", &[7; 1000])]);
    let refused = |limits: Limits| inspect(&zip, &limits).expect_err("must be refused");
    assert!(matches!(
        refused(Limits { total_bytes: 2000, ..Limits::default() }),
        PackageError::TooLarge(2000)
    ));
    assert!(matches!(refused(Limits { entries: 3, ..Limits::default() }), PackageError::TooManyEntries(3)));
    assert!(matches!(
        refused(Limits { archive_bytes: 100, ..Limits::default() }),
        PackageError::ArchiveTooLarge(100)
    ));
}

#[test]
fn a_zip_that_contradicts_itself_is_refused() {
    let good = zip_with(&[("extra", b"x")]);
    let mut other_local_name = good.clone();
    let local = last_local_header(&good);
    other_local_name[local + 30..local + 35].copy_from_slice(b"other");
    assert!(matches!(refusal(&other_local_name), PackageError::Inconsistent));
    let prefixed = [b"#!/bin/sh\n".as_slice(), &good].concat();
    assert!(matches!(refusal(&prefixed), PackageError::Inconsistent));
}

#[test]
fn one_flipped_bit_of_the_content_is_noticed() {
    let content: Vec<u8> = (0..=255).collect();
    let mut zip = zip_with(&[("extra", &content)]);
    let data = last_local_header(&zip) + 30 + 5 + 40;
    zip[data] ^= 1;
    assert!(matches!(refusal(&zip), PackageError::Damaged(3)));
}

#[test]
fn the_manifest_must_be_there_and_right_and_its_entry_too() {
    let manifest = manifest();
    assert!(matches!(refusal(&zip_of(&[("index.js", b"x")])), PackageError::NoManifest));
    let in_a_folder = zip_of(&[("app/manifest.json", &manifest), ("index.js", b"x")]);
    assert!(matches!(refusal(&in_a_folder), PackageError::NoManifest));
    assert!(matches!(refusal(&zip_of(&[("manifest.json", &manifest)])), PackageError::NoEntryFile));
    let wrong = zip_of(&[("manifest.json", b"{}"), ("index.js", b"x")]);
    assert!(matches!(refusal(&wrong), PackageError::Manifest(ManifestError::Invalid(_))));
}

#[test]
fn a_hosted_app_has_no_zip() {
    let manifest = String::from_utf8(manifest()).unwrap().replace(
        r#""./index.js""#,
        r#""https://app.example/","hosted":{"installation_url":"https://app.example/install"}"#,
    );
    let zip = zip_of(&[("manifest.json", manifest.as_bytes()), ("index.js", b"x")]);
    assert!(matches!(refusal(&zip), PackageError::Hosted));
}

#[test]
fn no_cut_or_changed_zip_panics() {
    let zip = zip_with(&[("lib/a.js", b"aaa")]);
    for cut in 0..zip.len() {
        assert!(inspect(&zip[..cut], &Limits::default()).is_err(), "cut at {cut}");
    }
    for at in 0..zip.len() {
        let mut changed = zip.clone();
        changed[at] ^= 0xff;
        // Some bytes, a date for instance, may be anything; what is taken must still be whole.
        if let Ok(mut package) = inspect(&changed, &Limits::default()) {
            assert_eq!(package.read_entry("index.js").unwrap(), b"export {}");
        }
    }
}
