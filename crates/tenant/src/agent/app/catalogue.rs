//! What there is, and how each app stands in this shop.

use semver::Version;
use wire::manifest::MarketplaceId;

use super::{App, UseCaseError};
use crate::{
    agent::domain::{Checkout, Job, State},
    client::{ClientError, FeedQuery, Product, ProductDetail},
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
    Available { covered: bool },
    /// The administrator went to pay, and no licence has come yet.
    Paying,
    /// On its way, or waiting for the administrator.
    Pending(Box<Job>),
    /// Here.
    Installed { version: Version, update: Option<NewVersion> },
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

/// Everything in the plugin folder.
pub(crate) struct Inventory {
    pub(crate) present: Vec<Present>,
    /// Why it is not known what is newer.
    pub(crate) unknown_updates: Option<ClientError>,
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
        let installed = self.installed().await?;
        let state = self.state();
        let listing = |product: Product| Listing { state: stands(&product, &installed, &state), product };
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
        let detail = self.client()?.product(app).await.map_err(|error| match error {
            error if error.is_kind("not_found") => UseCaseError::NoSuchApp,
            other => other.into(),
        })?;
        let state = stands(&detail.product, &self.installed().await?, &self.state());
        Ok((detail, state))
    }

    /// What is in the plugin folder, and what of it is out of date.
    pub(crate) async fn inventory(&self) -> Result<Inventory, UseCaseError> {
        let (updates, unknown_updates) = match self.client() {
            Ok(client) => match client.updates(&self.installed_versions().await?).await {
                Ok(updates) => (updates, None),
                Err(error) => (Vec::new(), Some(error)),
            },
            Err(_) => (Vec::new(), None),
        };
        let state = self.state();
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
        Ok(Inventory { present, unknown_updates })
    }

    /// The checkout that a buyer comes back from: the one of this order, or else the latest.
    pub(crate) fn find_checkout(&self, order_id: Option<&str>) -> Option<Checkout> {
        let state = self.state();
        let of_order =
            |order: &str| state.checkouts.iter().find(|one| one.order_id.as_deref() == Some(order)).cloned();
        order_id.and_then(of_order).or_else(|| state.checkouts.last().cloned())
    }
}

fn stands(product: &Product, installed: &[InstalledApp], state: &State) -> ListingState {
    let app = &product.marketplace_id;
    if let Some(job) = state.jobs.get(app) {
        return ListingState::Pending(Box::new(job.clone()));
    }
    if let Some(present) = installed.iter().find(|present| present.is_of(app)) {
        let version = present.manifest.version.clone();
        let update = newer(product, present);
        return ListingState::Installed { version, update };
    }
    let licensed = state
        .licenses
        .get(app)
        .is_some_and(|known| !matches!(known.standing, Some(Standing::Refused { .. })));
    if product.price_eur.is_free() || licensed {
        ListingState::Available { covered: true }
    } else if state.find_open_checkout(app).is_some() {
        ListingState::Paying
    } else {
        ListingState::Available { covered: false }
    }
}

fn newer(product: &Product, present: &InstalledApp) -> Option<NewVersion> {
    let has = |permission: &&String| !present.manifest.permissions().contains(permission);
    (product.version > present.manifest.version).then(|| NewVersion {
        version: product.version.clone(),
        added_permissions: product.permissions.iter().filter(has).cloned().collect(),
    })
}
