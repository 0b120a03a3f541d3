//! Versions and lints are written once, in the root; services don't depend on each other.

use std::path::Path;

use toml::{Table, Value};

use super::{Finding, SERVICES, manifest};

const DEPENDENCIES: [&str; 3] = ["dependencies", "dev-dependencies", "build-dependencies"];

pub(super) fn check(member: &Path) -> anyhow::Result<Vec<Finding>> {
    let (manifest, file) = (manifest(member)?, member.join("Cargo.toml"));
    let finding = |message: String| Finding::new(&file, 0, message);
    let mut findings = Vec::new();
    if !inherits(manifest.get("lints")) {
        findings.push(finding("must inherit the lints: `[lints] workspace = true`".into()));
    }
    let is_service = member.file_name().is_some_and(|name| SERVICES.iter().any(|service| name == *service));
    for (name, dependency) in dependencies(&manifest) {
        if !inherits(Some(dependency)) && dependency.get("path").is_none() {
            findings.push(finding(format!(
                "`{name}` must take its version from the root: `{name}.workspace = true`"
            )));
        }
        if is_service && SERVICES.contains(&name) {
            findings.push(finding(format!("a service can't depend on another: `{name}`")));
        }
    }
    Ok(findings)
}

fn inherits(value: Option<&Value>) -> bool {
    value.and_then(|value| value.get("workspace")).and_then(Value::as_bool) == Some(true)
}

/// Those of every kind, and of every platform.
fn dependencies(manifest: &Table) -> impl Iterator<Item = (&str, &Value)> {
    let targets = manifest.get("target").and_then(Value::as_table);
    let targets = targets.into_iter().flat_map(Table::values).filter_map(Value::as_table);
    std::iter::once(manifest).chain(targets).flat_map(|table| {
        let tables = DEPENDENCIES.iter().filter_map(|kind| table.get(*kind)).filter_map(Value::as_table);
        tables.flat_map(|table| table.iter().map(|(name, value)| (name.as_str(), value)))
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::{super::tests::tree, *};

    fn messages(folder: &str, manifest: &str) -> Vec<String> {
        let root = tree(&[(&format!("{folder}/Cargo.toml"), manifest)]);
        check(&root.path().join(folder)).unwrap().into_iter().map(|finding| finding.message).collect()
    }

    #[test]
    fn a_manifest_that_inherits_everything_is_fine() {
        let fine =
            "[lints]\nworkspace = true\n[dependencies]\nserde.workspace = true\nown = { path = '../own' }\n";
        assert_eq!(messages("license-svc", fine), [""; 0]);
    }

    #[test]
    fn own_versions_and_missing_lints_are_found() {
        let own =
            "[target.'cfg(unix)'.dependencies]\nserde = '1'\n[dev-dependencies]\nlog = { version = '0.4' }\n";
        let found = messages("crates", own);
        assert_eq!(found.len(), 3, "{found:?}");
        assert!(
            found[0].contains("lints") && found[1].contains("`log`") && found[2].contains("`serde`"),
            "{found:?}"
        );
    }

    #[test]
    fn a_service_may_not_know_another() {
        let manifest = "[lints]\nworkspace = true\n[dev-dependencies]\ncatalog-svc.workspace = true\n";
        assert_eq!(messages("gateway", manifest), ["a service can't depend on another: `catalog-svc`"]);
        assert_eq!(messages("mercato", manifest), [""; 0]);
    }
}
