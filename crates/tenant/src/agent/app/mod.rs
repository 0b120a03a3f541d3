//! The use cases.

mod buy;
mod catalogue;
mod installations;
mod installer;
mod licenses;
mod package;
mod receive;
mod status;
mod trust;

use std::{collections::BTreeMap, io, sync::Arc};

use platform::{Clock, Ids, Random};
use semver::Version;
use thiserror::Error;
use tokio::sync::Notify;
use wire::manifest::MarketplaceId;

use super::{
    AgentConfig, StartError,
    domain::State,
    store::{StateFile, StoreError},
};
use crate::{
    client::{Client, ClientError},
    install::{InstalledApp, Plugins},
    webhook::{Verifier, WebhookError},
};
pub(crate) use catalogue::{Catalogue, Listing, ListingState, Present, Progress, Question, Registered};
pub(crate) use installations::{Consent, Installations};
pub(crate) use status::ShopStatus;
pub(crate) use trust::Doubt;

/// One shop.
pub(crate) struct App {
    pub(crate) config: AgentConfig,
    client: Option<Client>,
    state: StateFile,
    plugins: Plugins,
    /// Apart from the plugins: what lies there is never run by the shop's backend.
    statics: Plugins,
    webhooks: Verifier,
    /// Told when the marketplace has changed a licence of this shop.
    licenses_in_doubt: Notify,
    clock: Clock,
    random: Random,
}

/// Why a use case did not do what was asked.
#[derive(Debug, Error)]
pub(crate) enum UseCaseError {
    #[error(transparent)]
    Marketplace(#[from] ClientError),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("the plugin folder can't be read; check its permissions")]
    Folder(#[from] io::Error),
    #[error(transparent)]
    Webhook(#[from] WebhookError),
    #[error(
        "this shop is connected to no marketplace; set CARPHACOM_FEDERATION_URL and CARPHACOM_FEDERATION_PK"
    )]
    NotConnected,
    #[error("this shop has no buyer's e-mail address; set TENANT_ADMIN_EMAIL to the address for receipts")]
    NoEmail,
    #[error("there is no such app in the marketplace")]
    NoSuchApp,
}

impl App {
    pub(crate) fn new(
        config: AgentConfig,
        state: StateFile,
        plugins: Plugins,
        statics: Plugins,
    ) -> Result<Self, StartError> {
        let client =
            config.marketplace.clone().map(|marketplace| Client::new(marketplace, config.random.clone()));
        Ok(Self {
            client: client.transpose()?,
            state,
            plugins,
            statics,
            webhooks: Verifier::new(config.webhook_secrets.clone()),
            licenses_in_doubt: Notify::new(),
            clock: config.clock.clone(),
            random: config.random.clone(),
            config,
        })
    }

    /// The state as it is now.
    pub(crate) fn state(&self) -> Arc<State> {
        self.state.get()
    }

    /// Unix milliseconds.
    pub(crate) fn now_ms(&self) -> i64 {
        self.clock.now_ms()
    }

    /// Fresh random bytes as hex, for a form's cookie.
    pub(crate) fn random_text(&self) -> String {
        hex::encode(self.random.bytes::<16>())
    }

    fn client(&self) -> Result<&Client, UseCaseError> {
        self.client.as_ref().ok_or(UseCaseError::NotConnected)
    }

    fn ids(&self) -> Ids {
        Ids::new(self.clock.clone(), self.random.clone())
    }

    /// What is in the plugin folder.
    pub(crate) async fn installed(&self) -> io::Result<Vec<InstalledApp>> {
        list(&self.plugins).await
    }

    /// The static apps whose files are here.
    pub(crate) async fn static_apps(&self) -> io::Result<Vec<InstalledApp>> {
        list(&self.statics).await
    }

    /// The versions of what came from the marketplace.
    async fn installed_versions(&self) -> io::Result<BTreeMap<MarketplaceId, Version>> {
        let apps = self.installed().await?.into_iter().filter(|app| app.receipt.is_some());
        Ok(apps.map(|app| (app.manifest.marketplace_id, app.manifest.version)).collect())
    }
}

async fn list(folder: &Plugins) -> io::Result<Vec<InstalledApp>> {
    let folder = folder.clone();
    tokio::task::spawn_blocking(move || folder.list()).await.map_err(io::Error::other)?
}
