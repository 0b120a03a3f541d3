//! What there is, and how each app stands in this shop.

use std::sync::Arc;

use semver::Version;
use wire::manifest::MarketplaceId;

use super::{App, Installations, UseCaseError};
use crate::{
    agent::domain::{Checkout, HostedNote, Job, State, added, find_note},
    client::{AppKind, ClientError, FeedQuery, Installation, InstallationState, Product, ProductDetail},
    install::InstalledApp,
    license::Standing,
};

const PER_PAGE: u32 = 12;

/// What of the marketplace to show.
#[derive(Debug, Clone, Default)]
pub(crate) struct Question {
    pub(crate) search: Option<String>,
    pub(crate) app_type: Option<String>,
    /// From 1.
    pub(crate) page: u32,
}

/// A page of the marketplace.
pub(crate) struct Catalogue {
    pub(crate) listings: Vec<Listing>,
    pub(crate) count: u64,
    pub(crate) pages: u64,
}

/// An app on offer and how it stands here.
pub(crate) struct Listing {
    pub(crate) product: Product,
    pub(crate) state: ListingState,
}

/// How an app stands in this shop.
pub(crate) enum ListingState {
    /// Not here. `covered` if nothing has to be paid: it is free, or this shop holds a licence.
    Available { covered: bool, last: Option<Box<Installation>> },
    /// The administrator went to pay, and no licence has come yet.
    Paying,
    /// On its way, or waiting for the administrator.
    Pending {
        job: Box<Job>,
        /// What is here of a hosted or static app meanwhile.
        beside: Option<Box<Registered>>,
    },
    /// In the plugin folder.
    Installed { version: Version, update: Option<NewVersion> },
    /// A hosted or static app that is here, or on its way in or out.
    Registered(Box<Registered>),
    /// The marketplace can't say now whether it is here.
    Unknown,
}

/// A hosted or static app of this shop, as the marketplace has it.
pub(crate) struct Registered {
    pub(crate) installation: Installation,
    pub(crate) name: Option<String>,
    /// Where a hosted app is opened.
    pub(crate) address: Option<String>,
    /// Whether the files of a static app are not here in the recorded version: they can be fetched again.
    pub(crate) lacks_files: bool,
}

/// How far an app has come.
pub(crate) struct Arrival {
    pub(crate) name: Option<String>,
    pub(crate) progress: Progress,
}

/// How far that is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Progress {
    Complete,
    Moving,
    /// The marketplace can't say now.
    Unknown,
}

/// What is newer than the installed version.
pub(crate) struct NewVersion {
    pub(crate) version: Version,
    /// What it may do and the installed one may not.
    pub(crate) added_permissions: Vec<String>,
}

/// An app in the plugin folder, or on its way there.
pub(crate) struct Present {
    pub(crate) app: InstalledApp,
    pub(crate) job: Option<Job>,
    pub(crate) standing: Option<Standing>,
    pub(crate) update: Option<NewVersion>,
}

/// Everything that is installed.
pub(crate) struct Inventory {
    pub(crate) present: Vec<Present>,
    pub(crate) registered: Vec<Registered>,
    /// Why it is not known which hosted and static apps are here.
    pub(crate) unknown_installations: Option<ClientError>,
    /// Why it is not known what is newer.
    pub(crate) unknown_updates: Option<ClientError>,
    /// As it was before anything of this was read.
    pub(crate) state: Arc<State>,
}

impl App {
    /// A page of the marketplace.
    pub(crate) async fn browse(&self, question: &Question) -> Result<Catalogue, UseCaseError> {
        let query = FeedQuery {
            app_type: question.app_type.clone(),
            search: question.search.clone(),
            page: question.page,
            per_page: PER_PAGE,
        };
        let feed = self.client()?.feed(&query).await?;
        let here = self.here(feed.products.iter().any(|one| one.kind.has_installation())).await?;
        let listing = |product: Product| Listing { state: here.stands(&product), product };
        Ok(Catalogue {
            listings: feed.products.into_iter().map(listing).collect(),
            count: feed.count,
            pages: feed.count.div_ceil(u64::from(PER_PAGE)).max(1),
        })
    }

