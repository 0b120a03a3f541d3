//! Apps in shops: what a shop asks for, what the dispatcher hears, and what it says.

use platform::{AppError, Principal, secret};
use proto::{
    events::{CallbackRequested, CallbackSettled, InstallationChanged, ReleaseChanged, purpose, subject},
    license::{
        AppRelease, GetInstallationRequest, Installation, IntrospectRequest, Introspection,
        RequestInstallationRequest, RequestRemovalRequest, RequestUpdateRequest,
        installations_client::InstallationsClient,
    },
};

use super::{APP, Channel, PATIENCE, START_MS, Shop, World, answer};

/// A release of a free hosted app, as the gateway hands it on.
pub(crate) fn hosted(version: &str) -> AppRelease {
    AppRelease {
        marketplace_id: APP.to_owned(),
        version: version.to_owned(),
        kind: "hosted".to_owned(),
        price_cents: 0,
        permissions: vec!["api:orders.read".to_owned()],
        api_min_version: Some(1),
        api_max_version: Some(2),
        surface: "surface-1".to_owned(),
        published_at_ms: START_MS,
    }
}

/// The same of a static app.
pub(crate) fn statics(version: &str) -> AppRelease {
    AppRelease { kind: "static".to_owned(), api_min_version: None, api_max_version: None, ..hosted(version) }
}

/// The same as the catalogue tells of it.
fn told(release: AppRelease) -> ReleaseChanged {
    ReleaseChanged {
        marketplace_id: release.marketplace_id,
        version: release.version,
        release_id: "rel_1".into(),
        changelog_url: None,
        security: false,
        published_at_ms: release.published_at_ms,
        kind: release.kind,
        surface: release.surface,
        api_min_version: release.api_min_version,
        api_max_version: release.api_max_version,
        price_cents: release.price_cents,
        permissions: release.permissions,
    }
}

/// A shop that agrees to all that the app requires.
fn agreed(release: AppRelease) -> RequestInstallationRequest {
    RequestInstallationRequest {
        granted_permissions: release.permissions.clone(),
        release: Some(release),
        shop: None,
        site_url: None,
        api: None,
    }
}

impl World {
    pub(crate) fn installations(&self) -> InstallationsClient<Channel> {
        InstallationsClient::new(self.channel())
    }

    pub(crate) async fn ask_for(
        &self,
        principal: &Principal,
        request: RequestInstallationRequest,
    ) -> Result<Installation, AppError> {
        answer(self.installations().request_installation(self.by(principal, request)).await)
    }

    pub(crate) async fn install(&self, shop: &Shop, release: AppRelease) -> Result<Installation, AppError> {
        self.ask_for(&shop.manages(), agreed(release)).await
    }

    /// Asks for it and lets the app answer 200.
    pub(crate) async fn installed(&self, shop: &Shop, release: AppRelease) -> Installation {
        let asked = self.install(shop, release).await.unwrap();
        let callback = self.latest_callback(&asked.installation_id).await;
        self.settle(&callback, "delivered", false).await;
        self.until_state(shop, &asked.installation_id, "installed").await
    }

    /// The catalogue publishes it.
    pub(crate) async fn release(&self, release: AppRelease) {
        self.publish(subject::RELEASE_PUBLISHED, &told(release)).await;
    }

    /// The catalogue withdraws it.
    pub(crate) async fn yank(&self, release: AppRelease) {
        self.publish(subject::RELEASE_YANKED, &told(release)).await;
    }

    /// Waits until the shop runs that version, and nothing is on its way.
    pub(crate) async fn until_version(&self, shop: &Shop, id: &str, version: &str) -> Installation {
        let is_it = |event: &InstallationChanged| {
            event.installation_id == id && event.version == version && event.state == "installed"
        };
        self.told(subject::INSTALLATION_CHANGED, "the new version", is_it).await;
        self.installation(&shop.manages(), id).await.unwrap()
    }

    pub(crate) async fn update(
        &self,
        shop: &Shop,
        id: &str,
        release: AppRelease,
    ) -> Result<Installation, AppError> {
        let granted = release.permissions.clone();
        self.update_granting(shop, id, release, granted).await
    }

