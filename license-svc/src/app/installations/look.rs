use platform::AppResult;

use super::{App, no_installation};
use crate::{
    domain::{
        Page,
        installation::{Access, Installation},
        instance::Instance,
        license::License,
    },
    store::{
        installations,
        installations::{Filter, Listed},
        licenses,
    },
};

/// An installation as it is told.
pub(crate) struct Shown {
    pub(crate) installation: Installation,
    /// The shop's own identifier.
    pub(crate) shop: String,
    pub(crate) access: Access,
}

impl App {
    pub(super) async fn show(&self, installation: Installation, shop: Instance) -> AppResult<Shown> {
        self.show_one(Listed { installation, shop: shop.shop }).await
    }

    /// The installation; of a shop's own only, where one is named.
    pub(crate) async fn get_installation(&self, id: &str, of: Option<&str>) -> AppResult<Shown> {
        let listed = installations::find_installation(self.db.read(), id).await?;
        let listed = listed.filter(|listed| of.is_none_or(|of| listed.installation.instance_id == of));
        self.show_one(listed.ok_or_else(no_installation)?).await
    }

    /// Newest first, and how many there are.
    pub(crate) async fn list_installations(
        &self,
        filter: &Filter,
        page: Page,
    ) -> AppResult<(Vec<Shown>, u64)> {
        let (listed, count) = installations::list_installations(self.db.read(), filter, page).await?;
        let held = self.held_by(&listed).await?;
        Ok((listed.into_iter().map(|listed| self.shown(listed, &held)).collect(), count))
    }

    /// How many installations of the app are on each version, of those whose app is in the shop.
    pub(crate) async fn count_versions(&self, marketplace_id: &str) -> AppResult<Vec<(String, i64)>> {
        Ok(installations::count_versions(self.db.read(), marketplace_id).await?)
    }

    /// The installation whose key it is, if the key may be used in that shop now. Looked up by its hash, so that the
    /// time it takes says nothing about other keys.
    pub(crate) async fn introspect(
        &self,
        instance_id: &str,
        key_hash: &[u8; 32],
    ) -> AppResult<Option<Installation>> {
        let db = self.db.read();
        let found = installations::find_installation_of_key(db, key_hash, instance_id).await?;
        let Some(installation) = found else { return Ok(None) };
        let held = self.held(db, instance_id, &installation.marketplace_id).await?;
        let access = installation.access(&held, self.clock.now_ms());
        Ok((access == Access::Live).then_some(installation))
    }

    async fn show_one(&self, listed: Listed) -> AppResult<Shown> {
        let held = self.held_by(std::slice::from_ref(&listed)).await?;
        Ok(self.shown(listed, &held))
    }

    /// The licences by which the paid ones of these installations may work, with their holders.
    async fn held_by(&self, listed: &[Listed]) -> AppResult<Vec<(String, License)>> {
        let paid = || listed.iter().map(|listed| &listed.installation).filter(|of| of.edition.paid);
        let holders: Vec<&str> = paid().map(|of| of.instance_id.as_str()).collect();
        let apps: Vec<&str> = paid().map(|of| of.marketplace_id.as_str()).collect();
        if holders.is_empty() {
            return Ok(Vec::new());
        }
        Ok(licenses::list_held_licenses(self.db.read(), &holders, &apps).await?)
    }

    fn shown(&self, listed: Listed, held: &[(String, License)]) -> Shown {
        let Listed { installation, shop } = listed;
        let is_own = |(holder, license): &&(String, License)| {
            *holder == installation.instance_id && license.marketplace_id == installation.marketplace_id
        };
        let own: Vec<License> = held.iter().filter(is_own).map(|(_, license)| license.clone()).collect();
        let access = installation.access(&own, self.clock.now_ms());
        Shown { installation, shop, access }
    }
}
