//! Files that only their owner reads: written whole or not at all, so that a kill at any moment leaves none half done.

use std::{
    fs::{self, DirBuilder, File},
    io::{ErrorKind, Write as _},
    os::unix::fs::DirBuilderExt as _,
    path::{Path, PathBuf},
};

use anyhow::Context as _;
use platform::secret::Secret;
use serde::{Serialize, Serializer, de::DeserializeOwned};

/// Makes the folder, open to its owner only, where it is missing; its absolute path.
pub(crate) fn create_folder(path: &Path) -> anyhow::Result<PathBuf> {
    let made = DirBuilder::new().recursive(true).mode(0o700).create(path);
    made.with_context(|| format!("the folder {} cannot be made; name another with --data", path.display()))?;
    path.canonicalize().with_context(|| format!("the folder {} cannot be read", path.display()))
}

/// What the file holds; nothing where there is no file.
pub(crate) fn find<T: DeserializeOwned>(path: &Path) -> anyhow::Result<Option<T>> {
    let text = match fs::read(path) {
        Ok(text) => text,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error).with_context(|| format!("{} cannot be read", path.display())),
    };
    // The cause may quote the text, and the text is secret: only the place is told.
    let value = serde_json::from_slice(&text).map_err(|error| {
        anyhow::anyhow!("{} is damaged at line {}; restore it from a backup", path.display(), error.line())
    })?;
    Ok(Some(value))
}

/// Writes the file with mode 0600, durably, in place of what was there.
pub(crate) fn write<T: Serialize>(path: &Path, value: &T) -> anyhow::Result<()> {
    write_text(path, &(serde_json::to_string_pretty(value)? + "\n"))
}

/// The same for what is text.
pub(crate) fn write_text(path: &Path, text: &str) -> anyhow::Result<()> {
    let folder = path.parent().context("a file needs a folder")?;
    let replace = || -> std::io::Result<()> {
        // A temporary file has mode 0600 from its first moment.
        let mut file = tempfile::NamedTempFile::new_in(folder)?;
        file.write_all(text.as_bytes())?;
        file.as_file().sync_all()?;
        file.persist(path)?;
        File::open(folder)?.sync_all()
    };
    replace().with_context(|| format!("{} cannot be written", path.display()))
}

/// Removes the file, if it is there.
pub(crate) fn remove(path: &Path) -> anyhow::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => {
            Err(error).with_context(|| format!("{} cannot be removed", path.display()))
        }
        _ => Ok(()),
    }
}

/// Writes a secret as its text: for the private files, and nowhere else.
pub(crate) fn expose<S: Serializer>(secret: &Secret, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(secret.expose())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn a_private_file_is_replaced_whole_and_readable_by_its_owner_only() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("keys.json");
        assert_eq!(find::<String>(&path).unwrap(), None);
        write(&path, &"one").unwrap();
        write(&path, &"two").unwrap();
        assert_eq!(find::<String>(&path).unwrap().as_deref(), Some("two"));
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "nothing is left beside it");
    }

    #[test]
    fn a_damaged_file_is_named_without_its_content() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("keys.json");
        fs::write(&path, "[\"hunter2\"").unwrap();
        let error = format!("{:#}", find::<String>(&path).unwrap_err());
        assert!(error.contains("damaged") && !error.contains("hunter2"), "{error}");
    }
}
