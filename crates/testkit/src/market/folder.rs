//! Where the processes write: gone after a test that passed, kept and named after one that failed.

use std::path::{Path, PathBuf};

use tempfile::TempDir;

/// Keeps the folder whatever happens.
const KEEP: &str = "MERCATO_KEEP_LOGS";

#[derive(Debug)]
pub(super) struct Folder(Option<TempDir>);

impl Folder {
    pub(super) fn new() -> anyhow::Result<Self> {
        Ok(Self(Some(tempfile::Builder::new().prefix("mercato-market-").tempdir()?)))
    }

    pub(super) fn path(&self) -> &Path {
        self.0.as_ref().map_or(Path::new(""), TempDir::path)
    }

    fn keep(&mut self) -> Option<PathBuf> {
        self.0.take().map(TempDir::keep)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let wanted = std::thread::panicking() || std::env::var_os(KEEP).is_some();
        if let Some(path) = wanted.then(|| self.keep()).flatten() {
            eprintln!("the processes' logs are in {}", path.display());
        }
    }
}
