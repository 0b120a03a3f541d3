//! A gateway in front of a licence service and a catalogue that the test scripts; the other services are away.

mod catalog;
mod installations;

use std::sync::{
    Arc, Mutex,
    atomic::{AtomicUsize, Ordering},
};

pub(crate) use self::{
    catalog::VENDOR_KEY,
    installations::{API_KEY, INSTALLATION, installation},
};
use base64::{Engine as _, prelude::BASE64_STANDARD};
use gateway::{Config, DownloadsConfig, HttpConfig, LimitsConfig, OperatorConfig, Parts, PeersConfig};
use platform::{
    Clock, Shutdown,
    admin::AdminConfig,
    bus::{Bus, EmbeddedBus, Message, jetstream::NatsConfig},
    grpc::{GrpcConfig, IdentityConfig, PeerConfig, Server},
    lifecycle::LifecycleConfig,
    limits::Limit,
    secret::{self, Secret},
    telemetry::{TelemetryConfig, TraceContext},
};
use proto::{
    catalog::{catalog_admin_server::CatalogAdminServer, catalog_server::CatalogServer},
    license as grpc,
};
use tokio::net::TcpListener;
use tonic::{Request, Response, Status};

use self::{
    catalog::{CatalogScript, FakeCatalog},
    installations::InstallationScript,
};

const CREDENTIAL: &str = "a credential of the gateway";
pub(crate) const ADMIN_KEY: &str = "ak_0123456789abcdef0123456789";
pub(crate) const SHOP_KEY: &str = "pk_shop";
pub(crate) const OTHER_KEY: &str = "pk_other";
pub(crate) const SECRET_KEY: &str = "sk_shop";
pub(crate) const OTHER_SECRET_KEY: &str = "sk_other";

/// What the scripted licence service knows and was asked.
#[derive(Default)]
pub(crate) struct Script {
    pub(crate) revoked: Mutex<bool>,
    pub(crate) disabled: Mutex<bool>,
    pub(crate) key_ends_at_ms: Mutex<Option<i64>>,
    pub(crate) verified: AtomicUsize,
    pub(crate) resolved: AtomicUsize,
    pub(crate) installations: InstallationScript,
}

#[derive(Clone)]
struct Fake(Arc<Script>);

pub(crate) struct Gateway {
    pub(crate) url: String,
    pub(crate) script: Arc<Script>,
    pub(crate) catalog: Arc<CatalogScript>,
    pub(crate) bus: Bus,
    pub(crate) http: reqwest::Client,
    pub(crate) shutdown: Shutdown,
    _folder: tempfile::TempDir,
}

impl Drop for Gateway {
    fn drop(&mut self) {
        self.shutdown.cancel();
    }
}

impl Gateway {
    pub(crate) async fn start() -> Self {
        Self::with_limits(LimitsConfig {
            key: Limit { requests: 10_000, window_seconds: 60 },
            address: Limit { requests: 10_000, window_seconds: 60 },
            verify_without_key: Limit { requests: 10_000, window_seconds: 60 },
            introspect: Limit { requests: 10_000, window_seconds: 60 },
        })
        .await
    }

    pub(crate) async fn with_limits(limits: LimitsConfig) -> Self {
        platform::tls::install_provider();
        let folder = tempfile::tempdir().unwrap();
        let bus = Bus::new(EmbeddedBus::open(&folder.path().join("bus.db"), Clock::system()).await.unwrap());
        let (shutdown, script) = (Shutdown::new(), Arc::<Script>::default());
        let catalog = Arc::<CatalogScript>::default();
        let catalog_url = serve_catalog(catalog.clone(), shutdown.clone()).await;
        let license = serve_license(script.clone(), shutdown.clone()).await;
        let http = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", http.local_addr().unwrap());
        let parts = Parts { common: platform::Parts::new(bus.clone()), http };
        tokio::spawn(gateway::run(config(&license, &catalog_url, &url, limits), parts, shutdown.clone()));
        Self { url, script, catalog, bus, http: reqwest::Client::new(), shutdown, _folder: folder }
    }

    /// Tells the gateway of a change and returns once `seen` holds.
    pub(crate) async fn publish(&self, subject: &str, event: impl proto::prost::Message) {
        let ids = platform::Parts::new(self.bus.clone()).ids();
        let message = Message {
            id: ids.generate("evt"),
            subject: subject.to_owned(),
            payload: event.encode_to_vec().into(),
            trace: TraceContext::default(),
        };
        self.bus.publish(&message).await.unwrap();
    }

