use platform::AppResult;

use super::App;
use crate::{
    domain::installation::{Release, check_api, check_license},
    store::installations,
};

impl App {
    /// Moves the shops to a release of a hosted app that needs no installation update (contracts.md section 4).
    /// A shop that has it already stays, so it needs no inbox.
    pub(crate) async fn update_silently(&self, release: &Release) -> AppResult<()> {
        let (app, edition) = (&release.marketplace_id, &release.edition);
        for id in installations::list_installed_elsewhere(self.db.read(), app, edition).await? {
            self.move_silently(&id, release).await?;
        }
        Ok(())
    }

    /// What a shop could not ask for, it does not get either: then it stays where it is.
    async fn move_silently(&self, id: &str, release: &Release) -> AppResult<()> {
        let tx = self.db.begin().await?;
        let (shop, installation) = self.lock_any(&tx, id).await?;
        let held = self.held(&*tx, &shop.id, &release.marketplace_id).await?;
        let allowed = check_api(release, &shop.api)
            .and_then(|()| check_license(&release.edition, &held, self.clock.now_ms()));
        if allowed.is_ok() {
            self.finish(tx, &shop, installation.move_silently(&release.edition)).await?;
        }
        Ok(())
    }
}
