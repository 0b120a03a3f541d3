//! Releases that need no installation update (contracts.md section 4): shops have the newest of them, without a callback.
//!
//! Each is looked for twice, so that none is missed: when it comes out, in all shops of the app; and whenever an app
//! comes to be installed, for what came out meanwhile. A shop whose licence does not allow it then has it with the next
//! such release, not when the licence is reinstated.

use platform::{AppResult, db::Tx};

use super::App;
use crate::{
    domain::{
        installation::{Edition, Installation, Release, State, Step, check_api, check_license},
        instance::Instance,
    },
    store::{installations, releases},
};

impl App {
    /// Moves the shops to a release that came out. A shop that has it already stays, so it needs no inbox. What fails in
    /// one shop keeps no other from it: the first failure is told at the end.
    pub(crate) async fn update_silently(&self, release: &Release) -> AppResult<()> {
        let (app, edition) = (&release.marketplace_id, &release.edition);
        let mut moved = Ok(());
        for id in installations::list_to_move(self.db.read(), app, edition).await? {
            moved = moved.and(self.update_one_silently(&id).await);
        }
        moved
    }

    async fn update_one_silently(&self, id: &str) -> AppResult<()> {
        let tx = self.db.begin().await?;
        let (shop, installation) = self.lock_any(&tx, id).await?;
        let step = self.move_silently(&tx, &shop, installation).await?;
        self.save_step(&tx, &shop, step).await?;
        tx.commit().await
    }

    /// The step; where it leads to an app that is installed, with what came out while it was not.
    pub(super) async fn catch_up(&self, tx: &Tx, shop: &Instance, step: Step) -> AppResult<Step> {
        match step {
            Step::Moves(after, None) => match self.move_silently(tx, shop, after).await? {
                Step::Moves(after, _) | Step::Stays(after) => Ok(Step::Moves(after, None)),
            },
            step => Ok(step),
        }
    }

    async fn move_silently(&self, tx: &Tx, shop: &Instance, installation: Installation) -> AppResult<Step> {
        if installation.state != State::Installed {
            return Ok(Step::Stays(installation));
        }
        let editions = self.list_allowed_editions(tx, shop, &installation).await?;
        Ok(installation.move_silently(editions))
    }

    /// Those on offer that the installation needs no update for. What a shop could not ask for, it does not get either.
    async fn list_allowed_editions(
        &self,
        tx: &Tx,
        shop: &Instance,
        of: &Installation,
    ) -> AppResult<Vec<Edition>> {
        let (app, surface) = (&of.marketplace_id, &of.edition.surface);
        let offered = releases::list_offered_releases(&**tx, app, surface).await?;
        let held = self.held(&**tx, &shop.id, app).await?;
        let now_ms = self.clock.now_ms();
        let is_allowed = |release: &Release| {
            check_api(release, &shop.api)
                .and_then(|()| check_license(&release.edition, &held, now_ms))
                .is_ok()
        };
        Ok(offered.into_iter().filter(is_allowed).map(|release| release.edition).collect())
    }
}
