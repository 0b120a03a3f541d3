//! What a shop runs to federate with a Mercato marketplace.
//!
//! As a library, for a shop that brings its own pages: the [`client`] of the marketplace, the verification of its
//! [`webhook`]s, of an [`artifact`] and of a [`license`] without the network, and the [`install`]er of apps.
//! As an [`agent`], all of it put together: the marketplace tab, the receiver of licences, the installer, in one process
//! that can also be embedded:
//!
//! ```no_run
//! # async fn shop() -> anyhow::Result<()> {
//! use platform::{Clock, Random, Shutdown};
//! use tenant::{Agent, AgentConfig};
//!
//! let listener = tokio::net::TcpListener::bind("127.0.0.1:4000").await?;
//! let mut config = AgentConfig::new("data/shop", "http://127.0.0.1:4000".parse()?);
//! config.webhook_secrets = vec!["whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSwMfKQ9r8GKYo=".parse()?];
//! let shutdown = Shutdown::new();
//! let running = Agent::start(config, listener, shutdown.clone()).await?;
//! println!("The shop's marketplace tab is at {}/admin/marketplace", running.url());
//! shutdown.cancel();
//! running.stopped().await?;
//! # Ok(()) }
//! ```

pub mod agent;
pub mod artifact;
pub mod client;
mod disk;
pub mod install;
pub mod license;
pub mod webhook;

pub use agent::{Agent, AgentConfig, Running};
pub use client::{Client, ClientConfig};
