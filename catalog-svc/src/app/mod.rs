//! The use cases: load → decide → save, and what is announced with it.

mod errors;
mod hosted;
mod import;
mod package;
mod read;
mod vendors;
mod yank;

use std::{sync::Arc, time::Duration};

use anyhow::Context as _;
pub(crate) use errors::too_large;
pub use hosted::Rotated;
pub use import::{Import, Imported};
use platform::{Clock, Ids, Random, db::Db, sealing::Sealer};
pub use read::Feed;
use tokio::sync::Semaphore;
pub use vendors::NewVendor;
use wire::{
    keys::{KeyError, SigningKey, VerifyingKey},
    package::Limits,
};

use crate::{
    artifacts::Artifacts,
    config::{CatalogConfig, Config},
    domain::PublicKey,
    projection::Projection,
};

/// There from the start: a counter that appears with its first event has no rate for it.
const COUNTERS: [&str; 3] = [
    "catalog_releases_published_total",
    "catalog_releases_yanked_total",
    "catalog_app_secrets_rotated_total",
];
/// Each import holds a whole ZIP in memory.
const IMPORTS_AT_ONCE: usize = 2;

/// What the use cases work with; cheap to clone.
#[derive(Clone)]
pub struct App {
    db: Db,
    clock: Clock,
    random: Random,
    ids: Ids,
    artifacts: Artifacts,
    projection: Projection,
    signer: Arc<Signer>,
    /// Seals this service's rows.
    sealer: Sealer,
    /// Seals what travels.
    bus_sealer: Sealer,
    minimum_notice: Duration,
    limits: Limits,
    imports: Arc<Semaphore>,
}

impl App {
    /// Over the service's parts.
    pub fn new(
        config: &Config,
        common: &platform::Parts,
        db: Db,
        artifacts: Artifacts,
        projection: Projection,
    ) -> anyhow::Result<Self> {
        for name in COUNTERS {
            metrics::counter!(name).increment(0);
        }
        Ok(Self {
            db,
            clock: common.clock.clone(),
            random: common.random.clone(),
            ids: common.ids(),
            artifacts,
            projection,
            signer: Arc::new(
                Signer::new(&config.catalog).context("catalog: the marketplace's keys cannot be used")?,
            ),
            sealer: Sealer::new(&config.sealing, common.random.clone())?,
            bus_sealer: Sealer::new(&config.bus_sealing, common.random.clone())?,
            minimum_notice: config.catalog.minimum_notice(),
            limits: Limits { archive_bytes: config.catalog.max_package_bytes, ..Limits::default() },
            imports: Arc::new(Semaphore::new(IMPORTS_AT_ONCE)),
        })
    }

    /// The keys that verify the marketplace's signatures, the present one first.
    #[must_use]
    pub fn marketplace_keys(&self) -> &[PublicKey] {
        &self.signer.public_keys
    }

    /// Shows this replica's readers at once what has just been committed. It is committed in any case: where this
    /// fails, the follower reloads it.
    async fn refresh(&self, marketplace_ids: &[String]) {
        if let Err(error) = self.projection.reload(marketplace_ids).await {
            tracing::warn!(?error, "what was written is not shown yet; it will be with its event");
        }
    }
}

/// Vouches for releases in the marketplace's name.
struct Signer {
    key: SigningKey,
    public_keys: Vec<PublicKey>,
}

impl Signer {
    fn new(config: &CatalogConfig) -> Result<Self, KeyError> {
        let key: SigningKey = config.signing_key.expose().parse()?;
        let mut public_keys = vec![PublicKey::from(key.verifying_key())];
        for earlier in &config.previous_keys {
            public_keys.push(earlier.parse::<VerifyingKey>()?.into());
        }
        Ok(Self { key, public_keys })
    }
}
