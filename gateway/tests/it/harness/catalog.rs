//! A scripted catalogue: the hosted app `@acme/hosted` in three versions, of which 1.0.0 is past its deadline and 1.5.0 was
//! withdrawn, and in pre-releases that only those who run one are led to.

use std::{
    pin::Pin,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
};

use futures::Stream;
use platform::{AppError, grpc::Caller, secret};
use proto::catalog as grpc;
use tonic::{Request, Response, Status, Streaming};

/// The key of the vendor `acme`.
pub(crate) const VENDOR_KEY: &str = "vk_acme";

/// What the scripted catalogue was asked.
#[derive(Default)]
pub(crate) struct CatalogScript {
    pub(crate) updates_asked: Mutex<Vec<grpc::ListUpdatesRequest>>,
    /// Whether it fails when it is asked for updates.
    pub(crate) updates_fail: AtomicBool,
    pub(crate) vendors_resolved: AtomicUsize,
    pub(crate) imported: Mutex<Option<(grpc::ImportHeader, Vec<u8>)>>,
    pub(crate) rotated: Mutex<Option<grpc::RotateAppSecretRequest>>,
}

#[derive(Clone)]
pub(super) struct FakeCatalog(pub(super) Arc<CatalogScript>);

fn release(version: &str) -> grpc::Release {
    grpc::Release {
        product_id: "ccmp_1".to_owned(),
        marketplace_id: "@acme/hosted".to_owned(),
        name: "Hosted".to_owned(),
        kind: "hosted".to_owned(),
        version: version.to_owned(),
        manifest_json: "{}".to_owned(),
        permissions: vec!["api:orders.read".to_owned()],
        api: Some(grpc::ApiRange { min_version: 1, max_version: 3 }),
        surface: format!("surface of {version}"),
        published_at_ms: 1_000,
        ..grpc::Release::default()
    }
}

fn releases() -> Vec<grpc::Release> {
    let withdrawn = grpc::Release { yanked_reason: Some("broken".to_owned()), ..release("1.5.0") };
    let left_behind = grpc::Release { deadline_ms: Some(1), ..release("1.0.0") };
    vec![release("2.0.0"), withdrawn, left_behind]
}

const PRE_RELEASE: &str = "2.1.0-rc.2";

/// What is newer than this version, for those who run it.
fn next(current: &str) -> Option<&'static str> {
    match current {
        "1.0.0" => Some("2.0.0"),
        "2.1.0-rc.1" => Some(PRE_RELEASE),
        _ => None,
    }
}

fn not_here<T>() -> Result<T, Status> {
    Err(Status::unimplemented("the script does not go here"))
}

fn unknown<T>() -> Result<T, Status> {
    Err(AppError::not_found("there is no app of this name in the marketplace").into())
}

#[tonic::async_trait]
impl grpc::catalog_server::Catalog for FakeCatalog {
    type ReadArtifactStream = Pin<Box<dyn Stream<Item = Result<grpc::ArtifactChunk, Status>> + Send>>;

    async fn list_products(
        &self,
        _: Request<grpc::ListProductsRequest>,
    ) -> Result<Response<grpc::ListProductsResponse>, Status> {
        Ok(Response::new(grpc::ListProductsResponse { products: vec![release("2.0.0")], count: 1 }))
    }

    async fn get_product(
        &self,
        request: Request<grpc::GetProductRequest>,
    ) -> Result<Response<grpc::ProductDetail>, Status> {
        if request.into_inner().marketplace_id != "@acme/hosted" {
            return unknown();
        }
        Ok(Response::new(grpc::ProductDetail {
            latest: Some(release("2.0.0")),
            versions: releases(),
            ..grpc::ProductDetail::default()
        }))
    }

