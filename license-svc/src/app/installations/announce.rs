use platform::{AppError, AppResult, db::Tx};
use proto::events::{CallbackRequested, InstallationChanged, purpose as bus_purpose, subject};

use super::{App, purpose};
use crate::domain::{
    installation::{Installation, Operation, State},
    instance::Instance,
};

impl App {
    /// Tells everyone who remembers anything of the installation to forget it.
    pub(super) async fn announce_installation(&self, tx: &Tx, of: &Installation) -> AppResult<()> {
        let event = InstallationChanged {
            installation_id: of.id.clone(),
            instance_id: of.instance_id.clone(),
            marketplace_id: of.marketplace_id.clone(),
            version: of.edition.version.to_string(),
            state: of.state.as_str().to_owned(),
        };
        self.announce(tx, subject::INSTALLATION_CHANGED, &event).await
    }

    /// Asks the dispatcher to tell the app, with the shop as it is now.
    pub(super) async fn announce_callback(
        &self,
        tx: &Tx,
        shop: &Instance,
        of: &Installation,
        operation: Operation,
    ) -> AppResult<()> {
        let remove = CallbackRequested {
            installation_id: of.id.clone(),
            instance_id: of.instance_id.clone(),
            marketplace_id: of.marketplace_id.clone(),
            operation: operation.as_str().to_owned(),
            sequence: of.sequence.cast_unsigned(),
            shop: shop.shop.clone(),
            ..CallbackRequested::default()
        };
        match operation {
            Operation::Install => {
                let sealed_api_key = self.api_key_for_the_bus(of)?;
                let install = CallbackRequested { sealed_api_key, ..with_shop(remove, shop, of) };
                self.announce(tx, subject::INSTALLATION_REQUESTED, &install).await
            }
            Operation::Update => {
                let update = with_shop(remove, shop, of);
                self.announce(tx, subject::INSTALLATION_UPDATE_REQUESTED, &update).await
            }
            Operation::Remove => self.announce(tx, subject::INSTALLATION_REMOVAL_REQUESTED, &remove).await,
        }
    }

    /// The key, sealed anew for the way.
    fn api_key_for_the_bus(&self, of: &Installation) -> AppResult<Vec<u8>> {
        let sealed = of.key.as_ref().and_then(|key| key.sealed.as_deref());
        let sealed = sealed.ok_or_else(|| AppError::unexpected("an Install without a key to tell"))?;
        let key = self.sealer.open_text(purpose::API_KEY, sealed)?;
        self.bus_sealer.seal(bus_purpose::API_KEY, key.as_bytes())
    }
}

/// What the app must know to call the shop, and the version it is to serve there.
fn with_shop(callback: CallbackRequested, shop: &Instance, of: &Installation) -> CallbackRequested {
    let version = match &of.state {
        State::Updating(updating) => &updating.target.edition.version,
        _ => &of.edition.version,
    };
    CallbackRequested {
        site_url: shop.site_url.clone(),
        api_base_url: shop.api.base_url.clone(),
        api_min_version: shop.api.min_version.cast_unsigned(),
        api_max_version: shop.api.max_version.cast_unsigned(),
        version: version.to_string(),
        ..callback
    }
}
