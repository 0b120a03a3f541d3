//! Files stay short enough to be read in one go. (Functions are measured by clippy: `too_many_lines`.)

use std::{fs, path::Path};

use super::{Finding, before_tests, files_of};

/// Before the module of its tests.
const FILE_LINES: usize = 400;

pub(super) fn check(member: &Path) -> anyhow::Result<Vec<Finding>> {
    let mut files = files_of(&member.join("src"), &["rs"])?;
    files.extend(files_of(&member.join("tests"), &["rs"])?);
    let mut findings = Vec::new();
    for file in files {
        let lines = before_tests(&fs::read_to_string(&file)?).count();
        if lines > FILE_LINES {
            let long = format!(
                "has {lines} lines before its tests; at most {FILE_LINES}: split it by what it is about"
            );
            findings.push(Finding::new(file, 0, long));
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
    fn only_lines_before_the_tests_count() {
        let (full, tests) = ("a\n".repeat(400), "#[cfg(test)]\nmod tests {\n}\n");
        let root = tree(&[("src/full.rs", &(full.clone() + tests)), ("src/long.rs", &(full + "b\n"))]);
        assert_eq!(places(root.path(), &check(root.path()).unwrap()), ["src/long.rs:0"]);
    }
}
