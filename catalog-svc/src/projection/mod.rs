//! What is published, in memory: maps and a search index.
//!
//! Readers take the present [`Snapshot`] and hold no lock. Writers work one after the other, each on what the store
//! says now, so that the last to write has seen every earlier commit.

mod follow;
mod search;
mod snapshot;

use std::{collections::BTreeSet, sync::Arc};

pub use follow::follow;
use platform::{AppError, AppResult, db::Db};
use search::SearchIndex;
pub use snapshot::Snapshot;
use tokio::{
    sync::{Mutex, watch},
    task::spawn_blocking,
};

use crate::{domain::Product, store};

/// The projection of one replica; cheap to clone.
#[derive(Clone)]
pub struct Projection {
    db: Db,
    current: watch::Sender<Option<Arc<Snapshot>>>,
    writing: Arc<Mutex<()>>,
}

impl Projection {
    /// An empty one that is not loaded yet.
    #[must_use]
    pub fn new(db: Db) -> Self {
        Self { db, current: watch::Sender::new(None), writing: Arc::default() }
    }

    /// What is published now.
    pub fn snapshot(&self) -> AppResult<Arc<Snapshot>> {
        let loading = || AppError::unavailable("the catalogue is still being loaded; try again shortly");
        self.current.borrow().clone().ok_or_else(loading)
    }

    /// Tells of each change.
    #[must_use]
    pub fn subscribe(&self) -> watch::Receiver<Option<Arc<Snapshot>>> {
        self.current.subscribe()
    }

    /// Loads everything anew.
    pub async fn load(&self) -> AppResult<()> {
        let _writing = self.writing.lock().await;
        let products = store::list_products(self.db.read(), None).await?;
        let count = products.len();
        let loaded = off_thread(move || Snapshot::new(&SearchIndex::new()?, products)).await?;
        self.current.send_replace(Some(Arc::new(loaded)));
        tracing::info!(apps = count, "catalogue loaded");
        Ok(())
    }

    /// Loads these apps anew.
    pub async fn reload(&self, marketplace_ids: &[String]) -> AppResult<()> {
        let _writing = self.writing.lock().await;
        // What is not loaded yet is going to be loaded with these changes.
        let Ok(snapshot) = self.snapshot() else { return Ok(()) };
        let products = store::list_products(self.db.read(), Some(marketplace_ids)).await?;
        let changed: Vec<Product> = products.into_iter().filter(|product| !snapshot.holds(product)).collect();
        if !changed.is_empty() {
            let next = off_thread(move || snapshot.with(changed)).await?;
            self.current.send_replace(Some(Arc::new(next)));
        }
        Ok(())
    }

    async fn refresh(&self, pending: &Pending) -> AppResult<()> {
        match pending {
            Pending::Everything => self.load().await,
            Pending::Apps(ids) => self.reload(&ids.iter().cloned().collect::<Vec<_>>()).await,
        }
    }
}

/// What has changed and is not reloaded yet.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Pending {
    Everything,
    Apps(BTreeSet<String>),
}

impl Pending {
    fn nothing() -> Self {
        Self::Apps(BTreeSet::new())
    }

    fn is_nothing(&self) -> bool {
        matches!(self, Self::Apps(ids) if ids.is_empty())
    }

    fn add(&mut self, marketplace_id: String) {
        if let Self::Apps(ids) = self {
            ids.insert(marketplace_id);
        }
    }
}

/// Indexing takes long enough to hold up a thread that serves others.
async fn off_thread<T: Send + 'static>(
    work: impl FnOnce() -> tantivy::Result<T> + Send + 'static,
) -> AppResult<T> {
    spawn_blocking(work).await.map_err(AppError::unexpected)?.map_err(AppError::unexpected)
}