    async fn list_updates(
        &self,
        request: Request<grpc::ListUpdatesRequest>,
    ) -> Result<Response<grpc::ListUpdatesResponse>, Status> {
        let asked = request.into_inner();
        if self.0.updates_fail.load(Ordering::SeqCst) {
            return Err(AppError::unavailable("the catalogue cannot be read").into());
        }
        let updates = asked.versions.iter().filter_map(|(id, current)| Some((id, current, next(current)?)));
        let updates = updates.map(|(id, current, latest)| grpc::Update {
            marketplace_id: id.clone(),
            current: current.clone(),
            latest: latest.to_owned(),
            requires_consent: true,
            added_permissions: vec!["api:orders.write".to_owned()],
            required_after_ms: Some(1_335_939_007_000),
            changes: vec!["permissions".to_owned()],
            ..grpc::Update::default()
        });
        let response = grpc::ListUpdatesResponse { updates: updates.collect() };
        self.0.updates_asked.lock().unwrap().push(asked);
        Ok(Response::new(response))
    }

    async fn get_release(
        &self,
        request: Request<grpc::GetReleaseRequest>,
    ) -> Result<Response<grpc::Release>, Status> {
        let asked = request.into_inner();
        let known = releases().into_iter().chain([release(PRE_RELEASE)]);
        let found = known.into_iter().find(|release| release.version == asked.version);
        found.map_or_else(unknown, |release| Ok(Response::new(release)))
    }

    async fn read_artifact(
        &self,
        _: Request<grpc::ReadArtifactRequest>,
    ) -> Result<Response<Self::ReadArtifactStream>, Status> {
        Err(AppError::unavailable("the artefacts cannot be reached").into())
    }

    async fn resolve_vendor_key(
        &self,
        request: Request<grpc::ResolveVendorKeyRequest>,
    ) -> Result<Response<grpc::Vendor>, Status> {
        self.0.vendors_resolved.fetch_add(1, Ordering::SeqCst);
        if request.into_inner().key_hash != secret::hash(VENDOR_KEY).to_vec() {
            return Err(AppError::not_found("there is no vendor with this key").into());
        }
        let (vendor_id, name) = ("vnd_1".to_owned(), "acme".to_owned());
        Ok(Response::new(grpc::Vendor { vendor_id, name, ..grpc::Vendor::default() }))
    }
}

#[tonic::async_trait]
impl grpc::catalog_admin_server::CatalogAdmin for FakeCatalog {
    async fn import_release(
        &self,
        request: Request<Streaming<grpc::ImportReleaseRequest>>,
    ) -> Result<Response<grpc::Release>, Status> {
        use grpc::import_release_request::Part;
        let (mut header, mut body, mut parts) = (None, Vec::new(), request.into_inner());
        while let Some(message) = parts.message().await? {
            match message.part.unwrap() {
                Part::Header(first) => header = Some(first),
                Part::Chunk(chunk) => body.extend_from_slice(&chunk),
            }
        }
        *self.0.imported.lock().unwrap() = Some((header.unwrap(), body));
        let app_secret = Some("shown this once".to_owned());
        Ok(Response::new(grpc::Release { app_secret, ..release("2.0.0") }))
    }

    async fn rotate_app_secret(
        &self,
        request: Request<grpc::RotateAppSecretRequest>,
    ) -> Result<Response<grpc::AppSecret>, Status> {
        Caller::principal(&request)?.require_operator()?;
        let asked = request.into_inner();
        let marketplace_id = asked.marketplace_id.clone();
        *self.0.rotated.lock().unwrap() = Some(asked);
        let previous_until_ms = Some(1_335_939_007_000);
        Ok(Response::new(grpc::AppSecret {
            marketplace_id,
            secret: "the new one".to_owned(),
            previous_until_ms,
        }))
    }

    async fn create_vendor(
        &self,
        _: Request<grpc::CreateVendorRequest>,
    ) -> Result<Response<grpc::CreateVendorResponse>, Status> {
        not_here()
    }
    async fn list_vendors(
        &self,
        _: Request<grpc::ListVendorsRequest>,
    ) -> Result<Response<grpc::ListVendorsResponse>, Status> {
        not_here()
    }
    async fn add_vendor_key(
        &self,
        _: Request<grpc::AddVendorKeyRequest>,
    ) -> Result<Response<grpc::Vendor>, Status> {
        not_here()
    }
    async fn yank_release(
        &self,
        _: Request<grpc::YankReleaseRequest>,
    ) -> Result<Response<grpc::Release>, Status> {
        not_here()
    }
}
