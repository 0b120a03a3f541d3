//! The agent: the marketplace tab, the receiver of licences and the installer of one shop, in one process.

mod app;
pub mod cli;
mod config;
mod domain;
mod http;
mod store;

use std::{net::SocketAddr, sync::Arc};

use platform::{Shutdown, lifecycle::Tasks};
use tokio::{net::TcpListener, task::JoinHandle};
use url::Url;

use crate::{client::ClientError, install::Plugins};
use app::App;
pub use config::AgentConfig;
use store::{StateFile, StoreError};

/// The agent.
#[derive(Debug)]
pub struct Agent;

/// Why an agent did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The data folder is not usable.
    #[error("the data folder can't be used; check its permissions: {0}")]
    Data(#[from] std::io::Error),
    /// The state file is not usable.
    #[error(transparent)]
    State(#[from] StoreError),
    /// The marketplace's address or a key is malformed.
    #[error(transparent)]
    Client(#[from] ClientError),
}

impl Agent {
    /// Mends what a crash left, takes up what was begun, and serves until `shutdown`.
    pub async fn start(
        config: AgentConfig,
        listener: TcpListener,
        shutdown: Shutdown,
    ) -> Result<Running, StartError> {
        let address = listener.local_addr()?;
        let url = config.public_url.clone();
        let drain = config.drain;
        // Recovery and the first write touch the disk.
        let app = tokio::task::spawn_blocking(|| assemble(config)).await.map_err(std::io::Error::other)??;
        let mut tasks = Tasks::new(shutdown);
        tasks.spawn_quiet("installer", Arc::clone(&app).install_until(tasks.shutdown()));
        tasks.spawn_quiet("licences", Arc::clone(&app).verify_licenses_until(tasks.shutdown()));
        tasks.spawn("http", http::serve(listener, app, tasks.shutdown()));
        let ended = tokio::spawn(async move { Ok(tasks.run_to_end(drain).await?) });
        Ok(Running { address, url, ended })
    }
}

fn assemble(config: AgentConfig) -> Result<Arc<App>, StartError> {
    std::fs::create_dir_all(&config.data)?;
    let plugins = Plugins::open(config.data.join("plugins"), config.limits)?;
    let statics = Plugins::open(config.data.join("static"), config.limits)?;
    let state = StateFile::open(config.data.join("state.json"), &config.random)?;
    Ok(Arc::new(App::new(config, state, plugins, statics)?))
}

/// An agent that runs.
#[derive(Debug)]
pub struct Running {
    address: SocketAddr,
    url: Url,
    ended: JoinHandle<anyhow::Result<()>>,
}

impl Running {
    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// How browsers and the marketplace reach it, without a slash at the end.
    #[must_use]
    pub fn url(&self) -> &str {
        self.url.as_str().trim_end_matches('/')
    }

    /// Waits for its end, which comes with its shutdown, or with the failure of one of its parts.
    pub async fn stopped(self) -> anyhow::Result<()> {
        self.ended.await?
    }
}
