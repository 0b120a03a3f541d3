use std::{ops::Range, sync::Arc};

use bytes::Bytes;
use futures::Stream;
use platform::{AppError, AppResult};
use semver::Version;
use wire::{
    manifest::{AppType, MarketplaceId},
    release::ArtifactDigest,
};

use super::{
    App,
    errors::{unknown_app, unknown_release},
};
use crate::domain::{MAX_QUESTIONS, Page, Product, Release, Update, find_update};

/// What a shop asks of the feed.
#[derive(Debug, Clone)]
pub struct Feed {
    /// Only apps of this type.
    pub app_type: Option<AppType>,
    /// Only apps that these words find.
    pub search: Option<String>,
    /// Which part.
    pub page: Page,
}

impl App {
    /// One page of the products on offer, and how many there are: the best match first, or the newest.
    pub fn list_products(&self, feed: &Feed) -> AppResult<(Vec<Arc<Product>>, usize)> {
        let snapshot = self.projection.snapshot()?;
        match feed.search.as_deref().map(str::trim).filter(|text| !text.is_empty()) {
            Some(text) => snapshot.search(text, feed.app_type, feed.page).map_err(AppError::unexpected),
            None => Ok(snapshot.newest(feed.app_type, feed.page)),
        }
    }

    /// One product with all its releases.
    pub fn get_product(&self, id: &MarketplaceId) -> AppResult<Arc<Product>> {
        let product = self.projection.snapshot()?.find(id.as_str());
        product.ok_or_else(unknown_app)
    }

    /// The updates for what a shop runs, by name. Names that are unknown here are left out.
    pub fn list_updates(
        &self,
        installed: &[(String, Version)],
        platform: Option<&Version>,
    ) -> AppResult<Vec<Update>> {
        if installed.len() > MAX_QUESTIONS {
            return Err(AppError::invalid(
                "at most 200 apps may be named at once; ask for the others separately",
            ));
        }
        let snapshot = self.projection.snapshot()?;
        let find = |(id, current): &(String, Version)| find_update(&*snapshot.find(id)?, current, platform);
        let mut updates: Vec<Update> = installed.iter().filter_map(find).collect();
        updates.sort_by(|one, other| one.marketplace_id.cmp(&other.marketplace_id));
        Ok(updates)
    }

    /// One exact release, yanked ones included, and the store's own URL for its bytes where that is public.
    pub async fn get_release(
        &self,
        id: &MarketplaceId,
        version: &Version,
    ) -> AppResult<(Release, Option<String>)> {
        let product = self.projection.snapshot()?.find(id.as_str()).ok_or_else(unknown_release)?;
        let release = product.find_release(version).ok_or_else(unknown_release)?;
        let url = match release.content.artifact() {
            Some(artifact) => self.artifacts.presign(&artifact.sha256).await?,
            None => None,
        };
        Ok((release.clone(), url))
    }

    /// The bytes of an artefact from `offset`, at most `length` of them.
    pub async fn read_artifact(
        &self,
        sha256: &ArtifactDigest,
        offset: u64,
        length: Option<u64>,
    ) -> AppResult<Option<impl Stream<Item = AppResult<Bytes>> + Send + use<>>> {
        let size = self.artifact_size(sha256).await?;
        let range = clip(size, offset, length)?;
        if range.is_empty() {
            return Ok(None);
        }
        self.artifacts.read(sha256, range).await.map(Some)
    }

    /// Another replica may have published it a moment ago: what isn't known here yet is looked for in the store.
    async fn artifact_size(&self, sha256: &ArtifactDigest) -> AppResult<u64> {
        if let Some(size) = self.projection.snapshot()?.artifact_size(sha256) {
            return Ok(size);
        }
        let size = self.artifacts.find_size(sha256).await?;
        size.ok_or_else(|| AppError::not_found("there is no artefact with this SHA-256"))
    }
}

fn clip(size: u64, offset: u64, length: Option<u64>) -> AppResult<Range<u64>> {
    if offset > size {
        return Err(AppError::invalid("the range begins beyond the artefact's end"));
    }
    let end = length.map_or(size, |length| offset.saturating_add(length).min(size));
    Ok(offset..end)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn a_range_is_clipped_to_the_artefact() {
        assert_eq!(clip(10, 0, None).unwrap(), 0..10);
        assert_eq!(clip(10, 4, Some(3)).unwrap(), 4..7);
        assert_eq!(clip(10, 4, Some(u64::MAX)).unwrap(), 4..10);
        assert!(clip(10, 10, None).unwrap().is_empty());
        assert!(clip(10, 11, None).is_err());
    }
}
