//! The backend of a hosted app, small enough to copy.
//!
//! The marketplace posts to `/install` when a shop installs, updates or removes the app (`install.rs`, contracts.md
//! section 4); what a shop sent is kept in a file of its own (`shops.rs`); `/` shows which shops there are.
//! `docs/hosted-apps.md` is the guide that goes with it.

pub mod cli;
mod install;
mod page;
mod shops;
#[cfg(test)]
mod tests;

use std::{
    io,
    path::PathBuf,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use axum::{
    Router,
    extract::DefaultBodyLimit,
    routing::{get, post},
};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use wire::open2b::Accepted;

use shops::Shops;

/// A callback has some 600 bytes.
const MAX_BODY: usize = 64 * 1024;

/// Tells the time in Unix seconds.
pub type Clock = Arc<dyn Fn() -> i64 + Send + Sync>;

/// What the app needs to know.
#[derive(Clone)]
pub struct Settings {
    /// The app's secret; two during a rotation.
    pub secrets: Vec<Accepted>,
    /// The folder for what the shops sent. It is made if it is missing.
    pub data_dir: PathBuf,
    /// The time.
    pub clock: Clock,
}

/// The running app; clones share it.
#[derive(Clone)]
pub struct App {
    secrets: Arc<[Accepted]>,
    /// Taken for a whole callback, so that one that comes twice at once is saved once after the other.
    shops: Arc<Mutex<Shops>>,
    clock: Clock,
}

impl App {
    /// Opens the folder.
    pub fn open(settings: Settings) -> io::Result<Self> {
        let shops = Shops::open(settings.data_dir)?;
        Ok(Self {
            secrets: settings.secrets.into(),
            shops: Arc::new(Mutex::new(shops)),
            clock: settings.clock,
        })
    }

    fn now(&self) -> i64 {
        (self.clock)()
    }

    /// A panic leaves no half-written file, so the next one may go on.
    fn shops(&self) -> MutexGuard<'_, Shops> {
        self.shops.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The app's paths. No limit of time stands around them: a save goes on behind an answer that was given too early.
pub fn router(app: App) -> Router {
    Router::new()
        .route("/install", post(install::receive))
        .route("/", get(page::show))
        .layer(DefaultBodyLimit::max(MAX_BODY))
        .with_state(app)
}

/// Serves until `shutdown`; requests that have begun are answered first.
pub async fn serve(listener: TcpListener, settings: Settings, shutdown: CancellationToken) -> io::Result<()> {
    let app = App::open(settings)?;
    axum::serve(listener, router(app)).with_graceful_shutdown(shutdown.cancelled_owned()).await
}
