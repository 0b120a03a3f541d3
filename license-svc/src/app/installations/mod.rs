//! Apps in shops. All that happens to one shop's installations comes one after another: each use case first takes the
//! shop's row, so that numbers of callbacks, the one place of an app and its one key are decided by one at a time.

mod announce;
mod look;
mod requests;
mod settled;
mod silent;

use platform::{AppError, AppResult, db::Tx, secret};
use sea_orm::ConnectionTrait;

pub(crate) use self::{look::Shown, requests::Wanted};
use super::{App, no_instance, purpose};
use crate::{
    domain::{
        installation::{ApiKey, Installation, Release, State, Step, check_license, mint},
        instance::Instance,
        license::License,
    },
    store::{installations, instances, licenses},
};

impl App {
    /// The shop, held by this transaction.
    async fn lock_shop(&self, tx: &Tx, instance_id: &str) -> AppResult<Instance> {
        instances::lock_instance(&**tx, instance_id).await?.ok_or_else(no_instance)
    }

    /// The shop's own installation with the shop, both held. Another shop's is none.
    async fn lock_own(&self, tx: &Tx, instance_id: &str, id: &str) -> AppResult<(Instance, Installation)> {
        let shop = self.lock_shop(tx, instance_id).await?;
        let installation = installations::lock_installation(&**tx, id).await?;
        let own = installation.filter(|installation| installation.instance_id == shop.id);
        Ok((shop, own.ok_or_else(no_installation)?))
    }

    /// The installation with its shop, whoever asks.
    async fn lock_any(&self, tx: &Tx, id: &str) -> AppResult<(Instance, Installation)> {
        let owner = installations::find_instance_id(&**tx, id).await?.ok_or_else(no_installation)?;
        self.lock_own(tx, &owner, id).await
    }

    async fn next_sequence(&self, tx: &Tx, instance_id: &str, marketplace_id: &str) -> AppResult<i64> {
        Ok(installations::last_sequence(&**tx, instance_id, marketplace_id).await? + 1)
    }

    /// Saves where a step has led, and tells those who are to know.
    async fn save_step(&self, tx: &Tx, shop: &Instance, step: Step) -> AppResult<Installation> {
        let (after, callback) = match step {
            Step::Stays(installation) => return Ok(installation),
            Step::Moves(after, callback) => (after, callback),
        };
        let after = Installation { updated_at_ms: self.clock.now_ms(), ..after };
        installations::update_installation(&**tx, &after).await?;
        self.announce_installation(tx, &after).await?;
        if let Some(operation) = callback {
            self.announce_callback(tx, shop, &after, operation).await?;
        }
        Ok(after)
    }

    /// Makes a step true. `was` is the name of the state before it.
    async fn finish(&self, tx: Tx, shop: &Instance, was: &str, step: Step) -> AppResult<Installation> {
        let step = self.catch_up(&tx, shop, step).await?;
        let after = self.save_step(&tx, shop, step).await?;
        tx.commit().await?;
        if after.state.as_str() != was {
            count(&after.state);
        }
        Ok(after)
    }

    /// The licences for the app on which the shop holds a seat.
    async fn held(
        &self,
        db: &impl ConnectionTrait,
        instance_id: &str,
        marketplace_id: &str,
    ) -> AppResult<Vec<License>> {
        let held = licenses::list_held_licenses(db, &[instance_id], &[marketplace_id]).await?;
        Ok(held.into_iter().map(|(_, license)| license).collect())
    }

    async fn require_license(&self, tx: &Tx, shop: &Instance, release: &Release) -> AppResult<()> {
        if release.edition.paid {
            let held = self.held(&**tx, &shop.id, &release.marketplace_id).await?;
            check_license(&release.edition, &held, self.clock.now_ms())?;
        }
        Ok(())
    }

    fn new_api_key(&self) -> AppResult<ApiKey> {
        let key = mint(|| self.random.bytes());
        let sealed = self.sealer.seal(purpose::API_KEY, key.as_bytes())?;
        Ok(ApiKey { hash: secret::hash(&key), sealed: Some(sealed) })
    }
}

/// An installation has come into a state.
fn count(state: &State) {
    metrics::counter!("license_installations_total", "state" => state.as_str()).increment(1);
}

fn no_installation() -> AppError {
    AppError::not_found("there is no installation with this id; list the installations to find it")
}
