use platform::{AppResult, secret::Secret};

use super::{App, no_license, purpose};
use crate::{
    domain::{
        Page,
        license::{Act, License, Reason},
    },
    store::{
        licenses,
        licenses::{Filter, Listed},
    },
};

/// A licence as its buyer sees it.
pub(crate) struct OwnLicense {
    pub(crate) license: License,
    pub(crate) seats_used: i64,
    pub(crate) key: Secret,
}

impl App {
    /// The licences that the instance has bought, with their keys: the way back when a webhook never came.
    pub(crate) async fn list_own_licenses(
        &self,
        instance_id: &str,
        page: Page,
    ) -> AppResult<(Vec<OwnLicense>, u64)> {
        let filter = Filter { instance_id: Some(instance_id.to_owned()), ..Filter::default() };
        let (listed, count) = licenses::list_licenses(self.db.read(), &filter, page).await?;
        let open = |listed: Listed| {
            let key = self.sealer.open_text(purpose::LICENSE_KEY, &listed.sealed_key)?;
            Ok(OwnLicense { license: listed.license, seats_used: listed.seats_used, key })
        };
        let own: AppResult<_> = listed.into_iter().map(open).collect();
        Ok((own?, count))
    }

    /// Newest first, and how many there are.
    pub(crate) async fn list_licenses(&self, filter: &Filter, page: Page) -> AppResult<(Vec<Listed>, u64)> {
        Ok(licenses::list_licenses(self.db.read(), filter, page).await?)
    }

    /// The licence.
    pub(crate) async fn get_license(&self, id: &str) -> AppResult<Listed> {
        licenses::find_license(self.db.read(), id).await?.ok_or_else(no_license)
    }

    /// Suspends, reinstates or revokes.
    pub(crate) async fn change_license(&self, id: &str, act: Act, reason: Reason) -> AppResult<Listed> {
        let tx = self.db.begin().await?;
        let license = licenses::lock_license(&*tx, id).await?.ok_or_else(no_license)?;
        let license = license.apply(act, reason)?;
        licenses::update_license(&*tx, &license).await?;
        let sealed_key = licenses::find_license(&*tx, id).await?.ok_or_else(no_license)?.sealed_key;
        let key = self.sealer.open_text(purpose::LICENSE_KEY, &sealed_key)?;
        self.announce_act(&tx, &license, act, &key).await?;
        tx.commit().await?;
        tracing::info!(license = id, status = license.status.as_str(), "an operator changed a licence");
        self.get_license(id).await
    }
}
