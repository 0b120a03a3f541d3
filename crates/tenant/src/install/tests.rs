#![allow(clippy::unwrap_used)]
use std::io::{Cursor, Write as _};

use zip::{ZipWriter, write::SimpleFileOptions};

use super::*;

fn manifest(app: &str, id: &str, version: &str, permissions: &[&str]) -> String {
    serde_json::json!({
        "id": id, "marketplace_id": app, "name": "App", "version": version, "type": "marketing",
        "carphacom_min_version": "1.0.0", "description": "What it does.", "author": "Vendor", "price_eur": 0,
        "entry": "index.js", "permissions": permissions,
    })
    .to_string()
}

fn zip_of(files: &[(&str, &[u8])]) -> Vec<u8> {
    let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
    for (path, content) in files {
        zip.start_file(*path, SimpleFileOptions::default()).unwrap();
        zip.write_all(content).unwrap();
    }
    zip.finish().unwrap().into_inner()
}

fn app_zip(version: &str) -> Vec<u8> {
    let manifest = manifest("@vendor/app", "app", version, &["api:orders.read"]);
    zip_of(&[("manifest.json", manifest.as_bytes()), ("index.js", version.as_bytes()), ("lib/a/b.js", b"b")])
}

fn receipt(app: &str, version: &str) -> Receipt {
    Receipt {
        marketplace_id: app.parse().unwrap(),
        version: version.parse().unwrap(),
        sha256: ArtifactDigest::of(b""),
        installed_at_ms: 1,
    }
}

fn open(folder: &Path) -> Plugins {
    Plugins::open(folder.join("plugins"), Limits::default()).unwrap()
}

fn stage(plugins: &Plugins, version: &str) -> Staged {
    plugins.stage(&app_zip(version), &receipt("@vendor/app", version)).unwrap()
}

/// What a shop would run now: the version by the manifest and by the code, which must agree.
fn running(plugins: &Plugins) -> Option<String> {
    let apps = plugins.list().unwrap();
    let app = apps.first()?;
    let code = fs::read_to_string(plugins.folder().join("app/index.js")).unwrap();
    assert_eq!(code, app.manifest.version.to_string(), "half an app");
    assert_eq!(app.receipt.as_ref().unwrap().version, app.manifest.version);
    Some(code)
}

fn leftovers(plugins: &Plugins) -> usize {
    fs::read_dir(plugins.new_apps()).unwrap().count() + fs::read_dir(plugins.old_apps()).unwrap().count()
}

#[test]
fn an_app_is_installed_and_updated_and_nothing_is_left_over() {
    let folder = tempfile::tempdir().unwrap();
    let plugins = open(folder.path());
    for version in ["1.0.0", "1.1.0", "1.1.0"] {
        stage(&plugins, version).commit().unwrap();
        assert_eq!(running(&plugins).as_deref(), Some(version));
        assert_eq!(fs::read(plugins.folder().join("app/lib/a/b.js")).unwrap(), b"b");
        assert_eq!(leftovers(&plugins), 0);
    }
}

#[test]
fn a_removed_app_leaves_nothing_and_takes_nothing_else_with_it() {
    let folder = tempfile::tempdir().unwrap();
    let plugins = open(folder.path());
    stage(&plugins, "1.0.0").commit().unwrap();
    plugins.remove(&"@vendor/other".parse().unwrap()).unwrap();
    assert_eq!(running(&plugins).as_deref(), Some("1.0.0"));
    let app = "@vendor/app".parse().unwrap();
    plugins.remove(&app).unwrap();
    plugins.remove(&app).unwrap();
    assert_eq!((running(&plugins), leftovers(&plugins)), (None, 0));
    stage(&plugins, "1.1.0").commit().unwrap();
    fs::remove_file(plugins.folder().join("app").join(RECEIPT)).unwrap();
    plugins.remove(&app).unwrap();
    assert!(plugins.folder().join("app/index.js").exists(), "a local plugin is not the marketplace's");
}

#[test]
fn a_crash_while_an_app_is_removed_does_not_bring_it_back() {
    let folder = tempfile::tempdir().unwrap();
    let plugins = open(folder.path());
    stage(&plugins, "1.0.0").commit().unwrap();
    let doomed = plugins.new_folder("app").unwrap();
    fs::rename(plugins.folder().join("app"), doomed.path().join("removed")).unwrap();
    std::mem::forget(doomed);
    let after = open(folder.path());
    assert_eq!((running(&after), leftovers(&after)), (None, 0));
}