    /// One app with all there is to know, and how it stands here.
    pub(crate) async fn look_at(
        &self,
        app: &MarketplaceId,
    ) -> Result<(ProductDetail, ListingState), UseCaseError> {
        let detail = self.product(app).await?;
        let state = self.here(detail.product.kind.has_installation()).await?.stands(&detail.product);
        Ok((detail, state))
    }

    pub(super) async fn product(&self, app: &MarketplaceId) -> Result<ProductDetail, UseCaseError> {
        self.client()?.product(app).await.map_err(|error| match error {
            error if error.is_kind("not_found") => UseCaseError::NoSuchApp,
            other => other.into(),
        })
    }

    /// How far an app has come whose job is done.
    pub(crate) async fn find_arrival(&self, app: &MarketplaceId) -> Result<Option<Arrival>, UseCaseError> {
        let mut here = self.installed().await?.into_iter().chain(self.static_apps().await?);
        if let Some(present) = here.find(|present| present.is_of(app)) {
            return Ok(Some(Arrival { name: Some(present.manifest.name), progress: Progress::Complete }));
        }
        Ok(match self.installations().await {
            Ok(mut known) => known.remove(app).and_then(|one| self.arrival_of_hosted(&one)),
            Err(_) => self.arrival_of_noted(app),
        })
    }

    fn arrival_of_hosted(&self, one: &Installation) -> Option<Arrival> {
        let progress = match one.state {
            _ if one.kind != AppKind::Hosted => return None,
            InstallationState::Removing | InstallationState::Removed | InstallationState::Cancelled => {
                return None;
            }
            InstallationState::Other => Progress::Unknown,
            state if state.is_moving() => Progress::Moving,
            _ => Progress::Complete,
        };
        let state = self.state();
        let note = find_note(&state.hosted, &one.marketplace_id, &one.version);
        Some(Arrival { name: note.map(|note| note.name.clone()), progress })
    }

    /// Without the marketplace's record: a hosted app that this shop has begun to install may be here.
    fn arrival_of_noted(&self, app: &MarketplaceId) -> Option<Arrival> {
        let state = self.state();
        let note = state.hosted.iter().rfind(|note| note.marketplace_id == *app)?;
        Some(Arrival { name: Some(note.name.clone()), progress: Progress::Unknown })
    }

    /// The state is read first: a job that ends meanwhile is then shown as on its way, and looked at again, and not
    /// taken for one that was never there.
    async fn here(&self, with_installations: bool) -> Result<Here, UseCaseError> {
        let state = self.state();
        let installations = if with_installations {
            self.installations().await.inspect_err(|error| tracing::warn!(%error, "unknown installations"))
        } else {
            Ok(Installations::new())
        };
        Ok(Here {
            plugins: self.installed().await?,
            statics: self.static_apps().await?,
            installations: installations.ok(),
            state,
        })
    }

    /// What is in the plugin folder, and what of it is out of date.
    pub(crate) async fn inventory(&self) -> Result<Inventory, UseCaseError> {
        let state = self.state();
        let (updates, unknown_updates) = match self.client() {
            Ok(client) => match client.updates(&self.installed_versions().await?).await {
                Ok(updates) => (updates, None),
                Err(error) => (Vec::new(), Some(error)),
            },
            Err(_) => (Vec::new(), None),
        };
        let mut present = Vec::new();
        for app in self.installed().await? {
            let id = &app.manifest.marketplace_id;
            let is_local = app.receipt.is_none();
            let update = updates.iter().find(|update| update.marketplace_id == *id && !is_local);
            present.push(Present {
                job: state.jobs.get(id).filter(|_| !is_local).cloned(),
                standing: state.licenses.get(id).and_then(|known| known.standing.clone()),
                update: update.map(|update| NewVersion {
                    version: update.latest.clone(),
                    added_permissions: update.added_permissions.clone(),
                }),
                app,
            });
        }
        let (registered, unknown_installations) = match self.registered(&state).await {
            Ok(registered) => (registered, None),
            Err(error) => (Vec::new(), Some(error)),
        };
        Ok(Inventory { present, registered, unknown_installations, unknown_updates, state })
    }

