use std::{cmp::Reverse, collections::HashMap, sync::Arc};

use wire::{manifest::AppType, release::ArtifactDigest};

use super::search::{SearchIndex, Searching};
use crate::domain::{Page, Product};

/// Everything that is published, as it stood at one moment.
pub struct Snapshot {
    products: HashMap<String, Arc<Product>>,
    /// What is on offer, the newest release first.
    newest: Vec<Arc<Product>>,
    artifact_sizes: HashMap<ArtifactDigest, u64>,
    searching: Searching,
}

impl Snapshot {
    /// These products and no others.
    pub(super) fn new(index: &SearchIndex, products: Vec<Product>) -> tantivy::Result<Self> {
        let changed: Vec<Arc<Product>> = products.into_iter().map(Arc::new).collect();
        let searching = index.apply(&changed)?;
        Ok(Self::of(by_name(changed), searching))
    }

    /// The same with these products as they are now.
    pub(super) fn with(&self, changed: Vec<Product>) -> tantivy::Result<Self> {
        let changed: Vec<Arc<Product>> = changed.into_iter().map(Arc::new).collect();
        let searching = self.searching.index().apply(&changed)?;
        let mut products = self.products.clone();
        products.extend(by_name(changed));
        Ok(Self::of(products, searching))
    }

    fn of(products: HashMap<String, Arc<Product>>, searching: Searching) -> Self {
        let newest = newest_first(products.values());
        let releases = products.values().flat_map(|product| product.releases());
        let artifacts = releases.filter_map(|release| release.content.artifact());
        let artifact_sizes = artifacts.map(|artifact| (artifact.sha256, artifact.size)).collect();
        Self { products, newest, artifact_sizes, searching }
    }

    /// Whether the product is here exactly as it is given.
    pub(super) fn holds(&self, product: &Product) -> bool {
        self.products.get(product.marketplace_id().as_str()).is_some_and(|held| **held == *product)
    }

    /// The product of this name, on offer or not.
    #[must_use]
    pub fn find(&self, marketplace_id: &str) -> Option<Arc<Product>> {
        self.products.get(marketplace_id).cloned()
    }

    /// How many bytes an artefact has.
    #[must_use]
    pub fn artifact_size(&self, sha256: &ArtifactDigest) -> Option<u64> {
        self.artifact_sizes.get(sha256).copied()
    }

    /// One page of what is on offer, the newest first, and how many there are.
    #[must_use]
    pub fn newest(&self, app_type: Option<AppType>, page: Page) -> (Vec<Arc<Product>>, usize) {
        let Some(app_type) = app_type else {
            let products = self.newest.iter().skip(page.offset()).take(page.limit()).cloned();
            return (products.collect(), self.newest.len());
        };
        let of_type = || self.newest.iter().filter(|product| product.app_type() == app_type);
        (of_type().skip(page.offset()).take(page.limit()).cloned().collect(), of_type().count())
    }

    /// One page of what these words find, the best match first, and how many there are.
    pub fn search(
        &self,
        text: &str,
        app_type: Option<AppType>,
        page: Page,
    ) -> tantivy::Result<(Vec<Arc<Product>>, usize)> {
        let (names, count) = self.searching.find(text, app_type, page)?;
        Ok((names.iter().filter_map(|name| self.find(name)).collect(), count))
    }
}

fn by_name(products: Vec<Arc<Product>>) -> HashMap<String, Arc<Product>> {
    products.into_iter().map(|product| (product.marketplace_id().to_string(), product)).collect()
}

fn newest_first<'a>(products: impl Iterator<Item = &'a Arc<Product>>) -> Vec<Arc<Product>> {
    let mut dated: Vec<_> =
        products.filter_map(|product| Some((product.find_latest()?.published_at_ms, product))).collect();
    dated.sort_by_key(|(published_at_ms, product)| (Reverse(*published_at_ms), product.marketplace_id()));
    dated.into_iter().map(|(_, product)| Arc::clone(product)).collect()
}
