use platform::{AppError, AppResult, db::Tx};

use super::{App, Shown, count};
use crate::{
    domain::{
        installation::{
            Asked, Installation, Permissions, Release, Step, Told, ask, check_api, check_consent,
            check_identity, check_instance, check_same_app,
        },
        instance::Instance,
    },
    store::installations,
};

/// What a shop's administrator wants in the shop, and agrees to.
pub(crate) struct Wanted {
    pub(crate) release: Release,
    pub(crate) granted: Permissions,
}

impl Wanted {
    fn check(&self, shop: &Instance) -> AppResult<()> {
        check_instance(shop)?;
        check_consent(&self.release.edition.permissions, &self.granted)?;
        Ok(check_api(&self.release, &shop.api)?)
    }
}

impl App {
    /// Brings an app into the shop: a static one at once, a hosted one as soon as it has answered.
    pub(crate) async fn request_installation(
        &self,
        instance_id: &str,
        wanted: Wanted,
        told: &Told,
    ) -> AppResult<Shown> {
        let tx = self.db.begin().await?;
        let shop = self.lock_shop(&tx, instance_id).await?;
        wanted.check(&shop)?;
        check_identity(&shop, told)?;
        let marketplace_id = &wanted.release.marketplace_id;
        let present = installations::lock_present_installation(&*tx, instance_id, marketplace_id).await?;
        let installation = match ask(present, &wanted.release.edition)? {
            Asked::AsItIs(found) => {
                tx.commit().await?;
                found
            }
            Asked::Anew { removed } => self.install(tx, &shop, wanted.release, removed).await?,
        };
        self.show(installation, shop).await
    }

    /// The new installation takes the place of the one that was being removed, in the store as with the app.
    async fn install(
        &self,
        tx: Tx,
        shop: &Instance,
        release: Release,
        removed: Option<Installation>,
    ) -> AppResult<Installation> {
        self.require_license(&tx, shop, &release).await?;
        if let Some(removed) = &removed {
            self.save_step(&tx, shop, Step::Moves(removed.clone(), None)).await?;
        }
        let asked = self.create_requested(&tx, shop, release).await?;
        let sequence = self.next_sequence(&tx, &shop.id, &asked.marketplace_id).await?;
        let was = asked.state.as_str();
        let step = asked.begin(sequence, || self.new_api_key())?;
        let installation = self.finish(tx, shop, was, step).await?;
        if let Some(removed) = removed {
            count(&removed.state);
        }
        Ok(installation)
    }

    async fn create_requested(&self, tx: &Tx, shop: &Instance, release: Release) -> AppResult<Installation> {
        let now_ms = self.clock.now_ms();
        let asked = Installation::request(self.ids.generate("itn"), shop.id.clone(), release, now_ms);
        if installations::create_installation(&**tx, &asked).await? {
            return Ok(asked);
        }
        Err(AppError::conflict("this app is being installed by another request; ask for its state"))
    }

    /// Moves the shop to another version of the app, whose permissions its administrator has agreed to.
    pub(crate) async fn request_update(
        &self,
        instance_id: &str,
        id: &str,
        wanted: Wanted,
    ) -> AppResult<Shown> {
        let tx = self.db.begin().await?;
        let (shop, installation) = self.lock_own(&tx, instance_id, id).await?;
        check_same_app(&installation, &wanted.release)?;
        wanted.check(&shop)?;
        self.require_license(&tx, &shop, &wanted.release).await?;
        let sequence = self.next_sequence(&tx, instance_id, &installation.marketplace_id).await?;
        let was = installation.state.as_str();
        let step = installation.update(wanted.release.edition, sequence)?;
        let installation = self.finish(tx, &shop, was, step).await?;
        self.show(installation, shop).await
    }

    /// Takes the app out of the shop. Its access ends with this commit, whatever it answers and when.
    pub(crate) async fn request_removal(&self, instance_id: &str, id: &str) -> AppResult<Shown> {
        let tx = self.db.begin().await?;
        let (shop, installation) = self.lock_own(&tx, instance_id, id).await?;
        check_instance(&shop)?;
        let sequence = self.next_sequence(&tx, instance_id, &installation.marketplace_id).await?;
        let was = installation.state.as_str();
        let installation = self.finish(tx, &shop, was, installation.remove(sequence)).await?;
        self.show(installation, shop).await
    }
}
