//! From a configuration to a running stand-in, and its end.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use serde::Deserialize;
use tokio::net::TcpListener;
use tokio::sync::Notify;
use tokio::task::{JoinError, JoinHandle, JoinSet};
use tokio_util::sync::CancellationToken;
use url::Url;

use crate::app::{KEY_LIFETIME, Sim, expire_until};
use crate::delivery::{Sender, deliver_until};
use crate::domain::delivery::{Endpoint, RetrySchedule};
use crate::domain::error::ApiError;
use crate::store::{State, Store, StoreError, configured_id};
use crate::{ambient, http};

/// The key that is taken where none is configured. It opens nothing but a stand-in.
pub const DEFAULT_API_KEY: &str = "sk_test_mercato";

/// A place that events are sent to.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WebhookEndpoint {
    /// Where to.
    pub url: String,
    /// `whsec_…`
    pub secret: String,
    /// Types or groups of events (`charge.*`).
    #[serde(default = "everything")]
    pub enabled_events: Vec<String>,
}

impl WebhookEndpoint {
    /// An endpoint that takes every event.
    #[must_use]
    pub fn new(url: impl Into<String>, secret: impl Into<String>) -> Self {
        Self { url: url.into(), secret: secret.into(), enabled_events: everything() }
    }

    pub(crate) fn checked(self) -> Result<Self, StartError> {
        let web = Url::parse(&self.url).is_ok_and(|url| matches!(url.scheme(), "http" | "https"));
        if !web || !self.secret.starts_with("whsec_") || self.enabled_events.is_empty() {
            return Err(StartError::Endpoint);
        }
        Ok(self)
    }

    pub(crate) fn with_id(self, id: String) -> Endpoint {
        Endpoint { id, url: self.url, secret: self.secret, enabled_events: self.enabled_events }
    }
}

fn everything() -> Vec<String> {
    vec!["*".into()]
}

/// What a stand-in is started with.
#[derive(Debug)]
pub struct SimConfig {
    /// Where it listens.
    pub listener: TcpListener,
    /// How a browser reaches it; the listener's address where it is `None`.
    pub public_url: Option<String>,
    /// The one key it takes.
    pub api_key: String,
    /// Where events are sent. The n-th keeps what is undelivered across restarts, even at a new address.
    pub endpoints: Vec<WebhookEndpoint>,
    /// The file that keeps the state across restarts.
    pub data: Option<PathBuf>,
    /// When a failed delivery is tried again.
    pub retry: RetrySchedule,
}

impl SimConfig {
    /// The usual configuration at this address: no endpoint, in memory only.
    #[must_use]
    pub fn new(listener: TcpListener) -> Self {
        Self {
            listener,
            public_url: None,
            api_key: DEFAULT_API_KEY.into(),
            endpoints: Vec::new(),
            data: None,
            retry: RetrySchedule::default(),
        }
    }
}

/// Why a stand-in did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The key is not one of a test account.
    #[error("the API key of a stand-in starts with sk_test_")]
    Key,
    /// An endpoint is not usable.
    #[error(
        "an endpoint is an http or https URL, a secret that starts with whsec_, and at least one event type or *"
    )]
    Endpoint,
    /// The data file is not usable.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The listener has no address.
    #[error("the listener is not usable: {0}")]
    Listener(#[from] std::io::Error),
    /// No HTTP client could be made.
    #[error("no HTTP client could be made: {0}")]
    Client(#[from] reqwest::Error),
}

/// The stand-in.
#[derive(Debug)]
pub struct StripeSim;

impl StripeSim {
    /// Starts it; it runs until `stop` is cancelled.
    pub async fn start(config: SimConfig, stop: CancellationToken) -> Result<Running, StartError> {
        let address = config.listener.local_addr()?;
        let endpoints = configured(&config.endpoints)?;
        let store = Store::open(config.data.clone()).await?;
        let sim = Arc::new(assemble(&config, address, Arc::clone(&store))?);
        // Saving outlives the rest, so that what the last requests changed is kept.
        let end_of_saving = CancellationToken::new();
        let saver = tokio::spawn(Arc::clone(&store).keep_saving(end_of_saving.clone()));
        let saving = end_of_saving.drop_guard();
        store.change(|state| begin(state, endpoints)).await?;
        let mut tasks = JoinSet::new();
        tasks.spawn(deliver_until(Arc::clone(&sim), stop.clone()));
        tasks.spawn(expire_until(Arc::clone(&sim), stop.clone()));
        tasks.spawn(serve(config.listener, Arc::clone(&sim), stop));
        let tasks = tokio::spawn(async move {
            tasks.join_all().await;
            drop(saving);
            saver.await
        });
        Ok(Running { address, sim, tasks })
    }
}

fn assemble(config: &SimConfig, address: SocketAddr, store: Arc<Store>) -> Result<Sim, StartError> {
    if !config.api_key.starts_with("sk_test_") {
        return Err(StartError::Key);
    }
    Ok(Sim {
        store,
        sender: Sender::new()?,
        schedule: config.retry.clone(),
        public_url: config.public_url.clone().unwrap_or_else(|| format!("http://{address}")),
        api_key: config.api_key.clone(),
        delivery_wanted: Notify::new(),
        expiry_changed: Notify::new(),
    })
}

fn configured(endpoints: &[WebhookEndpoint]) -> Result<Vec<Endpoint>, StartError> {
    let numbered = endpoints.iter().cloned().enumerate();
    numbered.map(|(place, endpoint)| Ok(endpoint.checked()?.with_id(configured_id(place)))).collect()
}

fn begin(state: &mut State, endpoints: Vec<Endpoint>) {
    let now = ambient::now();
    state.set_configured(endpoints);
    state.answers.retain(|_, answer| now - answer.at < KEY_LIFETIME);
}

async fn serve(listener: TcpListener, sim: Arc<Sim>, stop: CancellationToken) {
    let server = axum::serve(listener, http::router(&sim)).with_graceful_shutdown(stop.cancelled_owned());
    if let Err(error) = server.await {
        tracing::error!(%error, "the server ended");
    }
}

/// A stand-in that runs.
pub struct Running {
    address: SocketAddr,
    sim: Arc<Sim>,
    tasks: JoinHandle<Result<(), JoinError>>,
}

impl Running {
    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// How it is reached, by browsers and as the base of the API.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.sim.public_url
    }

    /// Adds an endpoint for the events from now on, and gives its id.
    pub async fn add_endpoint(&self, endpoint: WebhookEndpoint) -> Result<String, StartError> {
        let endpoint = endpoint.checked()?.with_id(ambient::id("we_"));
        let added: Result<_, ApiError> = self.sim.add_endpoint(endpoint).await;
        added.map(|endpoint| endpoint.id).map_err(|_| StartError::Store(StoreError::NotSaved))
    }

    /// Waits until it has stopped, which it does when its token is cancelled.
    pub async fn stopped(self) {
        if let Err(error) = self.tasks.await.and_then(|saved| saved) {
            tracing::error!(%error, "the stand-in ended badly");
        }
    }
}
