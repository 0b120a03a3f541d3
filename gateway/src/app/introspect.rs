use platform::{
    AppResult, Principal,
    secret::{self, Secret},
};
use proto::license::{IntrospectRequest, Introspection};
use sha2::{Digest as _, Sha256};

use super::{App, services::answer};

impl App {
    /// Whether an API key is live in the asking shop, and what it may do there. A key that is not is asked for anew
    /// each time: it may come to life.
    pub(crate) async fn introspect(&self, principal: &Principal, key: &Secret) -> AppResult<Introspection> {
        let instance_id = principal.require_instance_admin()?;
        let key_hash = secret::hash(key.expose());
        let question = fingerprint(instance_id, key_hash);
        if let Some(known) = self.introspected.find(&question) {
            return Ok(known);
        }
        let seen = self.introspected.seen();
        let request = self.services.request(principal, IntrospectRequest { key_hash: key_hash.to_vec() })?;
        let told = answer(self.services.installations().introspect(request).await)?;
        if told.active {
            // A licence that changes may be another instance's, in which this one only holds a seat.
            let subjects = [instance_id.to_owned(), told.marketplace_id.clone()];
            self.introspected.keep(question, subjects, seen, told.clone());
        }
        Ok(told)
    }

    /// Something changed in this shop.
    pub(crate) fn forget_introspections_of(&self, instance_id: String) {
        self.introspected.changed(instance_id);
    }

    /// A licence of this app changed.
    pub(crate) fn forget_introspections_about(&self, marketplace_id: String) {
        self.introspected.changed(marketplace_id);
    }

    pub(super) fn forget_all_introspections(&self) {
        self.introspected.all_changed();
    }
}

/// Who asks about which key. Both are kept as one hash only.
fn fingerprint(instance_id: &str, key_hash: [u8; 32]) -> [u8; 32] {
    Sha256::new().chain_update(key_hash).chain_update(instance_id).finalize().into()
}
