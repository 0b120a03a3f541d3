//! What the stand-in remembers: in memory, and in a file where one is named.

mod file;
mod state;
mod table;

use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{Notify, watch};
use tokio_util::sync::CancellationToken;

pub use file::StoreError;
pub(crate) use state::{SavedAnswer, State, configured_id};

/// The state behind a lock that is never held across an await, and the file that follows it.
pub(crate) struct Store {
    inner: Mutex<Versioned>,
    dirty: Notify,
    saved: watch::Sender<Saved>,
    file: Option<PathBuf>,
}

struct Versioned {
    state: State,
    version: u64,
}

#[derive(Clone, Copy)]
struct Saved {
    version: u64,
    failures: u64,
}

impl Store {
    /// Reads the file, where there is one.
    pub(crate) async fn open(file: Option<PathBuf>) -> Result<Arc<Self>, StoreError> {
        let state = match &file {
            Some(path) => file::load(path).await?,
            None => State::default(),
        };
        let (saved, _) = watch::channel(Saved { version: 0, failures: 0 });
        let inner = Mutex::new(Versioned { state, version: 0 });
        Ok(Arc::new(Self { inner, dirty: Notify::new(), saved, file }))
    }

    /// Looks at the state.
    pub(crate) fn read<R>(&self, look: impl FnOnce(&State) -> R) -> R {
        look(&self.lock().state)
    }

    /// Changes what is not kept in the file: which deliveries are in flight.
    pub(crate) fn touch<R>(&self, change: impl FnOnce(&mut State) -> R) -> R {
        change(&mut self.lock().state)
    }

    /// Changes the state; returns when the file has the change. Changes that come together are written together.
    pub(crate) async fn change<R>(&self, change: impl FnOnce(&mut State) -> R) -> Result<R, StoreError> {
        let mut saved = self.saved.subscribe();
        let failures = saved.borrow().failures;
        let (result, version) = {
            let mut inner = self.lock();
            inner.version += 1;
            (change(&mut inner.state), inner.version)
        };
        if self.file.is_none() {
            return Ok(result);
        }
        self.dirty.notify_one();
        let seen = saved.wait_for(|saved| saved.version >= version || saved.failures > failures).await;
        match seen {
            Ok(saved) if saved.version >= version => Ok(result),
            _ => Err(StoreError::NotSaved),
        }
    }

    /// Writes the file after each change until told to stop, and then once more. Does nothing without a file.
    pub(crate) async fn keep_saving(self: Arc<Self>, stop: CancellationToken) {
        let Some(path) = self.file.clone() else { return };
        while stop.run_until_cancelled(self.dirty.notified()).await.is_some() {
            self.save(&path).await;
        }
        self.save(&path).await;
    }

    async fn save(&self, path: &std::path::Path) {
        let (snapshot, version) = {
            let inner = self.lock();
            (serde_json::to_vec(&inner.state), inner.version)
        };
        let written = match snapshot {
            Ok(bytes) => file::replace(path.to_owned(), bytes).await,
            Err(error) => Err(error.into()),
        };
        if let Err(error) = &written {
            tracing::error!(%error, "the data file could not be written");
        }
        self.saved.send_modify(|saved| match written {
            Ok(()) => saved.version = version,
            Err(_) => saved.failures += 1,
        });
    }

    fn lock(&self) -> MutexGuard<'_, Versioned> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
