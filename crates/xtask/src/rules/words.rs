//! Nothing is left undone, and no test is switched off.

use std::{fs, path::Path};

use super::{Finding, files_of};

const FILES: [&str; 9] = ["rs", "proto", "toml", "py", "mjs", "sh", "yaml", "yml", "html"];

/// Written in halves, so that this file passes its own rule.
const WORDS: [(&str, &str); 5] = [
    (concat!("TO", "DO"), "do it, or write an issue"),
    (concat!("FIX", "ME"), "fix it, or write an issue"),
    (concat!("to", "do!("), "do it, or leave it out"),
    (concat!("unimpl", "emented!("), "implement it, or leave it out"),
    (concat!("#[ign", "ore"), "a test runs, or is not there"),
];

pub(super) fn check(root: &Path) -> anyhow::Result<Vec<Finding>> {
    let mut findings = Vec::new();
    for file in files_of(root, &FILES)? {
        let text = fs::read(&file)?;
        for (number, line) in (1..).zip(String::from_utf8_lossy(&text).lines()) {
            let found = WORDS.iter().filter(|(word, _)| line.contains(word));
            findings.extend(
                found.map(|(word, advice)| Finding::new(&file, number, format!("`{word}`: {advice}"))),
            );
        }
    }
    Ok(findings)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::{
        super::tests::{places, tree},
        *,
    };

    #[test]
    fn what_is_undone_is_found() {
        let undone = WORDS.map(|(word, _)| format!("x {word}")).join("\n");
        let root = tree(&[("a.rs", &undone), ("b.py", "done = True"), ("c.bin", &undone)]);
        let places = places(root.path(), &check(root.path()).unwrap());
        assert_eq!(places, ["a.rs:1", "a.rs:2", "a.rs:3", "a.rs:4", "a.rs:5"]);
    }
}
