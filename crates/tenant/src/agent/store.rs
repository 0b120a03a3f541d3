//! The state file: one JSON document, replaced in one step. Memory never knows more than the disk.

use std::{
    fs, io,
    path::{Path, PathBuf},
    sync::Arc,
};

use platform::Random;
use thiserror::Error;
use tokio::sync::{Mutex, watch};

use super::domain::State;
use crate::disk;

/// Why the state can't be read or kept.
#[derive(Debug, Error)]
pub enum StoreError {
    /// The disk said no.
    #[error(
        "the shop's state file can't be read or written; check the data folder's space and permissions: {0}"
    )]
    Disk(#[from] io::Error),
    /// It is not ours, or of a newer version of this program.
    #[error(
        "the shop's state file can't be understood; bring back a backup of it, or the program's newer version"
    )]
    Unreadable,
}

/// The state of the shop.
pub(crate) struct StateFile {
    path: PathBuf,
    /// Held while a change is being written, so that changes come one after the other.
    writing: Arc<Mutex<()>>,
    current: watch::Sender<Arc<State>>,
}

impl StateFile {
    pub(crate) fn open(path: PathBuf, random: &Random) -> Result<Self, StoreError> {
        let state = if let Some(state) = read(&path)? {
            state
        } else {
            let state = State::new(hex::encode(random.bytes::<32>()));
            write(&path, &state)?;
            state
        };
        Ok(Self { path, writing: Arc::default(), current: watch::Sender::new(Arc::new(state)) })
    }

    /// The state as it is now.
    pub(crate) fn get(&self) -> Arc<State> {
        Arc::clone(&self.current.borrow())
    }

    /// Sees every change from now on.
    pub(crate) fn watch(&self) -> watch::Receiver<Arc<State>> {
        self.current.subscribe()
    }

    /// Changes the state. It is on the disk when this returns; if it can't be, nothing has changed.
    pub(crate) async fn change<R>(&self, change: impl FnOnce(&mut State) -> R) -> Result<R, StoreError> {
        let writing = Arc::clone(&self.writing).lock_owned().await;
        let mut next = State::clone(&self.get());
        let result = change(&mut next);
        let (path, current) = (self.path.clone(), self.current.clone());
        // Whoever asked may go away while the disk is slow: the lock stays with the write until it is done, so that
        // no later change can be overtaken by this one.
        let written = tokio::task::spawn_blocking(move || {
            write(&path, &next)?;
            current.send_replace(Arc::new(next));
            drop(writing);
            Ok::<_, StoreError>(())
        });
        written.await.map_err(io::Error::other)??;
        Ok(result)
    }
}

fn read(path: &Path) -> Result<Option<State>, StoreError> {
    match fs::read(path) {
        Ok(json) => serde_json::from_slice(&json).map(Some).map_err(|_| StoreError::Unreadable),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error.into()),
    }
}

fn write(path: &Path, state: &State) -> Result<(), StoreError> {
    let json = serde_json::to_vec_pretty(state).map_err(|_| StoreError::Unreadable)?;
    Ok(disk::replace_file(path, &json)?)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn open(folder: &Path) -> Result<StateFile, StoreError> {
        StateFile::open(folder.join("state.json"), &Random::seeded(1))
    }

    #[tokio::test]
    async fn what_changed_is_there_after_a_restart() {
        let folder = tempfile::tempdir().unwrap();
        let file = open(folder.path()).unwrap();
        file.change(|state| state.seen.insert("dly_1".to_owned(), 5)).await.unwrap();
        assert_eq!(open(folder.path()).unwrap().get().seen["dly_1"], 5);
    }

    #[tokio::test]
    async fn what_cannot_be_kept_has_not_happened() {
        let folder = tempfile::tempdir().unwrap();
        let file = open(folder.path()).unwrap();
        fs::remove_dir_all(folder.path()).unwrap();
        assert!(file.change(|state| state.seen.insert("dly_1".to_owned(), 5)).await.is_err());
        assert!(file.get().seen.is_empty());
    }

    #[test]
    fn a_file_of_another_kind_is_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("state.json"), "{}").unwrap();
        assert!(matches!(open(folder.path()), Err(StoreError::Unreadable)));
        assert_eq!(fs::read(folder.path().join("state.json")).unwrap(), b"{}");
    }
}
