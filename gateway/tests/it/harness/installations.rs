//! The installations of the scripted licence service.

use std::sync::{
    Mutex,
    atomic::{AtomicUsize, Ordering},
};

use platform::{AppError, Principal, grpc::Caller, secret};
use proto::license as grpc;
use tonic::{Request, Response, Status};

use super::Fake;

/// The API key that is live in `inst_1`.
pub(crate) const API_KEY: &str = "EZMRp7tfDT7JisRlGREU3R00do4nq0BSLHRKToTppOZRiTc75a";
/// The id of the scripted installation.
pub(crate) const INSTALLATION: &str = "itn_01ARZ3NDEKTSV4RRFFQ69G5FAV";

/// What the scripted licence service knows of installations and was asked.
pub(crate) struct InstallationScript {
    /// What is answered to whoever asks for one, or for a change of it.
    pub(crate) current: Mutex<grpc::Installation>,
    /// What the list holds.
    pub(crate) listed: Mutex<Vec<grpc::Installation>>,
    pub(crate) key_is_live: Mutex<bool>,
    pub(crate) introspected: AtomicUsize,
    pub(crate) read: AtomicUsize,
    pub(crate) install_asked: Mutex<Option<grpc::RequestInstallationRequest>>,
    pub(crate) update_asked: Mutex<Option<grpc::RequestUpdateRequest>>,
    pub(crate) list_asked: Mutex<Option<(Principal, grpc::ListInstallationsRequest)>>,
}

impl Default for InstallationScript {
    fn default() -> Self {
        Self {
            current: Mutex::new(installation("installing")),
            listed: Mutex::default(),
            key_is_live: Mutex::new(true),
            introspected: AtomicUsize::default(),
            read: AtomicUsize::default(),
            install_asked: Mutex::default(),
            update_asked: Mutex::default(),
            list_asked: Mutex::default(),
        }
    }
}

/// `@acme/hosted` 1.0.0 in `inst_1`.
pub(crate) fn installation(state: &str) -> grpc::Installation {
    grpc::Installation {
        installation_id: INSTALLATION.to_owned(),
        instance_id: "inst_1".to_owned(),
        shop: "TN81S9AUB1".to_owned(),
        marketplace_id: "@acme/hosted".to_owned(),
        kind: "hosted".to_owned(),
        version: "1.0.0".to_owned(),
        state: state.to_owned(),
        permissions: vec!["api:orders.read".to_owned()],
        access: "live".to_owned(),
        ..grpc::Installation::default()
    }
}

fn principal<T>(request: &Request<T>) -> Result<Principal, Status> {
    Ok(Caller::principal(request)?.clone())
}

#[tonic::async_trait]
impl grpc::installations_server::Installations for Fake {
    async fn request_installation(
        &self,
        request: Request<grpc::RequestInstallationRequest>,
    ) -> Result<Response<grpc::Installation>, Status> {
        principal(&request)?.require_instance_admin()?;
        let request = request.into_inner();
        if request.shop.as_deref().is_some_and(|shop| shop != "TN81S9AUB1") {
            return Err(AppError::not_allowed("shop must be as registered, or left out").into());
        }
        *self.0.installations.install_asked.lock().unwrap() = Some(request);
        Ok(Response::new(self.0.installations.current.lock().unwrap().clone()))
    }

    async fn request_update(
        &self,
        request: Request<grpc::RequestUpdateRequest>,
    ) -> Result<Response<grpc::Installation>, Status> {
        principal(&request)?.require_instance_admin()?;
        *self.0.installations.update_asked.lock().unwrap() = Some(request.into_inner());
        Ok(Response::new(self.0.installations.current.lock().unwrap().clone()))
    }

    async fn request_removal(
        &self,
        request: Request<grpc::RequestRemovalRequest>,
    ) -> Result<Response<grpc::Installation>, Status> {
        principal(&request)?.require_instance_admin()?;
        *self.0.installations.key_is_live.lock().unwrap() = false;
        Ok(Response::new(self.0.installations.current.lock().unwrap().clone()))
    }

    async fn introspect(
        &self,
        request: Request<grpc::IntrospectRequest>,
    ) -> Result<Response<grpc::Introspection>, Status> {
        self.0.installations.introspected.fetch_add(1, Ordering::SeqCst);
        let asking = principal(&request)?.require_instance_admin()?.to_owned();
        let is_it = request.into_inner().key_hash == secret::hash(API_KEY).to_vec();
        if !is_it || asking != "inst_1" || !*self.0.installations.key_is_live.lock().unwrap() {
            return Ok(Response::new(grpc::Introspection::default()));
        }
        Ok(Response::new(grpc::Introspection {
            active: true,
            installation_id: INSTALLATION.to_owned(),
            marketplace_id: "@acme/hosted".to_owned(),
            version: "1.0.0".to_owned(),
            permissions: vec!["api:orders.read".to_owned()],
        }))
    }

    async fn get_installation(
        &self,
        request: Request<grpc::GetInstallationRequest>,
    ) -> Result<Response<grpc::Installation>, Status> {
        principal(&request)?.require_instance_admin()?;
        self.0.installations.read.fetch_add(1, Ordering::SeqCst);
        let current = self.0.installations.current.lock().unwrap().clone();
        if request.into_inner().installation_id != current.installation_id {
            return Err(AppError::not_found("there is no such installation in this shop").into());
        }
        Ok(Response::new(current))
    }

    async fn list_installations(
        &self,
        request: Request<grpc::ListInstallationsRequest>,
    ) -> Result<Response<grpc::ListInstallationsResponse>, Status> {
        let asked = (principal(&request)?, request.into_inner());
        *self.0.installations.list_asked.lock().unwrap() = Some(asked);
        let installations = self.0.installations.listed.lock().unwrap().clone();
        let count = u32::try_from(installations.len()).unwrap();
        Ok(Response::new(grpc::ListInstallationsResponse { installations, count }))
    }

    async fn count_versions(
        &self,
        request: Request<grpc::CountVersionsRequest>,
    ) -> Result<Response<grpc::CountVersionsResponse>, Status> {
        assert_eq!(principal(&request)?, Principal::Vendor("vnd_1".to_owned()));
        let versions = vec![grpc::VersionCount { version: "1.0.0".to_owned(), installations: 3 }];
        Ok(Response::new(grpc::CountVersionsResponse { versions }))
    }
}