    /// A call with a bearer key, of a path below the gateway's address.
    pub(crate) fn call(&self, method: reqwest::Method, path: &str, key: &str) -> reqwest::RequestBuilder {
        self.http.request(method, format!("{}{path}", self.url)).bearer_auth(key)
    }

    pub(crate) async fn verify(&self, key: Option<&str>, body: serde_json::Value) -> reqwest::Response {
        let request = self.http.post(format!("{}/store/marketplace/license/verify", self.url)).json(&body);
        let request = match key {
            Some(key) => request.header("x-publishable-api-key", key),
            None => request,
        };
        request.send().await.unwrap()
    }
}

fn config(license: &str, catalog: &str, url: &str, limits: LimitsConfig) -> Config {
    let away = PeerConfig { url: "http://127.0.0.1:1".to_owned(), ca: None };
    Config {
        telemetry: TelemetryConfig::default(),
        admin: AdminConfig { listen: "127.0.0.1:0".parse().unwrap() },
        bus: NatsConfig::new("nats://127.0.0.1:1"),
        lifecycle: LifecycleConfig { drain_seconds: 1 },
        redis: None,
        identity: IdentityConfig { name: "gateway".to_owned(), credential: Secret::new(CREDENTIAL) },
        peers: PeersConfig {
            catalog: PeerConfig { url: catalog.to_owned(), ca: None },
            license: PeerConfig { url: license.to_owned(), ca: None },
            payments: away.clone(),
            webhooks: away,
        },
        http: HttpConfig {
            listen: "127.0.0.1:0".parse().unwrap(),
            public_url: url.to_owned(),
            timeout_seconds: 30,
            max_body_bytes: 16 * 1024,
            max_release_bytes: 1024 * 1024,
            trusted_proxies: Vec::new(),
        },
        operator: OperatorConfig { keys: Secret::new(ADMIN_KEY) },
        downloads: DownloadsConfig { keys: Secret::new(BASE64_STANDARD.encode([7; 32])) },
        limits,
    }
}

async fn listen() -> (TcpListener, String, GrpcConfig) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let listen = listener.local_addr().unwrap();
    let callers = [("gateway".to_owned(), Secret::new(CREDENTIAL))].into();
    (listener, format!("http://{listen}"), GrpcConfig { listen, callers, tls: None })
}

async fn serve_catalog(script: Arc<CatalogScript>, shutdown: Shutdown) -> String {
    let (listener, url, config) = listen().await;
    let callers = platform::grpc::Callers::new(&config);
    let fake = FakeCatalog(script);
    let server = Server::new(&config)
        .unwrap()
        .add(CatalogServer::with_interceptor(fake.clone(), callers.interceptor()))
        .await
        .add(CatalogAdminServer::with_interceptor(fake, callers.interceptor()))
        .await;
    tokio::spawn(server.serve(listener, shutdown));
    url
}

async fn serve_license(script: Arc<Script>, shutdown: Shutdown) -> String {
    let (listener, url, config) = listen().await;
    let callers = platform::grpc::Callers::new(&config);
    let fake = Fake(script);
    let server = Server::new(&config)
        .unwrap()
        .add(grpc::instances_server::InstancesServer::with_interceptor(fake.clone(), callers.interceptor()))
        .await
        .add(grpc::licenses_server::LicensesServer::with_interceptor(fake.clone(), callers.interceptor()))
        .await
        .add(grpc::installations_server::InstallationsServer::with_interceptor(fake, callers.interceptor()))
        .await;
    tokio::spawn(server.serve(listener, shutdown));
    url
}

fn not_here<T>() -> Result<Response<T>, Status> {
    Err(Status::unimplemented("the script does not go here"))
}

#[tonic::async_trait]
impl grpc::instances_server::Instances for Fake {
    async fn resolve_key(
        &self,
        request: Request<grpc::ResolveKeyRequest>,
    ) -> Result<Response<grpc::ResolvedKey>, Status> {
        self.0.resolved.fetch_add(1, Ordering::SeqCst);
        let disabled = *self.0.disabled.lock().unwrap();
        let hash = request.into_inner().key_hash;
        let known = [
            (SHOP_KEY, grpc::KeyKind::Publishable, "inst_1"),
            (OTHER_KEY, grpc::KeyKind::Publishable, "inst_2"),
            (SECRET_KEY, grpc::KeyKind::Secret, "inst_1"),
            (OTHER_SECRET_KEY, grpc::KeyKind::Secret, "inst_2"),
        ];
        let found = known.into_iter().find(|(key, ..)| secret::hash(key).to_vec() == hash);
        match found {
            Some((_, kind, id)) if !disabled => Ok(Response::new(grpc::ResolvedKey {
                kind: kind.into(),
                instance_id: id.to_owned(),
                expires_at_ms: *self.0.key_ends_at_ms.lock().unwrap(),
            })),
            _ => Err(platform::AppError::not_found("no such key").into()),
        }
    }

