//! The gateway's use cases: what a call asks of the services, in which order, and what may be told from memory.

mod cache;
mod checkout;
mod download;
mod feed;
pub(crate) mod follow;
mod installations;
mod introspect;
mod keys;
mod services;
mod settling;
mod vendors;
mod verify;

use std::{sync::Arc, time::Duration};

pub(crate) use checkout::CheckoutQuestion;
pub(crate) use download::{DownloadQuestion, TicketPath};
pub(crate) use feed::{FeedQuestion, FeedView};
pub(crate) use installations::{InstallQuestion, InstallationFilter, ShownInstallation, UpdateQuestion};
use platform::{Clock, Shutdown, secret::Secret};
use proto::license::Introspection;
pub(crate) use services::answer;
pub(crate) use vendors::{InUseFilter, VendorCaller};
pub(crate) use verify::{Answer, VerifyQuestion};

use self::{cache::FreshCache, services::Services, settling::InstallationChanges, verify::Verifications};
use crate::Config;

/// Keys are asked for again after this long, should the event of a change be lost.
const KEYS_LIVE: Duration = Duration::from_mins(1);
/// contracts.md section 5: an answer from the cache is at most 5 s old.
const VERIFY_LIVES: Duration = Duration::from_secs(5);
/// As with licences: what a change that is never told would leave standing.
const INTROSPECTION_LIVES: Duration = Duration::from_secs(5);
/// A catalogue replica may be this far behind the one that told of the change.
const FEED_LIVES: Duration = Duration::from_secs(2);

/// The gateway at work; cheap to clone.
#[derive(Clone)]
pub(crate) struct App(Arc<State>);

pub(crate) struct State {
    pub(crate) services: Services,
    pub(crate) clock: Clock,
    pub(crate) public_url: String,
    admin_keys: Vec<Secret>,
    download_keys: Vec<Vec<u8>>,
    keys: FreshCache<[u8; 32], String, keys::KeyHolder>,
    vendors: FreshCache<[u8; 32], String, Arc<VendorCaller>>,
    verified: FreshCache<[u8; 32], String, Arc<Answer>>,
    verifications: Verifications,
    introspected: FreshCache<[u8; 32], String, Introspection>,
    installation_changes: InstallationChanges,
    shutdown: Shutdown,
    feed: FreshCache<FeedQuestion, String, Arc<dyn std::any::Any + Send + Sync>>,
}

impl std::ops::Deref for App {
    type Target = State;

    fn deref(&self) -> &State {
        &self.0
    }
}

impl App {
    pub(crate) fn new(config: &Config, common: &platform::Parts, shutdown: Shutdown) -> anyhow::Result<Self> {
        Ok(Self(Arc::new(State {
            services: Services::connect(&config.peers, &config.identity)?,
            clock: common.clock.clone(),
            public_url: config.http.public_url.trim_end_matches('/').to_owned(),
            admin_keys: config.operator.keys.split(',').map(|key| Secret::new(key.trim())).collect(),
            download_keys: config.downloads.decode().map_err(anyhow::Error::msg)?,
            keys: FreshCache::new("keys", 100_000, KEYS_LIVE),
            vendors: FreshCache::new("vendors", 10_000, KEYS_LIVE),
            verified: FreshCache::new("verify", 100_000, VERIFY_LIVES),
            verifications: Verifications::new(),
            introspected: FreshCache::new("introspection", 100_000, INTROSPECTION_LIVES),
            installation_changes: InstallationChanges::new(),
            shutdown,
            feed: FreshCache::new("feed", 2_000, FEED_LIVES),
        })))
    }
}
