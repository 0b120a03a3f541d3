//! Which paths of a ZIP are safe, and which of them clash.

use std::collections::HashMap;

use super::PackageError;

const MAX_PATH_LEN: usize = 1_000;
/// The shortest limit of a name on common file systems.
const MAX_NAME_LEN: usize = 255;

/// Whether the text is a relative path with `/` that means the same file on every system and stays in its folder.
#[must_use]
pub fn is_clean_path(path: &str) -> bool {
    path.len() <= MAX_PATH_LEN && path.split('/').all(is_clean_name)
}

fn is_clean_name(name: &str) -> bool {
    let forbidden = |c: char| c.is_control() || matches!(c, '\\' | ':' | '<' | '>' | '"' | '|' | '?' | '*');
    // Windows drops trailing dots and spaces, so `..` and `. ` are covered with all that look like another name.
    !name.is_empty()
        && name.len() <= MAX_NAME_LEN
        && !name.ends_with(['.', ' '])
        && !name.contains(forbidden)
        && !is_windows_device(name)
}

/// `CON`, `aux.txt` and the like open a device on Windows, whatever the extension.
fn is_windows_device(name: &str) -> bool {
    let stem = name.split('.').next().unwrap_or(name).trim_end().to_ascii_uppercase();
    let numbered = |prefix| {
        stem.strip_prefix(prefix).is_some_and(|n| n.len() == 1 && n.bytes().all(|b| b.is_ascii_digit()))
    };
    matches!(stem.as_str(), "CON" | "PRN" | "AUX" | "NUL") || numbered("COM") || numbered("LPT")
}

/// The paths met so far, compared as a file system does that ignores case.
#[derive(Debug, Default)]
pub(super) struct Names {
    met: HashMap<String, Met>,
}

#[derive(Debug, Clone, Copy)]
struct Met {
    place: usize,
    kind: Kind,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    File,
    /// Has an entry of its own.
    Folder,
    /// Only a part of another entry's path.
    ImpliedFolder,
}

impl Names {
    /// Takes the path of the entry at `place`, unless it is unsafe or clashes with an earlier one.
    pub(super) fn add(&mut self, path: &str, is_folder: bool, place: usize) -> Result<(), PackageError> {
        if !is_clean_path(path) {
            return Err(PackageError::UnsafePath(place));
        }
        let folded = path.to_lowercase();
        for (at, _) in folded.match_indices('/') {
            self.add_parent(&folded[..at], place)?;
        }
        let kind = if is_folder { Kind::Folder } else { Kind::File };
        match self.met.insert(folded, Met { place, kind }) {
            None => Ok(()),
            Some(met) if met.kind == kind => Err(PackageError::DuplicatePath(met.place, place)),
            Some(met) if met.kind == Kind::ImpliedFolder && kind == Kind::Folder => Ok(()),
            Some(_) => Err(PackageError::FileAndFolder(place)),
        }
    }

    fn add_parent(&mut self, parent: &str, place: usize) -> Result<(), PackageError> {
        match self.met.get(parent) {
            Some(met) if met.kind == Kind::File => Err(PackageError::FileAndFolder(met.place)),
            Some(_) => Ok(()),
            None => {
                self.met.insert(parent.to_owned(), Met { place, kind: Kind::ImpliedFolder });
                Ok(())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn paths_that_mean_trouble_are_not_clean() {
        for path in [
            "",
            "/",
            "/etc/passwd",
            "..",
            "../a",
            "a/../b",
            "a/..",
            ".",
            "./a",
            "a//b",
            "a/",
            "a\\b",
            "C:/a",
            "c:a",
            "a\0b",
            "a\nb",
            "a.",
            "a /b",
            "NUL",
            "aux.js",
            "dir/com1.txt",
            "a?b",
            "lpt9",
        ] {
            assert!(!is_clean_path(path), "{path:?}");
        }
        for path in ["a", "a/b.js", ".env", "..a/b", "é/ü.js", "console.js", "com10", "a b/c"] {
            assert!(is_clean_path(path), "{path:?}");
        }
    }

    proptest! {
        #[test]
        fn a_clean_path_stays_in_its_folder(path in "[ab./\\\\:]{0,8}") {
            if is_clean_path(&path) {
                let components: Vec<_> = std::path::Path::new(&path).components().collect();
                let normal = components.iter().all(|part| matches!(part, std::path::Component::Normal(_)));
                prop_assert!(normal);
                prop_assert_eq!(components.len(), path.split('/').count());
            }
        }
    }
}
