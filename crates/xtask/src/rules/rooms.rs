//! Every service has the same rooms, so that who knows one knows all.

use std::{fs, path::Path};

use super::Finding;

/// `main` reads as a story: serve, migrate, healthcheck.
const MAIN_LINES: usize = 40;

const EVERYWHERE: [&str; 4] = ["src/main.rs", "src/lib.rs", "src/config.rs", "tests/it/main.rs"];
/// A room may be a folder, or one file while it is small.
const WITH_A_STORE: [&str; 3] = ["domain", "app", "store"];

pub(super) fn check(folder: &Path, service: &str) -> anyhow::Result<Vec<Finding>> {
    let mut findings = Vec::new();
    let missing = EVERYWHERE.iter().map(|file| folder.join(file)).filter(|file| !file.is_file());
    findings.extend(missing.map(|file| Finding::new(file, 0, "is missing: every service has it")));
    findings.extend(rooms(folder, service));
    findings.extend(main_is_short(&folder.join("src/main.rs"))?);
    Ok(findings)
}

/// The gateway owns no tables.
fn rooms(folder: &Path, service: &str) -> Vec<Finding> {
    let room = |name: &str| folder.join("src").join(name);
    if service == "gateway" {
        let store = Some(room("store")).filter(|_| has_room(folder, "store"));
        let http = Some(room("http")).filter(|_| !has_room(folder, "http"));
        let store = store.map(|room| Finding::new(room, 0, "the gateway owns no tables"));
        let http = http.map(|room| Finding::new(room, 0, "is missing: the gateway speaks HTTP"));
        return store.into_iter().chain(http).collect();
    }
    let missing = WITH_A_STORE.iter().filter(|name| !has_room(folder, name));
    missing.map(|name| Finding::new(room(name), 0, "is missing: every service has this room")).collect()
}

fn has_room(folder: &Path, name: &str) -> bool {
    let src = folder.join("src");
    src.join(name).is_dir() || src.join(format!("{name}.rs")).is_file()
}

fn main_is_short(file: &Path) -> anyhow::Result<Option<Finding>> {
    if !file.is_file() {
        return Ok(None);
    }
    let lines = fs::read_to_string(file)?.lines().count();
    let long = format!("has {lines} lines; at most {MAIN_LINES}: what it does belongs to lib.rs");
    Ok((lines > MAIN_LINES).then(|| Finding::new(file, 0, long)))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::{
        super::tests::{places, tree},
        *,
    };

    const WHOLE: [(&str, &str); 6] = [
        ("src/main.rs", "fn main() {}\n"),
        ("src/lib.rs", ""),
        ("src/config.rs", ""),
        ("src/domain/mod.rs", ""),
        ("src/app.rs", ""),
        ("tests/it/main.rs", ""),
    ];

    #[test]
    fn a_service_needs_all_rooms_and_the_gateway_no_store() {
        let root = tree(&WHOLE);
        assert_eq!(places(root.path(), &check(root.path(), "license-svc").unwrap()), ["src/store:0"]);
        fs::create_dir(root.path().join("src/store")).unwrap();
        assert!(check(root.path(), "license-svc").unwrap().is_empty());
        let gateway = check(root.path(), "gateway").unwrap();
        assert_eq!(places(root.path(), &gateway), ["src/store:0", "src/http:0"]);
    }

    #[test]
    fn a_long_main_and_a_missing_file_are_found() {
        let root = tree(&[("src/main.rs", &"//\n".repeat(41)), ("src/lib.rs", ""), ("src/store.rs", "")]);
        let findings = check(root.path(), "catalog-svc").unwrap();
        assert_eq!(
            places(root.path(), &findings),
            ["src/config.rs:0", "tests/it/main.rs:0", "src/domain:0", "src/app:0", "src/main.rs:0"]
        );
        assert!(findings[4].message.contains("41 lines"));
    }
}