    /// The hosted and static apps that are here, or on their way in or out.
    async fn registered(&self, state: &State) -> Result<Vec<Registered>, ClientError> {
        let installations = self.installations().await?;
        let statics = self.static_apps().await.unwrap_or_default();
        let present = installations.into_values().filter(|one| one.state.is_present());
        Ok(present.map(|one| Registered::of(one, &statics, &state.hosted)).collect())
    }

    /// The checkout that a buyer comes back from: the one of this order, or else the latest.
    pub(crate) fn find_checkout(&self, order_id: Option<&str>) -> Option<Checkout> {
        let state = self.state();
        let of_order =
            |order: &str| state.checkouts.iter().find(|one| one.order_id.as_deref() == Some(order)).cloned();
        order_id.and_then(of_order).or_else(|| state.checkouts.last().cloned())
    }
}

/// What is known of the shop when an app is looked at.
struct Here {
    plugins: Vec<InstalledApp>,
    statics: Vec<InstalledApp>,
    /// None if the marketplace can't say.
    installations: Option<Installations>,
    state: Arc<State>,
}

impl Here {
    fn stands(&self, product: &Product) -> ListingState {
        let app = &product.marketplace_id;
        if let Some(job) = self.state.jobs.get(app) {
            let beside = self.find_registered(product).map(Box::new);
            return ListingState::Pending { job: Box::new(job.clone()), beside };
        }
        if product.kind.has_installation() {
            return self.registered_or_available(product);
        }
        match self.plugins.iter().find(|present| present.is_of(app)) {
            Some(present) => {
                let (version, update) = (present.manifest.version.clone(), newer(product, present));
                ListingState::Installed { version, update }
            }
            None => self.available(product, None),
        }
    }

    fn registered_or_available(&self, product: &Product) -> ListingState {
        let Some(installations) = &self.installations else { return ListingState::Unknown };
        match self.find_registered(product) {
            Some(registered) => ListingState::Registered(Box::new(registered)),
            None => self.available(product, installations.get(&product.marketplace_id).cloned()),
        }
    }

    fn find_registered(&self, product: &Product) -> Option<Registered> {
        let one = self.installations.as_ref()?.get(&product.marketplace_id)?;
        let is_present = one.state.is_present();
        is_present.then(|| Registered::of(one.clone(), &self.statics, &self.state.hosted))
    }

    fn available(&self, product: &Product, last: Option<Installation>) -> ListingState {
        let app = &product.marketplace_id;
        let licensed = self
            .state
            .licenses
            .get(app)
            .is_some_and(|known| !matches!(known.standing, Some(Standing::Refused { .. })));
        if product.price_eur.is_free() || licensed {
            ListingState::Available { covered: true, last: last.map(Box::new) }
        } else if self.state.find_open_checkout(app).is_some() {
            ListingState::Paying
        } else {
            ListingState::Available { covered: false, last: last.map(Box::new) }
        }
    }
}

impl Registered {
    fn of(installation: Installation, statics: &[InstalledApp], notes: &[HostedNote]) -> Self {
        let app = &installation.marketplace_id;
        let files = statics.iter().find(|present| present.is_of(app));
        let is_other = |files: &InstalledApp| files.manifest.version != installation.version;
        let lacks_files = installation.kind == AppKind::Static && files.is_none_or(is_other);
        let note = find_note(notes, app, &installation.version);
        Self {
            name: files.map(|app| app.manifest.name.clone()).or_else(|| note.map(|note| note.name.clone())),
            address: note.map(|note| note.address.clone()),
            lacks_files,
            installation,
        }
    }
}

fn newer(product: &Product, present: &InstalledApp) -> Option<NewVersion> {
    (product.version > present.manifest.version).then(|| NewVersion {
        version: product.version.clone(),
        added_permissions: added(&product.permissions, present.manifest.permissions()),
    })
}
