//! A local stand-in for Stripe: the calls of its API that Mercato makes, a pay page, signed events with redelivery, and a
//! control API for tests. It answers wrong calls as Stripe does. No production service depends on it.
//!
//! ```no_run
//! # async fn demo() -> Result<(), Box<dyn std::error::Error>> {
//! use stripe_sim::{SimConfig, StripeSim, WebhookEndpoint};
//! use tokio_util::sync::CancellationToken;
//!
//! let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
//! let mut config = SimConfig::new(listener);
//! config.endpoints = vec![WebhookEndpoint::new("http://127.0.0.1:8080/stripe/webhook", "whsec_demo")];
//! let stop = CancellationToken::new();
//! let running = StripeSim::start(config, stop.clone()).await?;
//! println!("Stripe's API is at {}", running.url());
//! stop.cancel();
//! running.stopped().await;
//! # Ok(()) }
//! ```

mod ambient;
mod app;
pub mod cli;
mod delivery;
pub mod domain;
mod http;
mod running;
mod store;

pub use domain::delivery::RetrySchedule;
pub use running::{DEFAULT_API_KEY, Running, SimConfig, StartError, StripeSim, WebhookEndpoint};
pub use store::StoreError;
