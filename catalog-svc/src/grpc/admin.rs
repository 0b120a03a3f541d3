use std::time::Duration;

use platform::grpc::Caller;
use proto::catalog::{self as pb, catalog_admin_server::CatalogAdmin};
use tonic::{Request, Response, Status, Streaming};

use super::{
    catalog::{parse_id, parse_version},
    map,
    upload::{read_bytes, read_header},
};
use crate::{
    app::{App, NewVendor},
    domain::{Page, parse_key, parse_keys},
};

/// What an operator does.
pub(crate) struct AdminEdge {
    app: App,
}

impl AdminEdge {
    pub(crate) fn new(app: App) -> Self {
        Self { app }
    }
}

#[tonic::async_trait]
impl CatalogAdmin for AdminEdge {
    async fn create_vendor(
        &self,
        request: Request<pb::CreateVendorRequest>,
    ) -> Result<Response<pb::CreateVendorResponse>, Status> {
        Caller::principal(&request)?.require_operator()?;
        let request = request.into_inner();
        let new = NewVendor {
            name: request.name.parse().map_err(refused)?,
            display_name: request.display_name.parse().map_err(refused)?,
            keys: parse_keys(&request.public_keys).map_err(refused)?,
        };
        let (vendor, secret) = self.app.create_vendor(new).await?;
        let vendor = Some(map::vendor(vendor));
        Ok(Response::new(pb::CreateVendorResponse { vendor, secret_key: secret.expose().to_owned() }))
    }

    async fn list_vendors(
        &self,
        request: Request<pb::ListVendorsRequest>,
    ) -> Result<Response<pb::ListVendorsResponse>, Status> {
        Caller::principal(&request)?.require_operator()?;
        let request = request.into_inner();
        let page = Page::new(request.limit, request.offset).map_err(refused)?;
        let (vendors, count) = self.app.list_vendors(page).await?;
        let count = u32::try_from(count).unwrap_or(u32::MAX);
        Ok(Response::new(pb::ListVendorsResponse {
            vendors: vendors.into_iter().map(map::vendor).collect(),
            count,
        }))
    }

    async fn add_vendor_key(
        &self,
        request: Request<pb::AddVendorKeyRequest>,
    ) -> Result<Response<pb::Vendor>, Status> {
        Caller::principal(&request)?.require_operator()?;
        let request = request.into_inner();
        let key = parse_key(&request.public_key).map_err(refused)?;
        let vendor = self.app.add_vendor_key(&request.vendor_id, &key).await?;
        Ok(Response::new(map::vendor(vendor)))
    }

    async fn import_release(
        &self,
        request: Request<Streaming<pb::ImportReleaseRequest>>,
    ) -> Result<Response<pb::Release>, Status> {
        Caller::principal(&request)?.require_operator()?;
        let mut parts = request.into_inner();
        let import = read_header(&mut parts).await?;
        // Held while the bytes are: what is at work at once is what bounds the memory.
        let _place = self.app.import_place().await?;
        let limit = self.app.max_bytes(import.kind);
        let bytes = read_bytes(&mut parts, import.kind, limit).await?;
        let imported = self.app.import_release(import, bytes).await?;
        Ok(Response::new(map::imported(&imported)))
    }

    async fn rotate_app_secret(
        &self,
        request: Request<pb::RotateAppSecretRequest>,
    ) -> Result<Response<pb::AppSecret>, Status> {
        Caller::principal(&request)?.require_operator()?;
        let request = request.into_inner();
        let id = parse_id(&request.marketplace_id)?;
        let overlap = Duration::from_secs(request.overlap_seconds);
        let rotated = self.app.rotate_app_secret(&id, overlap).await?;
        Ok(Response::new(pb::AppSecret {
            marketplace_id: id.to_string(),
            secret: rotated.secret.expose().to_owned(),
            previous_until_ms: rotated.previous_until_ms,
        }))
    }

    async fn yank_release(
        &self,
        request: Request<pb::YankReleaseRequest>,
    ) -> Result<Response<pb::Release>, Status> {
        Caller::principal(&request)?.require_operator()?;
        let request = request.into_inner();
        let (id, version) = (parse_id(&request.marketplace_id)?, parse_version(&request.version)?);
        let reason = request.reason.parse().map_err(refused)?;
        let release = self.app.yank_release(&id, &version, reason).await?;
        Ok(Response::new(map::release(&release, None)))
    }
}

/// What the domain refuses.
fn refused(error: impl Into<platform::AppError>) -> Status {
    error.into().into()
}
