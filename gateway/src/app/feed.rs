use std::{any::Any, collections::BTreeMap, sync::Arc};

use platform::{AppResult, Principal};
use proto::catalog::{
    GetProductRequest, GetReleaseRequest, ListProductsRequest, ListProductsResponse, ListUpdatesRequest,
    ListUpdatesResponse, ProductDetail, Release,
};
use wire::manifest::MarketplaceId;

use super::{App, services::answer};
use crate::domain::page::Page;

/// One question that the feed's cache can answer.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum FeedQuestion {
    List { kind: Option<String>, search: Option<String>, page: Page },
    Product(String),
}

/// What an edge makes of the catalogue's answer; kept so that it is made once.
pub(crate) trait FeedView: Send + Sync + 'static {}

/// All feed answers speak of one subject: the catalogue.
const CATALOGUE: &str = "catalogue";

impl App {
    /// The edge's rendering of a feed answer, from memory where it is still true.
    pub(crate) async fn feed<V: FeedView>(
        &self,
        question: FeedQuestion,
        ask: impl AsyncFnOnce() -> AppResult<V>,
    ) -> AppResult<Arc<V>> {
        let known = self.feed.find(&question).and_then(|view| view.downcast().ok());
        if let Some(view) = known {
            return Ok(view);
        }
        let seen = self.feed.seen();
        let view = Arc::new(ask().await?);
        let kept: Arc<dyn Any + Send + Sync> = view.clone();
        self.feed.keep(question, [CATALOGUE.to_owned()], seen, kept);
        Ok(view)
    }

    /// One page of the catalogue.
    pub(crate) async fn list_products(
        &self,
        kind: Option<String>,
        search: Option<String>,
        page: Page,
    ) -> AppResult<ListProductsResponse> {
        let question = ListProductsRequest { r#type: kind, search, limit: page.limit, offset: page.offset };
        let question = self.services.request(&Principal::Anonymous, question)?;
        answer(self.services.catalog().list_products(question).await)
    }

    /// One product with all its versions.
    pub(crate) async fn get_product(&self, id: &MarketplaceId) -> AppResult<ProductDetail> {
        let question = GetProductRequest { marketplace_id: id.to_string() };
        let question = self.services.request(&Principal::Anonymous, question)?;
        answer(self.services.catalog().get_product(question).await)
    }

    /// One exact release.
    pub(crate) async fn get_release(
        &self,
        id: &MarketplaceId,
        version: &semver::Version,
    ) -> AppResult<Release> {
        let question = GetReleaseRequest { marketplace_id: id.to_string(), version: version.to_string() };
        let question = self.services.request(&Principal::Anonymous, question)?;
        answer(self.services.catalog().get_release(question).await)
    }

    /// What there is newer than what a shop has installed.
    pub(crate) async fn list_updates(
        &self,
        installed: BTreeMap<String, String>,
        platform_version: Option<String>,
    ) -> AppResult<ListUpdatesResponse> {
        let question = ListUpdatesRequest { versions: installed.into_iter().collect(), platform_version };
        let question = self.services.request(&Principal::Anonymous, question)?;
        answer(self.services.catalog().list_updates(question).await)
    }

    /// The catalogue changed.
    pub(crate) fn forget_feed(&self) {
        self.feed.changed(CATALOGUE.to_owned());
    }
}
