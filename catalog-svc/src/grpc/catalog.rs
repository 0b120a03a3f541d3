use futures::{StreamExt as _, stream::BoxStream};
use platform::{AppError, AppResult};
use proto::catalog::{self as pb, catalog_server::Catalog};
use semver::Version;
use tonic::{Request, Response, Status};
use wire::{manifest::MarketplaceId, release::ArtifactDigest};

use super::map;
use crate::{
    app::{App, Feed},
    domain::Page,
};

/// What shops read.
pub(crate) struct CatalogEdge {
    app: App,
}

impl CatalogEdge {
    pub(crate) fn new(app: App) -> Self {
        Self { app }
    }
}

#[tonic::async_trait]
impl Catalog for CatalogEdge {
    type ReadArtifactStream = BoxStream<'static, Result<pb::ArtifactChunk, Status>>;

    async fn list_products(
        &self,
        request: Request<pb::ListProductsRequest>,
    ) -> Result<Response<pb::ListProductsResponse>, Status> {
        let feed = parse_feed(request.into_inner())?;
        let (products, count) = self.app.list_products(&feed)?;
        let latest = products.iter().filter_map(|product| product.find_latest());
        let products = latest.map(|release| map::release(release, None)).collect();
        let count = u32::try_from(count).unwrap_or(u32::MAX);
        Ok(Response::new(pb::ListProductsResponse { products, count }))
    }

    async fn get_product(
        &self,
        request: Request<pb::GetProductRequest>,
    ) -> Result<Response<pb::ProductDetail>, Status> {
        let id = parse_id(&request.into_inner().marketplace_id)?;
        let product = self.app.get_product(&id)?;
        Ok(Response::new(map::product(&product, self.app.marketplace_keys())))
    }

    async fn list_updates(
        &self,
        request: Request<pb::ListUpdatesRequest>,
    ) -> Result<Response<pb::ListUpdatesResponse>, Status> {
        let request = request.into_inner();
        let installed = request.versions.into_iter().map(|(id, version)| Ok((id, parse_version(&version)?)));
        let installed = installed.collect::<AppResult<Vec<_>>>()?;
        let platform = request.platform_version.as_deref().map(parse_version).transpose()?;
        let updates = self.app.list_updates(&installed, platform.as_ref())?;
        Ok(Response::new(pb::ListUpdatesResponse { updates: updates.into_iter().map(map::update).collect() }))
    }

    async fn get_release(
        &self,
        request: Request<pb::GetReleaseRequest>,
    ) -> Result<Response<pb::Release>, Status> {
        let request = request.into_inner();
        let (id, version) = (parse_id(&request.marketplace_id)?, parse_version(&request.version)?);
        let (release, url) = self.app.get_release(&id, &version).await?;
        Ok(Response::new(map::release(&release, url)))
    }

    async fn read_artifact(
        &self,
        request: Request<pb::ReadArtifactRequest>,
    ) -> Result<Response<Self::ReadArtifactStream>, Status> {
        let request = request.into_inner();
        let sha256: ArtifactDigest = request
            .sha256
            .parse()
            .map_err(|error: wire::release::ReleaseError| AppError::invalid(error.to_string()))?;
        let bytes = self.app.read_artifact(&sha256, request.offset, request.length).await?;
        let Some(bytes) = bytes else { return Ok(Response::new(futures::stream::empty().boxed())) };
        let chunks = bytes.map(|chunk| Ok(pb::ArtifactChunk { data: chunk?.into() }));
        Ok(Response::new(chunks.boxed()))
    }

    async fn resolve_vendor_key(
        &self,
        request: Request<pb::ResolveVendorKeyRequest>,
    ) -> Result<Response<pb::Vendor>, Status> {
        let key_hash = request.into_inner().key_hash.try_into();
        let key_hash =
            key_hash.map_err(|_| AppError::invalid("key_hash must be the 32 bytes of a SHA-256"))?;
        let vendor = self.app.resolve_vendor_key(&key_hash).await?;
        Ok(Response::new(map::vendor(vendor)))
    }
}

fn parse_feed(request: pb::ListProductsRequest) -> AppResult<Feed> {
    let app_type = request.r#type.map(|text| text.parse()).transpose();
    Ok(Feed {
        app_type: app_type
            .map_err(|error: wire::manifest::ParseAppTypeError| AppError::invalid(error.to_string()))?,
        search: request.search,
        page: Page::new(request.limit, request.offset)?,
    })
}

pub(super) fn parse_id(text: &str) -> AppResult<MarketplaceId> {
    text.parse()
        .map_err(|error: wire::manifest::ParseMarketplaceIdError| AppError::invalid(error.to_string()))
}

pub(super) fn parse_version(text: &str) -> AppResult<Version> {
    let wrong = |_| AppError::invalid("a version is a semantic version with three numbers, such as 1.2.0");
    text.parse().map_err(wrong)
}
