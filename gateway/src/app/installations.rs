use std::time::Duration;

use platform::{AppError, AppResult, Principal};
use proto::{
    catalog::{Release, Update},
    license::{
        AppRelease, GetInstallationRequest, Installation, ListInstallationsRequest,
        ListInstallationsResponse, RequestInstallationRequest, RequestRemovalRequest, RequestUpdateRequest,
        ShopApi,
    },
};
use semver::Version;
use wire::manifest::MarketplaceId;

use super::{App, services::answer};
use crate::domain::{
    installation::{find_pending, versions},
    page::Page,
};

/// An answer waits no longer for what it can do without.
const UPDATES_WITHIN: Duration = Duration::from_secs(3);

/// What a shop's administrator asks to be installed (contracts.md section 2).
pub(crate) struct InstallQuestion {
    pub(crate) marketplace_id: MarketplaceId,
    /// Absent: the one on offer.
    pub(crate) version: Option<Version>,
    pub(crate) granted_permissions: Vec<String>,
    pub(crate) shop: Option<String>,
    pub(crate) site_url: Option<String>,
    pub(crate) api: Option<ShopApi>,
}

/// To which version an installation is to be moved, and what it may do then.
pub(crate) struct UpdateQuestion {
    pub(crate) installation_id: String,
    /// Absent: the one that its pending update names.
    pub(crate) version: Option<Version>,
    pub(crate) granted_permissions: Vec<String>,
}

/// Which installations.
#[derive(Default)]
pub(crate) struct InstallationFilter {
    pub(crate) instance_id: Option<String>,
    pub(crate) marketplace_id: Option<String>,
    pub(crate) state: Option<String>,
}

/// An installation with the update that waits for the shop's word.
pub(crate) struct ShownInstallation {
    pub(crate) installation: Installation,
    pub(crate) pending: Option<Update>,
}

impl App {
    /// Begins an installation; with `wait`, answers once it has settled or the time is over.
    pub(crate) async fn install(
        &self,
        principal: &Principal,
        question: InstallQuestion,
        wait: Option<Duration>,
    ) -> AppResult<ShownInstallation> {
        let release = self.release_on_offer(&question.marketplace_id, question.version.as_ref()).await?;
        let request = RequestInstallationRequest {
            release: Some(app_release(release)),
            granted_permissions: question.granted_permissions,
            shop: question.shop,
            site_url: question.site_url,
            api: question.api,
        };
        let request = self.services.request(principal, request)?;
        let mut installations = self.services.installations();
        self.begun(principal, wait, async || answer(installations.request_installation(request).await)).await
    }

    /// Begins to move an installation to another version.
    pub(crate) async fn update_installation(
        &self,
        principal: &Principal,
        question: UpdateQuestion,
        wait: Option<Duration>,
    ) -> AppResult<ShownInstallation> {
        let installed = self.read_installation(principal, &question.installation_id).await?;
        let app = installed.marketplace_id.parse().map_err(AppError::unexpected)?;
        let version = match question.version {
            Some(version) => Some(version),
            None => self.find_next_version(&installed).await?,
        };
        let release = self.release_on_offer(&app, version.as_ref()).await?;
        let request = RequestUpdateRequest {
            installation_id: question.installation_id,
            release: Some(app_release(release)),
            granted_permissions: question.granted_permissions,
        };
        let request = self.services.request(principal, request)?;
        let mut installations = self.services.installations();
        self.begun(principal, wait, async || answer(installations.request_update(request).await)).await
    }

    /// Begins a removal: the app's access ends at once.
    pub(crate) async fn remove_installation(
        &self,
        principal: &Principal,
        installation_id: String,
        wait: Option<Duration>,
    ) -> AppResult<ShownInstallation> {
        let request = self.services.request(principal, RequestRemovalRequest { installation_id })?;
        let mut installations = self.services.installations();
        self.begun(principal, wait, async || answer(installations.request_removal(request).await)).await
    }

    /// One installation.
    pub(crate) async fn get_installation(
        &self,
        principal: &Principal,
        installation_id: &str,
    ) -> AppResult<ShownInstallation> {
        Ok(self.shown(self.read_installation(principal, installation_id).await?).await)
    }

