//! Use cases: load, decide, save, announce, in one transaction.

mod installations;
mod instances;
mod keyring;
mod licenses;
mod meters;
mod releases;
mod sales;
mod seats;
mod verify;

use std::sync::Arc;

use platform::{
    AppError, AppResult, Clock, Ids, Parts, Random,
    db::{Db, Tx},
    sealing::Sealer,
    secret::Secret,
};
use proto::events::{LicenseChanged, purpose as bus_purpose, subject};

use self::meters::Meters;
pub(crate) use self::{
    installations::{Shown, Wanted},
    instances::{Credentials, Registration},
    keyring::Keyring,
    licenses::OwnLicense,
    verify::{Answer, Asked, license_key},
};
use crate::{
    config::Config,
    domain::license::{Act, License},
};

/// What this service's own rows are sealed for.
mod purpose {
    pub(super) const API_KEY: &str = "installation.api_key";
    pub(super) const LICENSE_KEY: &str = "license.key";
    pub(super) const WEBHOOK_SECRET: &str = "instance.webhook_secret";
}

/// The use cases on their parts; cheap to clone.
#[derive(Clone)]
pub(crate) struct App {
    db: Db,
    clock: Clock,
    random: Random,
    ids: Ids,
    /// Seals this service's rows.
    sealer: Sealer,
    /// Seals what travels.
    bus_sealer: Sealer,
    keyring: Arc<Keyring>,
    meters: Arc<Meters>,
}

impl App {
    /// The use cases of the configuration on the given parts.
    pub(crate) fn new(config: &Config, parts: &Parts, db: Db) -> anyhow::Result<Self> {
        Ok(Self {
            db,
            clock: parts.clock.clone(),
            random: parts.random.clone(),
            ids: parts.ids(),
            sealer: Sealer::new(&config.sealing, parts.random.clone())?,
            bus_sealer: Sealer::new(&config.bus_sealing, parts.random.clone())?,
            keyring: Arc::new(Keyring::new(&config.license)?),
            meters: Arc::new(Meters::new()),
        })
    }

    /// The marketplace's own keys.
    pub(crate) fn keyring(&self) -> &Keyring {
        &self.keyring
    }

    /// Tells everyone who remembers anything about the licence to forget it.
    async fn announce_change(&self, tx: &Tx, license: &License) -> AppResult<()> {
        self.announce(tx, subject::LICENSE_CHANGED, &change_of(license)).await
    }

    /// The same where something was done to the licence that its shop is told of, with its key.
    async fn announce_act(&self, tx: &Tx, license: &License, act: Act, key: &Secret) -> AppResult<()> {
        let event = LicenseChanged {
            act: Some(act.done().to_owned()),
            sealed_license_key: self.bus_sealer.seal(bus_purpose::LICENSE_KEY, key.as_bytes())?,
            ..change_of(license)
        };
        self.announce(tx, subject::LICENSE_CHANGED, &event).await
    }

    async fn announce(&self, tx: &Tx, subject: &str, event: &impl prost::Message) -> AppResult<()> {
        Ok(platform::outbox::announce(&**tx, &self.ids, self.clock.now_ms(), subject, event).await?)
    }
}

fn change_of(license: &License) -> LicenseChanged {
    LicenseChanged {
        license_id: license.id.clone(),
        status: license.status.as_str().to_owned(),
        instance_id: license.instance_id.clone(),
        marketplace_id: license.marketplace_id.clone(),
        reason: license.reason.clone(),
        ..LicenseChanged::default()
    }
}

fn no_instance() -> AppError {
    AppError::not_found("there is no instance with this id; it is told when the shop is registered")
}

fn no_license() -> AppError {
    AppError::not_found("there is no licence with this id")
}
