//! The data file: replaced whole, so that a crash leaves the old one or the new one.

use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use super::state::State;

/// Why the state could not be read or kept.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The file could not be read or written.
    #[error("the data file cannot be used: {0}")]
    Io(#[from] io::Error),
    /// The file is not one of ours.
    #[error("the data file is not one that this stand-in wrote (remove it to start afresh): {0}")]
    Format(#[from] serde_json::Error),
    /// A change is in memory only.
    #[error("the change could not be written to the data file")]
    NotSaved,
}

/// Reads the state; a file that is not there yet is an empty one.
pub(super) async fn load(path: &Path) -> Result<State, StoreError> {
    match tokio::fs::read(path).await {
        Ok(bytes) => Ok(serde_json::from_slice::<State>(&bytes)?.indexed()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(State::default()),
        Err(error) => Err(error.into()),
    }
}

/// Puts these bytes in the file's place.
pub(super) async fn replace(path: PathBuf, bytes: Vec<u8>) -> Result<(), StoreError> {
    let write = tokio::task::spawn_blocking(move || replace_blocking(&path, &bytes));
    Ok(write.await.map_err(io::Error::other)??)
}

fn replace_blocking(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut beside = path.as_os_str().to_owned();
    beside.push(".new");
    let mut file = File::create(&beside)?;
    file.write_all(bytes)?;
    file.sync_data()?;
    std::fs::rename(&beside, path)
}
