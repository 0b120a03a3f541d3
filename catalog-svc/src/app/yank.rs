use platform::{AppResult, outbox::announce};
use proto::events::subject;
use semver::Version;
use wire::manifest::MarketplaceId;

use super::{App, errors::unknown_release, import::event_of};
use crate::{
    domain::{Release, YankReason, Yanking},
    store,
};

impl App {
    /// Withdraws a release: it stays for those who run it, and no one is offered it. Doing so again changes nothing.
    pub async fn yank_release(
        &self,
        id: &MarketplaceId,
        version: &Version,
        reason: YankReason,
    ) -> AppResult<Release> {
        let tx = self.db.begin().await?;
        let product = store::lock_product(&*tx, id).await?.ok_or_else(unknown_release)?;
        let release = store::lock_release(&*tx, &product.id, version).await?.ok_or_else(unknown_release)?;
        let now_ms = self.clock.now_ms();
        let yanked = match release.yank(reason, now_ms) {
            Yanking::Already(release) => return Ok(release),
            Yanking::Done(release) => release,
        };
        let endpoint = self.find_endpoint(&tx, &product).await?;
        store::update_release_state(&*tx, &yanked).await?;
        self.announce_if_moved(&tx, product, endpoint, now_ms).await?;
        announce(&*tx, &self.ids, now_ms, subject::RELEASE_YANKED, &event_of(&yanked)).await?;
        tx.commit().await?;
        self.refresh(&[id.to_string()]).await;
        metrics::counter!("catalog_releases_yanked_total").increment(1);
        tracing::info!(release = yanked.id, app = %id, "release yanked");
        Ok(yanked)
    }
}
