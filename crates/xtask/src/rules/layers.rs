//! The domain is pure: types, state machines and rules, without IO.

use std::{fs, path::Path};

use super::{Finding, code_lines, files_of};

/// What makes code asynchronous, or ties it to a store or a protocol.
const OUTSIDE: [&str; 6] = ["tokio", "sea_orm", "tonic", "axum", "async_nats", "redis"];

pub(super) fn check(service: &Path) -> anyhow::Result<Vec<Finding>> {
    let mut findings = Vec::new();
    let mut files = files_of(&service.join("src/domain"), &["rs"])?;
    files.extend(Some(service.join("src/domain.rs")).filter(|file| file.is_file()));
    for file in files {
        let text = fs::read_to_string(&file)?;
        for (line, code) in code_lines(&text) {
            let named = OUTSIDE.iter().filter(|outside| names(code, outside));
            findings.extend(named.map(|outside| {
                Finding::new(
                    &file,
                    line,
                    format!("the domain names `{outside}`; that belongs to `app`, `store` or an edge"),
                )
            }));
        }
    }
    Ok(findings)
}

/// Whether a line holds this identifier, whole.
fn names(code: &str, identifier: &str) -> bool {
    code.split(|c: char| !c.is_alphanumeric() && c != '_').any(|word| word == identifier)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::{
        super::tests::{places, tree},
        *,
    };

    #[test]
    fn the_domain_may_not_name_the_outside() {
        let root = tree(&[
            ("src/domain/order.rs", "use tokio::time;\n// axum is elsewhere\nfn a(x: redis::Value) {}\n"),
            ("src/domain/seats.rs", "struct Tonic; // of no matter\nfn tokio_free() {}\n"),
            ("src/app/mod.rs", "use tokio::time;\n"),
        ]);
        let findings = check(root.path()).unwrap();
        assert_eq!(places(root.path(), &findings), ["src/domain/order.rs:1", "src/domain/order.rs:3"]);
        assert!(findings[1].message.contains("`redis`"));
    }
}