    async fn register_instance(
        &self,
        _: Request<grpc::RegisterInstanceRequest>,
    ) -> Result<Response<grpc::InstanceCredentials>, Status> {
        not_here()
    }
    async fn get_instance(
        &self,
        _: Request<grpc::GetInstanceRequest>,
    ) -> Result<Response<grpc::Instance>, Status> {
        not_here()
    }
    async fn list_instances(
        &self,
        _: Request<grpc::ListInstancesRequest>,
    ) -> Result<Response<grpc::ListInstancesResponse>, Status> {
        not_here()
    }
    async fn update_instance(
        &self,
        _: Request<grpc::UpdateInstanceRequest>,
    ) -> Result<Response<grpc::Instance>, Status> {
        not_here()
    }
    async fn rotate_instance(
        &self,
        _: Request<grpc::RotateInstanceRequest>,
    ) -> Result<Response<grpc::InstanceCredentials>, Status> {
        not_here()
    }
    async fn set_instance_disabled(
        &self,
        _: Request<grpc::SetInstanceDisabledRequest>,
    ) -> Result<Response<grpc::Instance>, Status> {
        not_here()
    }
    async fn create_shared_key(
        &self,
        _: Request<grpc::CreateSharedKeyRequest>,
    ) -> Result<Response<grpc::SharedKey>, Status> {
        not_here()
    }
}

#[tonic::async_trait]
impl grpc::licenses_server::Licenses for Fake {
    async fn verify(
        &self,
        request: Request<grpc::VerifyRequest>,
    ) -> Result<Response<grpc::VerifyResponse>, Status> {
        let asked = self.0.verified.fetch_add(1, Ordering::SeqCst) + 1;
        let valid = !*self.0.revoked.lock().unwrap();
        let request = request.into_inner();
        Ok(Response::new(grpc::VerifyResponse {
            valid,
            code: if valid { "VALID" } else { "REVOKED" }.to_owned(),
            token: format!("token {asked}"),
            license: Some(grpc::License { license_id: "lic_1".to_owned(), ..grpc::License::default() }),
            holds_seat: valid,
            instance_id: request.instance_id,
            nonce: request.nonce,
            ..grpc::VerifyResponse::default()
        }))
    }

    async fn deactivate(
        &self,
        _: Request<grpc::DeactivateRequest>,
    ) -> Result<Response<grpc::DeactivateResponse>, Status> {
        not_here()
    }
    async fn list_instance_licenses(
        &self,
        _: Request<grpc::ListInstanceLicensesRequest>,
    ) -> Result<Response<grpc::ListLicensesResponse>, Status> {
        Ok(Response::new(grpc::ListLicensesResponse::default()))
    }
    async fn find_live_license(
        &self,
        _: Request<grpc::FindLiveLicenseRequest>,
    ) -> Result<Response<grpc::FindLiveLicenseResponse>, Status> {
        not_here()
    }
    async fn get_public_keys(
        &self,
        _: Request<grpc::GetPublicKeysRequest>,
    ) -> Result<Response<grpc::PublicKeys>, Status> {
        not_here()
    }
    async fn list_licenses(
        &self,
        _: Request<grpc::ListLicensesRequest>,
    ) -> Result<Response<grpc::ListLicensesResponse>, Status> {
        not_here()
    }
    async fn get_license(
        &self,
        _: Request<grpc::GetLicenseRequest>,
    ) -> Result<Response<grpc::License>, Status> {
        not_here()
    }
    async fn suspend_license(
        &self,
        _: Request<grpc::ChangeLicenseRequest>,
    ) -> Result<Response<grpc::License>, Status> {
        not_here()
    }
    async fn reinstate_license(
        &self,
        _: Request<grpc::ChangeLicenseRequest>,
    ) -> Result<Response<grpc::License>, Status> {
        not_here()
    }
    async fn revoke_license(
        &self,
        _: Request<grpc::ChangeLicenseRequest>,
    ) -> Result<Response<grpc::License>, Status> {
        not_here()
    }
}