#[test]
fn a_crash_between_unpacking_and_renaming_leaves_the_old_app() {
    let folder = tempfile::tempdir().unwrap();
    stage(&open(folder.path()), "1.0.0").commit().unwrap();
    std::mem::forget(stage(&open(folder.path()), "2.0.0"));
    let after = open(folder.path());
    assert_eq!(running(&after).as_deref(), Some("1.0.0"));
    assert_eq!(leftovers(&after), 0);
}

#[test]
fn a_crash_between_the_two_renames_brings_the_old_app_back() {
    let folder = tempfile::tempdir().unwrap();
    stage(&open(folder.path()), "1.0.0").commit().unwrap();
    let staged = stage(&open(folder.path()), "2.0.0");
    staged.set_old_aside().unwrap();
    std::mem::forget(staged);
    let after = open(folder.path());
    assert_eq!(running(&after).as_deref(), Some("1.0.0"));
    assert_eq!(leftovers(&after), 0);
}

#[test]
fn a_crash_before_the_old_app_is_removed_leaves_the_new_one() {
    let folder = tempfile::tempdir().unwrap();
    let plugins = open(folder.path());
    stage(&plugins, "1.0.0").commit().unwrap();
    let staged = stage(&plugins, "2.0.0");
    staged.set_old_aside().unwrap();
    fs::rename(staged.unpacked.keep(), plugins.folder().join("app")).unwrap();
    let after = open(folder.path());
    assert_eq!(running(&after).as_deref(), Some("2.0.0"));
    assert_eq!(leftovers(&after), 0);
}

#[test]
fn an_app_that_is_not_committed_leaves_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let plugins = open(folder.path());
    drop(stage(&plugins, "1.0.0"));
    assert_eq!((running(&plugins), leftovers(&plugins)), (None, 0));
}

#[test]
fn hostile_zips_write_nothing_anywhere() {
    let folder = tempfile::tempdir().unwrap();
    let plugins = open(folder.path());
    let good = manifest("@vendor/app", "app", "1.0.0", &[]);
    let good = good.as_bytes();
    let bomb = vec![0_u8; 20 * 1024 * 1024];
    for (what, files) in [
        ("a way out", vec![("manifest.json", good), ("index.js", b"x"), ("../../evil.js", b"x")]),
        ("an absolute path", vec![("manifest.json", good), ("index.js", b"x"), ("/evil.js", b"x")]),
        ("a bomb", vec![("manifest.json", good), ("index.js", &bomb)]),
        ("no manifest", vec![("index.js", b"x")]),
        ("a manifest in a folder", vec![("app/manifest.json", good), ("index.js", b"x")]),
    ] {
        let refused = plugins.stage(&zip_of(&files), &receipt("@vendor/app", "1.0.0")).unwrap_err();
        assert!(matches!(refused, InstallError::Package(_)), "{what}: {refused:?}");
        assert_eq!(leftovers(&plugins), 0, "{what}");
    }
    let names: Vec<_> =
        fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(names, ["plugins"]);
}

#[test]
fn a_link_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
    let manifest = manifest("@vendor/app", "app", "1.0.0", &[]);
    for (path, content) in [("manifest.json", manifest.as_str()), ("index.js", "x")] {
        zip.start_file(path, SimpleFileOptions::default()).unwrap();
        zip.write_all(content.as_bytes()).unwrap();
    }
    zip.add_symlink("secrets", "/etc", SimpleFileOptions::default()).unwrap();
    let zip = zip.finish().unwrap().into_inner();
    let refused = open(folder.path()).stage(&zip, &receipt("@vendor/app", "1.0.0")).unwrap_err();
    assert!(matches!(refused, InstallError::Package(PackageError::SpecialFile(3))), "{refused:?}");
}

#[test]
fn the_package_must_hold_the_app_and_version_that_were_asked_for() {
    let folder = tempfile::tempdir().unwrap();
    let plugins = open(folder.path());
    for receipt in [receipt("@vendor/other", "1.0.0"), receipt("@vendor/app", "1.0.1")] {
        let refused = plugins.stage(&app_zip("1.0.0"), &receipt).unwrap_err();
        assert!(matches!(refused, InstallError::OtherApp), "{refused:?}");
    }
}

