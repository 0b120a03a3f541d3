//! What the marketplace tells: licences that arrive, what becomes of them, and what is new.

use axum::http::HeaderMap;

use super::{App, UseCaseError};
use crate::{
    agent::domain::{Issued, State, Taken},
    client::IssuedLicense,
    webhook::{Delivery, InstallationChanged, ReleasePublished},
};

impl App {
    /// Takes a `license-issued`: verified, remembered, and what follows from it noted, before it is answered.
    pub(crate) async fn receive(&self, headers: &HeaderMap, body: &[u8]) -> Result<Taken, UseCaseError> {
        let now_ms = self.now_ms();
        let delivery = self.webhooks.license_issued(headers, body, now_ms.div_euclid(1000))?;
        let issued = Issued {
            id: delivery.id,
            marketplace_id: delivery.body.marketplace_id,
            version: delivery.body.version,
            license_key: delivery.body.license_key.to_string(),
        };
        Ok(self.state.change(|state| state.take_delivery(issued, now_ms)).await?)
    }

    /// Takes what was done to a licence: if it is one of this shop, the marketplace is asked at once how it stands. True:
    /// it was news.
    pub(crate) async fn receive_change(
        &self,
        headers: &HeaderMap,
        body: &[u8],
    ) -> Result<bool, UseCaseError> {
        let now_ms = self.now_ms();
        let Delivery { id, body } = self.webhooks.license_changed(headers, body, now_ms.div_euclid(1000))?;
        let key = body.license_key.to_string();
        let take =
            |state: &mut State| state.is_first(&id, now_ms) && state.has_license(&body.marketplace_id, &key);
        let is_news = self.state.change(take).await?;
        if is_news {
            self.licenses_in_doubt.notify_one();
        }
        Ok(is_news)
    }

    /// Takes news of a release. What is newer is asked of the marketplace with each page that shows it, so whoever waits
    /// for a change looks again.
    pub(crate) async fn receive_release(
        &self,
        headers: &HeaderMap,
        body: &[u8],
    ) -> Result<ReleasePublished, UseCaseError> {
        let now_ms = self.now_ms();
        let Delivery { id, body } =
            self.webhooks.release_published(headers, body, now_ms.div_euclid(1000))?;
        self.state.change(|state| state.is_first(&id, now_ms)).await?;
        Ok(body)
    }

    /// The same of an installation.
    pub(crate) async fn receive_installation(
        &self,
        headers: &HeaderMap,
        body: &[u8],
    ) -> Result<InstallationChanged, UseCaseError> {
        let now_ms = self.now_ms();
        let told = self.webhooks.installation_changed(headers, body, now_ms.div_euclid(1000))?;
        self.state.change(|state| state.is_first(&told.id, now_ms)).await?;
        Ok(told.body)
    }

    /// Whether a question if this shop is there comes from the marketplace. Nothing follows from it.
    pub(crate) fn receive_verification(&self, headers: &HeaderMap, body: &[u8]) -> Result<(), UseCaseError> {
        self.webhooks.endpoint_verification(headers, body, self.now_ms().div_euclid(1000))?;
        Ok(())
    }

    /// Asks the marketplace for this shop's licences: the way back when a webhook never came. Says how many were new.
    pub(crate) async fn look_for_licenses(&self) -> Result<usize, UseCaseError> {
        let live = self.client()?.licenses().await?.into_iter().filter(|license| license.status == "active");
        let issued: Vec<Issued> = live.map(Issued::from).collect();
        let now_ms = self.now_ms();
        let found = self.state.change(|state| {
            let taken = issued.into_iter().map(|one| state.take_license(one, now_ms));
            taken.filter(|taken| *taken != Taken::Known).count()
        });
        Ok(found.await?)
    }

    /// Installs what nobody had asked for. False if the offer is gone.
    pub(crate) async fn accept_offer(&self, id: &str) -> Result<bool, UseCaseError> {
        let now_ms = self.now_ms();
        Ok(self.state.change(|state| state.accept_offer(id, now_ms)).await?)
    }

    /// Puts what nobody had asked for out of sight.
    pub(crate) async fn dismiss_offer(&self, id: &str) -> Result<bool, UseCaseError> {
        Ok(self.state.change(|state| state.take_offer(id).is_some()).await?)
    }
}

impl From<IssuedLicense> for Issued {
    fn from(license: IssuedLicense) -> Self {
        let IssuedLicense { id, marketplace_id, version, license_key, .. } = license;
        Self { id, marketplace_id, version, license_key }
    }
}
