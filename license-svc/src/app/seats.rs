use platform::{AppError, AppResult};
use wire::license_key::LicenseKey;

use super::App;
use crate::store::{licenses, seats};

/// What became of an instance's seat.
pub(crate) struct Deactivation {
    pub(crate) license_id: String,
    /// False where it held none: the call is safe to repeat.
    pub(crate) freed: bool,
    pub(crate) seats: i32,
    pub(crate) seats_used: u64,
}

impl App {
    /// Frees the instance's seat.
    pub(crate) async fn deactivate(
        &self,
        key: &LicenseKey,
        marketplace_id: &str,
        instance_id: &str,
    ) -> AppResult<Deactivation> {
        let tx = self.db.begin().await?;
        let license = licenses::lock_license_of_key(&*tx, self.keyring.hash(key)).await?;
        let license = license.filter(|license| license.marketplace_id == marketplace_id);
        let license = license.ok_or_else(|| {
            AppError::not_found(
                "there is no licence with this key for this app; compare both with what you bought",
            )
        })?;
        let freed = seats::delete_seat(&*tx, &license.id, instance_id).await?;
        let seats_used = seats::count_seats(&*tx, &license.id).await?;
        if freed {
            self.announce_change(&tx, &license).await?;
        }
        tx.commit().await?;
        Ok(Deactivation { license_id: license.id, freed, seats: license.seats, seats_used })
    }
}