    /// A shop's own installations, and how many there are.
    pub(crate) async fn list_own_installations(
        &self,
        principal: &Principal,
        filter: InstallationFilter,
        page: Page,
    ) -> AppResult<(Vec<ShownInstallation>, u32)> {
        principal.require_instance_admin()?;
        let found = self.list_installations(principal, filter, page).await?;
        let updates = self.updates_of(&found.installations).await;
        let shown = found.installations.into_iter().map(|installation| ShownInstallation {
            pending: find_pending(&installation, &updates),
            installation,
        });
        Ok((shown.collect(), found.count))
    }

    /// Installations as far as the principal may see them.
    pub(crate) async fn list_installations(
        &self,
        principal: &Principal,
        filter: InstallationFilter,
        page: Page,
    ) -> AppResult<ListInstallationsResponse> {
        let request = ListInstallationsRequest {
            limit: page.limit,
            offset: page.offset,
            instance_id: filter.instance_id,
            marketplace_id: filter.marketplace_id,
            state: filter.state,
            ..ListInstallationsRequest::default()
        };
        let request = self.services.request(principal, request)?;
        answer(self.services.installations().list_installations(request).await)
    }

    pub(super) async fn read_installation(
        &self,
        principal: &Principal,
        installation_id: &str,
    ) -> AppResult<Installation> {
        let request = GetInstallationRequest { installation_id: installation_id.to_owned() };
        let request = self.services.request(principal, request)?;
        answer(self.services.installations().get_installation(request).await)
    }

    /// Asks for a change. Who would wait for its end listens before it is asked for.
    async fn begun(
        &self,
        principal: &Principal,
        wait: Option<Duration>,
        ask: impl AsyncFnOnce() -> AppResult<Installation>,
    ) -> AppResult<ShownInstallation> {
        let changes = self.installation_changes.follow();
        let begun = ask().await?;
        self.forget_introspections_of(begun.instance_id.clone());
        let latest = match wait {
            Some(at_most) => self.settled(principal, begun, changes, at_most).await,
            None => begun,
        };
        Ok(self.shown(latest).await)
    }

    async fn shown(&self, installation: Installation) -> ShownInstallation {
        let updates = self.updates_of(std::slice::from_ref(&installation)).await;
        ShownInstallation { pending: find_pending(&installation, &updates), installation }
    }

    /// What the catalogue offers instead of these; it is asked once for all of them. Without it they are still told as
    /// they are: a change that was accepted must not look refused because the catalogue is away.
    async fn updates_of(&self, installations: &[Installation]) -> Vec<Update> {
        let versions = versions(installations);
        if versions.is_empty() {
            return Vec::new();
        }
        let asked = tokio::time::timeout(UPDATES_WITHIN, self.list_updates(versions, None)).await;
        let found =
            asked.unwrap_or_else(|_| Err(AppError::unavailable("the catalogue did not answer in time")));
        match found {
            Ok(found) => found.updates,
            Err(error) => {
                tracing::warn!(%error, "installations are shown without their pending updates");
                Vec::new()
            }
        }
    }

    /// The version that this installation's pending update names. Who runs a pre-release may be led to one that is not
    /// on offer to everybody.
    async fn find_next_version(&self, installed: &Installation) -> AppResult<Option<Version>> {
        let installed = [(installed.marketplace_id.clone(), installed.version.clone())].into();
        let update = self.list_updates(installed, None).await?.updates.into_iter().next();
        update.map(|update| Version::parse(&update.latest)).transpose().map_err(AppError::unexpected)
    }

    /// The release of this exact version, or the one on offer; a withdrawn one is installed nowhere any more.
    async fn release_on_offer(&self, app: &MarketplaceId, version: Option<&Version>) -> AppResult<Release> {
        let release = if let Some(version) = version {
            self.get_release(app, version).await?
        } else {
            let product = self.get_product(app).await?;
            product.latest.ok_or_else(|| AppError::unexpected("a product without a release"))?
        };
        match release.yanked_reason {
            None => Ok(release),
            Some(_) => {
                Err(AppError::conflict("this version has been withdrawn; choose one that is on offer"))
            }
        }
    }
}

fn app_release(release: Release) -> AppRelease {
    AppRelease {
        marketplace_id: release.marketplace_id,
        version: release.version,
        kind: release.kind,
        price_cents: release.price_cents,
        permissions: release.permissions,
        api_min_version: release.api.map(|api| api.min_version),
        api_max_version: release.api.map(|api| api.max_version),
        surface: release.surface,
        published_at_ms: release.published_at_ms,
    }
}