    pub(crate) async fn update_granting(
        &self,
        shop: &Shop,
        id: &str,
        release: AppRelease,
        granted_permissions: Vec<String>,
    ) -> Result<Installation, AppError> {
        let installation_id = id.to_owned();
        let request = RequestUpdateRequest { installation_id, release: Some(release), granted_permissions };
        answer(self.installations().request_update(self.by(&shop.manages(), request)).await)
    }

    pub(crate) async fn remove(&self, shop: &Shop, id: &str) -> Result<Installation, AppError> {
        let request = RequestRemovalRequest { installation_id: id.to_owned() };
        answer(self.installations().request_removal(self.by(&shop.manages(), request)).await)
    }

    pub(crate) async fn installation(&self, by: &Principal, id: &str) -> Result<Installation, AppError> {
        let request = GetInstallationRequest { installation_id: id.to_owned() };
        answer(self.installations().get_installation(self.by(by, request)).await)
    }

    pub(crate) async fn introspect(&self, shop: &Shop, key: &str) -> Introspection {
        let request = IntrospectRequest { key_hash: secret::hash(key).to_vec() };
        answer(self.installations().introspect(self.by(&shop.manages(), request)).await).unwrap()
    }

    /// Waits until the installation is there; the announcement that follows the commit may come a moment later.
    pub(crate) async fn until_state(&self, shop: &Shop, id: &str, state: &str) -> Installation {
        let look = || async {
            let found = self.installation(&shop.manages(), id).await.unwrap();
            (found.state == state).then_some(found)
        };
        let found =
            testkit::eventually(&format!("the installation is {state}"), PATIENCE, look).await.unwrap();
        let is_it = |event: &InstallationChanged| event.installation_id == id && event.state == state;
        self.told(subject::INSTALLATION_CHANGED, "the change", is_it).await;
        found
    }

    /// Waits for the callback that is now the last of the installation.
    pub(crate) async fn latest_callback(&self, id: &str) -> CallbackRequested {
        let sequence = self.sequence_of(id).await;
        self.callback(id, sequence).await
    }

    async fn callback(&self, id: &str, sequence: u64) -> CallbackRequested {
        let what = format!("callback {sequence}");
        let is_it = |event: &CallbackRequested| event.installation_id == id && event.sequence == sequence;
        let find = || async { self.callbacks().into_iter().find(|event| is_it(event)) };
        testkit::eventually(&what, PATIENCE, find).await.unwrap()
    }

    /// All that the dispatcher has been asked for up to now, in the order of its numbers.
    pub(crate) fn callbacks(&self) -> Vec<CallbackRequested> {
        let subjects = [
            (subject::INSTALLATION_REQUESTED, "Install"),
            (subject::INSTALLATION_UPDATE_REQUESTED, "Update"),
            (subject::INSTALLATION_REMOVAL_REQUESTED, "Remove"),
        ];
        let mut all: Vec<CallbackRequested> = Vec::new();
        for (subject, operation) in subjects {
            let announced = self.announced::<CallbackRequested>(subject);
            assert!(announced.iter().all(|event| event.operation == operation), "{subject}");
            all.extend(announced);
        }
        all.sort_by_key(|event| event.sequence);
        all
    }

    /// The dispatcher's word that the callback has ended.
    pub(crate) async fn settle(&self, callback: &CallbackRequested, outcome: &str, arrived: bool) -> String {
        let status = match outcome {
            "delivered" => Some(200),
            "refused" => Some(204),
            _ => None,
        };
        let event = CallbackSettled {
            installation_id: callback.installation_id.clone(),
            instance_id: callback.instance_id.clone(),
            marketplace_id: callback.marketplace_id.clone(),
            operation: callback.operation.clone(),
            sequence: callback.sequence,
            outcome: outcome.to_owned(),
            status,
            attempts: 2,
            may_have_arrived: arrived,
            settled_at_ms: START_MS + 5,
            delivery_id: self.ids.generate("dly"),
        };
        self.publish(subject::CALLBACK_SETTLED, &event).await
    }

    /// The key that an Install tells the app.
    pub(crate) fn key_in(&self, callback: &CallbackRequested) -> String {
        let key = self.bus_sealer.open_text(purpose::API_KEY, &callback.sealed_api_key).unwrap();
        key.expose().to_owned()
    }
}