#[test]
fn no_app_takes_the_place_of_another_one_or_of_a_local_plugin() {
    let folder = tempfile::tempdir().unwrap();
    let plugins = open(folder.path());
    stage(&plugins, "1.0.0").commit().unwrap();
    let rival = manifest("@rival/app", "app", "1.0.0", &[]);
    let zip = zip_of(&[("manifest.json", rival.as_bytes()), ("index.js", b"x")]);
    let refused = plugins.stage(&zip, &receipt("@rival/app", "1.0.0")).unwrap_err();
    assert!(matches!(refused, InstallError::IdTaken), "{refused:?}");
    fs::remove_file(plugins.folder().join("app").join(RECEIPT)).unwrap();
    let refused = plugins.stage(&app_zip("1.1.0"), &receipt("@vendor/app", "1.1.0")).unwrap_err();
    assert!(matches!(refused, InstallError::IdTaken), "{refused:?}");
    assert_eq!(fs::read(plugins.folder().join("app/index.js")).unwrap(), b"1.0.0");
}

#[test]
fn a_package_cannot_bring_its_own_receipt() {
    let folder = tempfile::tempdir().unwrap();
    let manifest = manifest("@vendor/app", "app", "1.0.0", &[]);
    let zip = zip_of(&[("manifest.json", manifest.as_bytes()), ("index.js", b"x"), (".MERCATO.json", b"{}")]);
    let refused = open(folder.path()).stage(&zip, &receipt("@vendor/app", "1.0.0")).unwrap_err();
    assert!(matches!(refused, InstallError::Reserved), "{refused:?}");
}

#[test]
fn added_permissions_are_those_that_the_installed_version_has_not() {
    let folder = tempfile::tempdir().unwrap();
    let plugins = open(folder.path());
    let first = stage(&plugins, "1.0.0");
    assert!(first.added_permissions().unwrap().is_empty());
    first.commit().unwrap();
    let manifest = manifest("@vendor/app", "app", "2.0.0", &["api:orders.read", "api:orders.write"]);
    let zip = zip_of(&[("manifest.json", manifest.as_bytes()), ("index.js", b"2.0.0")]);
    let staged = plugins.stage(&zip, &receipt("@vendor/app", "2.0.0")).unwrap();
    assert_eq!(staged.added_permissions().unwrap(), ["api:orders.write"]);
}

#[test]
fn what_is_no_app_in_the_folder_is_passed_over() {
    let folder = tempfile::tempdir().unwrap();
    let plugins = open(folder.path());
    fs::create_dir(plugins.folder().join("notes")).unwrap();
    fs::write(plugins.folder().join("README"), "x").unwrap();
    fs::create_dir(plugins.folder().join("broken")).unwrap();
    fs::write(plugins.folder().join("broken/manifest.json"), "{").unwrap();
    assert!(plugins.list().unwrap().is_empty());
}

#[test]
fn a_version_under_another_id_does_not_come_beside_the_installed_one() {
    let folder = tempfile::tempdir().unwrap();
    let plugins = open(folder.path());
    stage(&plugins, "1.0.0").commit().unwrap();
    let renamed = manifest("@vendor/app", "app-2", "2.0.0", &["api:orders.write"]);
    let zip = zip_of(&[("manifest.json", renamed.as_bytes()), ("index.js", b"2.0.0")]);
    let refused = plugins.stage(&zip, &receipt("@vendor/app", "2.0.0")).unwrap_err();
    assert!(matches!(refused, InstallError::IdChanged), "{refused:?}");
    assert!(!plugins.folder().join("app-2").exists());
    assert_eq!(running(&plugins).as_deref(), Some("1.0.0"));
    plugins.remove(&"@vendor/app".parse().unwrap()).unwrap();
    plugins.stage(&zip, &receipt("@vendor/app", "2.0.0")).unwrap().commit().unwrap();
    assert!(plugins.folder().join("app-2/index.js").exists());
}

#[test]
fn an_app_that_lies_in_two_folders_is_removed_from_both() {
    let folder = tempfile::tempdir().unwrap();
    let plugins = open(folder.path());
    stage(&plugins, "1.0.0").commit().unwrap();
    fs::rename(plugins.folder().join("app"), plugins.folder().join("app-1")).unwrap();
    let staged = plugins.stage(&app_zip("1.1.0"), &receipt("@vendor/app", "1.1.0"));
    assert!(matches!(staged, Err(InstallError::IdChanged)), "{staged:?}");
    plugins.remove(&"@vendor/app".parse().unwrap()).unwrap();
    stage(&plugins, "1.1.0").commit().unwrap();
    fs::create_dir(plugins.folder().join("app-1")).unwrap();
    for file in ["manifest.json", RECEIPT] {
        fs::copy(plugins.folder().join("app").join(file), plugins.folder().join("app-1").join(file)).unwrap();
    }
    plugins.remove(&"@vendor/app".parse().unwrap()).unwrap();
    assert!(plugins.list().unwrap().is_empty());
    assert_eq!(leftovers(&plugins), 0);
}
