//! Where hosted apps are called, and the secrets that sign the calls.

use std::time::Duration;

use platform::{AppError, AppResult, db::Tx, outbox::announce};
use proto::events::{self, AppChanged, HostedEndpoint, purpose, subject};
use wire::{manifest::MarketplaceId, open2b::AppSecret};

use super::{App, errors::unknown_app};
use crate::{
    domain::{AppSecrets, Kind, SealedSecret, find_installation_url},
    store::{self, KnownProduct},
};

/// What the rows' secrets are sealed for.
const AT_REST: &str = "app.secret";

/// A new secret of a hosted app, answered once.
#[derive(Debug)]
pub struct Rotated {
    /// The new secret.
    pub secret: AppSecret,
    /// When the old ones stop signing, where they have not.
    pub previous_until_ms: Option<i64>,
}

impl App {
    /// Gives a hosted app a new secret; the old one goes on signing for the overlap.
    pub async fn rotate_app_secret(&self, id: &MarketplaceId, overlap: Duration) -> AppResult<Rotated> {
        let tx = self.db.begin().await?;
        let product = store::lock_product(&*tx, id).await?.ok_or_else(unknown_app)?;
        if product.known.kind != Kind::Hosted {
            return Err(AppError::conflict("only a hosted app has a secret; this app runs in the shops"));
        }
        let now_ms = self.clock.now_ms();
        let (secret, secrets) = self.add_secret(&tx, &product, overlap, now_ms).await?;
        self.announce_endpoint(&tx, product, now_ms).await?;
        tx.commit().await?;
        metrics::counter!("catalog_app_secrets_rotated_total").increment(1);
        tracing::info!(app = %id, "the app's secret is rotated");
        Ok(Rotated { secret, previous_until_ms: secrets.previous_until_ms() })
    }

    /// A hosted app's first secret, if it has none yet.
    pub(super) async fn ensure_secret(
        &self,
        tx: &Tx,
        product: &KnownProduct,
        now_ms: i64,
    ) -> AppResult<Option<AppSecret>> {
        let is_hosted = product.known.kind == Kind::Hosted;
        if !is_hosted || !store::list_app_secrets(&**tx, &product.id, now_ms).await?.is_empty() {
            return Ok(None);
        }
        let (secret, _) = self.add_secret(tx, product, Duration::ZERO, now_ms).await?;
        Ok(Some(secret))
    }

    async fn add_secret(
        &self,
        tx: &Tx,
        product: &KnownProduct,
        overlap: Duration,
        now_ms: i64,
    ) -> AppResult<(AppSecret, AppSecrets)> {
        let secret = AppSecret::from_bytes(self.random.bytes());
        let sealed = self.sealer.seal(AT_REST, secret.expose().as_bytes())?;
        let former = store::list_app_secrets(&**tx, &product.id, now_ms).await?;
        let secrets = former.rotate(sealed, overlap, now_ms)?;
        store::update_app_secrets(&**tx, &product.id, &secrets).await?;
        Ok((secret, secrets))
    }

    /// Where a hosted app takes its callbacks, as the transaction sees it.
    pub(super) async fn find_endpoint(&self, tx: &Tx, product: &KnownProduct) -> AppResult<Option<String>> {
        if product.known.kind != Kind::Hosted {
            return Ok(None);
        }
        let releases = store::list_releases(&**tx, &product.id).await?;
        Ok(find_installation_url(&releases).map(ToOwned::to_owned))
    }

    /// Tells of the app's endpoint where a release that came or went has moved it from `before`.
    pub(super) async fn announce_if_moved(
        &self,
        tx: &Tx,
        product: KnownProduct,
        before: Option<String>,
        now_ms: i64,
    ) -> AppResult<()> {
        if self.find_endpoint(tx, &product).await? == before {
            return Ok(());
        }
        self.announce_endpoint(tx, product, now_ms).await
    }

    async fn announce_endpoint(&self, tx: &Tx, product: KnownProduct, now_ms: i64) -> AppResult<()> {
        let endpoint_revision = product.endpoint_revision.saturating_add(1);
        store::update_endpoint_revision(&**tx, &product.id, endpoint_revision).await?;
        self.announce_app(tx, &KnownProduct { endpoint_revision, ..product }, now_ms).await
    }

    /// Tells of the app, and of a hosted one where it is called.
    pub(super) async fn announce_app(&self, tx: &Tx, product: &KnownProduct, now_ms: i64) -> AppResult<()> {
        let hosted = match self.find_endpoint(tx, product).await? {
            Some(installation_url) => Some(HostedEndpoint {
                installation_url,
                secrets: self.secrets_to_announce(tx, product, now_ms).await?,
                revision: product.endpoint_revision,
            }),
            None => None,
        };
        let event = AppChanged {
            marketplace_id: product.marketplace_id.clone(),
            vendor_id: product.vendor_id.clone(),
            hosted,
        };
        Ok(announce(&**tx, &self.ids, now_ms, subject::APP_CHANGED, &event).await?)
    }

    async fn secrets_to_announce(
        &self,
        tx: &Tx,
        product: &KnownProduct,
        now_ms: i64,
    ) -> AppResult<Vec<events::AppSecret>> {
        let secrets = store::list_app_secrets(&**tx, &product.id, now_ms).await?;
        secrets.as_slice().iter().map(|secret| self.to_announce(secret)).collect()
    }

    /// What is sealed for the rows is sealed anew for the bus.
    fn to_announce(&self, secret: &SealedSecret) -> AppResult<events::AppSecret> {
        let text = self.sealer.open_text(AT_REST, &secret.sealed)?;
        let sealed_secret = self.bus_sealer.seal(purpose::APP_SECRET, text.expose().as_bytes())?;
        Ok(events::AppSecret { sealed_secret, expires_at_ms: secret.expires_at_ms })
    }
}
