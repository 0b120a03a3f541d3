//! The rules of the house, each a function from the source tree to findings.

mod layers;
mod manifests;
mod rooms;
mod sizes;
mod words;

use std::{
    fmt, fs, io,
    path::{Path, PathBuf},
};

use anyhow::Context as _;

/// The services, which know `proto`, `platform` and `wire`, never each other.
const SERVICES: [&str; 5] = ["gateway", "catalog-svc", "license-svc", "payments-svc", "webhook-dispatcher"];

/// Where a rule is broken, and what would be right.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Finding {
    file: PathBuf,
    line: usize,
    message: String,
}

impl Finding {
    fn new(file: impl Into<PathBuf>, line: usize, message: impl Into<String>) -> Self {
        Self { file: file.into(), line, message: message.into() }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            0 => write!(formatter, "{}: {}", self.file.display(), self.message),
            line => write!(formatter, "{}:{line}: {}", self.file.display(), self.message),
        }
    }
}

/// Everything that is wrong, files relative to `root`.
pub(crate) fn check(root: &Path) -> anyhow::Result<Vec<Finding>> {
    let mut findings = Vec::new();
    for service in SERVICES {
        findings.extend(rooms::check(&root.join(service), service)?);
        findings.extend(layers::check(&root.join(service))?);
    }
    for member in members(root)? {
        findings.extend(manifests::check(&member)?);
        findings.extend(sizes::check(&member)?);
    }
    findings.extend(words::check(root)?);
    for finding in &mut findings {
        finding.file = finding.file.strip_prefix(root).unwrap_or(&finding.file).to_path_buf();
    }
    findings.sort();
    Ok(findings)
}

/// The folders of the workspace's crates.
pub(crate) fn members(root: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let manifest = manifest(root)?;
    let members = manifest.get("workspace").and_then(|it| it.get("members")).and_then(toml::Value::as_array);
    let members = members.context("the root's Cargo.toml lists no members")?;
    Ok(members.iter().filter_map(toml::Value::as_str).map(|member| root.join(member)).collect())
}

fn manifest(folder: &Path) -> anyhow::Result<toml::Table> {
    let path = folder.join("Cargo.toml");
    let text = fs::read_to_string(&path).with_context(|| format!("{} can't be read", path.display()))?;
    text.parse().with_context(|| format!("{} is not TOML", path.display()))
}

/// Files below a folder with one of these extensions, sorted; build output and hidden folders are passed over.
pub(crate) fn files_of(folder: &Path, extensions: &[&str]) -> anyhow::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    walk(folder, extensions, &mut found).with_context(|| format!("{} can't be read", folder.display()))?;
    found.sort();
    Ok(found)
}

fn walk(folder: &Path, extensions: &[&str], found: &mut Vec<PathBuf>) -> io::Result<()> {
    if !folder.is_dir() {
        return Ok(());
    }
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        if path.is_dir() {
            if !name.starts_with('.') && name != "target" && name != "node_modules" {
                walk(&path, extensions, found)?;
            }
        } else if path.extension().is_some_and(|end| extensions.iter().any(|wanted| end == *wanted)) {
            found.push(path);
        }
    }
    Ok(())
}

/// The lines of a file that are code before its tests, with their numbers from 1.
fn code_lines(text: &str) -> impl Iterator<Item = (usize, &str)> {
    before_tests(text).filter(|(_, line)| !line.trim_start().starts_with("//"))
}

/// The lines of a file before the module of its tests, with their numbers from 1.
fn before_tests(text: &str) -> impl Iterator<Item = (usize, &str)> {
    (1..).zip(text.lines()).take_while(|(_, line)| line.trim() != "#[cfg(test)]")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    /// A source tree of these files.
    pub(super) fn tree(files: &[(&str, &str)]) -> tempfile::TempDir {
        let root = tempfile::tempdir().unwrap();
        for (path, text) in files {
            let path = root.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        root
    }

    /// `file:line` of each finding, without the root.
    pub(super) fn places(root: &Path, findings: &[Finding]) -> Vec<String> {
        let place = |finding: &Finding| {
            format!("{}:{}", finding.file.strip_prefix(root).unwrap().display(), finding.line)
        };
        findings.iter().map(place).collect()
    }

    #[test]
    fn build_output_and_hidden_folders_are_passed_over() {
        let root = tree(&[("a/b.rs", ""), ("target/c.rs", ""), (".git/d.rs", ""), ("e.txt", "")]);
        assert_eq!(files_of(root.path(), &["rs"]).unwrap(), [root.path().join("a/b.rs")]);
        assert!(files_of(&root.path().join("nowhere"), &["rs"]).unwrap().is_empty());
    }

    #[test]
    fn a_finding_says_where_and_what() {
        assert_eq!(Finding::new("a.rs", 3, "too long").to_string(), "a.rs:3: too long");
        assert_eq!(Finding::new("a.rs", 0, "is missing").to_string(), "a.rs: is missing");
    }

    #[test]
    fn tests_end_the_code() {
        let lines: Vec<_> = code_lines("a\n// b\nc\n#[cfg(test)]\nmod tests {}\n").collect();
        assert_eq!(lines, [(1, "a"), (3, "c")]);
    }
}
