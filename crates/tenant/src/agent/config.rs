use std::{path::PathBuf, time::Duration};

use platform::{Clock, Random, secret::Secret};
use url::Url;
use wire::{package::Limits, standard_webhooks::WebhookSecret};

use crate::client::ClientConfig;

/// What an agent is started with.
#[derive(Clone)]
pub struct AgentConfig {
    /// How browsers and the marketplace reach the shop.
    pub public_url: Url,
    /// Keeps the state file, the plugins and the static apps.
    pub data: PathBuf,
    /// The marketplace; without it the shop shows its local plugins only.
    pub marketplace: Option<ClientConfig>,
    /// Verify what the marketplace posts; two during a rotation.
    pub webhook_secrets: Vec<WebhookSecret>,
    /// The buyer's address at checkout.
    pub admin_email: Option<Secret>,
    /// Asked for on the administrator's pages (user name `admin`); without it they are open to whoever reaches them.
    pub admin_password: Option<Secret>,
    /// The bounds on an app's ZIP.
    pub limits: Limits,
    /// How long work in flight may take at the end.
    pub drain: Duration,
    /// The time.
    pub clock: Clock,
    /// Random bytes.
    pub random: Random,
}

impl AgentConfig {
    /// A shop that is connected to no marketplace.
    #[must_use]
    pub fn new(data: impl Into<PathBuf>, public_url: Url) -> Self {
        Self {
            public_url,
            data: data.into(),
            marketplace: None,
            webhook_secrets: Vec::new(),
            admin_email: None,
            admin_password: None,
            limits: Limits::default(),
            drain: Duration::from_secs(10),
            clock: Clock::system(),
            random: Random::system(),
        }
    }
}
