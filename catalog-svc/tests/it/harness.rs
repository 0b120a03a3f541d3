//! The service, running, with everything around it.

use std::{collections::BTreeMap, path::PathBuf, sync::Arc, time::Duration};

use base64::{Engine as _, prelude::BASE64_STANDARD};
use catalog_svc::{
    Config, Migrator, Parts,
    config::{ArtifactsConfig, CatalogConfig},
};
use platform::{
    AppError, AppResult, Clock, Ids, Principal, Random, Shutdown,
    admin::{AdminConfig, Readiness},
    bus::{Bus, ConsumerSpec, EmbeddedBus, JetStreamBus, Message, NatsConfig},
    db::{self, DatabaseConfig, Db},
    grpc::{Channel, GrpcConfig, IdentityConfig, Peer, PeerConfig},
    lifecycle::LifecycleConfig,
    sealing::SealingConfig,
    secret::Secret,
    telemetry::TelemetryConfig,
};
use proto::{
    catalog::{
        self as pb, ImportHeader, ImportReleaseRequest, catalog_admin_client::CatalogAdminClient,
        catalog_client::CatalogClient, import_release_request::Part,
    },
    events::{AppChanged, HostedEndpoint, subject},
};
use tempfile::TempDir;
use testkit::{Log, eventually, servers::test_env};
use tokio::{net::TcpListener, task::JoinHandle};
use tonic::{Request, Response, Status};
use wire::{keys::SigningKey, manifest::Manifest, release::sign_artifact};

use crate::packages::Package;

pub(crate) const START_MS: i64 = 1_760_000_000_000;
pub(crate) const WAIT: Duration = Duration::from_secs(20);
/// Room for the packages of these tests, and little enough to be passed by one.
pub(crate) const MAX_PACKAGE: u64 = 2 * 1024 * 1024;
pub(crate) const ROWS_KEY: [u8; 32] = [5; 32];
pub(crate) const BUS_KEY: [u8; 32] = [6; 32];
const CREDENTIAL: &str = "the gateway's own credential";
const SCHEMA: &str = "catalog";

/// Runs each test over both pairs of parts.
macro_rules! over_both {
    ($($test:ident)*) => {
        $(
            mod $test {
                use crate::harness::World;

                #[tokio::test(flavor = "multi_thread")]
                async fn embedded() {
                    super::$test(World::embedded().await).await;
                }

                #[tokio::test(flavor = "multi_thread")]
                async fn servers() {
                    super::$test(World::servers().await).await;
                }
            }
        )*
    };
}
pub(crate) use over_both;

/// Everything that one test sees.
pub(crate) struct World {
    pub(crate) clock: Clock,
    pub(crate) bus: Bus,
    pub(crate) database: DatabaseConfig,
    pub(crate) events: Arc<Log<Message>>,
    pub(crate) data: TempDir,
    /// The first replica.
    pub(crate) first: Replica,
}

/// One running service.
pub(crate) struct Replica {
    pub(crate) db: Db,
    pub(crate) readiness: Readiness,
    peer: Peer,
    shutdown: Shutdown,
    service: JoinHandle<anyhow::Result<()>>,
}

/// A vendor with the key that it signs with.
#[derive(Clone)]
pub(crate) struct Vendor {
    pub(crate) id: String,
    pub(crate) key: SigningKey,
}

pub(crate) fn marketplace_key() -> SigningKey {
    SigningKey::from_seed(&[1; 32])
}

pub(crate) fn previous_marketplace_key() -> SigningKey {
    SigningKey::from_seed(&[2; 32])
}

impl World {
    pub(crate) async fn embedded() -> Self {
        let data = TempDir::new().unwrap();
        let bus = EmbeddedBus::open(&data.path().join("bus.db"), Clock::system()).await.unwrap();
        let database = DatabaseConfig::sqlite(&data.path().join("catalog.db"));
        Self::start(database, Bus::new(bus), data).await
    }

    pub(crate) async fn servers() -> Self {
        let env = test_env();
        let bus = JetStreamBus::connect(&NatsConfig::new(&env.nats_url)).await.unwrap();
        let url = Secret::new(env.fresh_database().await.unwrap());
        Self::start(DatabaseConfig { url, max_connections: 8 }, Bus::new(bus), TempDir::new().unwrap()).await
    }

    async fn start(database: DatabaseConfig, bus: Bus, data: TempDir) -> Self {
        let db = Db::connect(&database, SCHEMA).await.unwrap();
        db::migrate::<Migrator>(&db, SCHEMA).await.unwrap();
        let clock = Clock::manual(START_MS);
        let events = follow(&bus);
        let artifacts = ArtifactsConfig::folder(&data.path().join("artifacts"));
        let first = Replica::start(&database, &bus, &clock, artifacts).await;
        Self { clock, bus, database, events, data, first }
    }

    /// Another replica on the same parts.
    pub(crate) async fn replica(&self) -> Replica {
        let artifacts = ArtifactsConfig::folder(&self.artifacts());
        Replica::start(&self.database, &self.bus, &self.clock, artifacts).await
    }

    pub(crate) fn artifacts(&self) -> PathBuf {
        self.data.path().join("artifacts")
    }

    /// Later, so that what comes next is newer.
    pub(crate) fn later(&self) {
        self.clock.advance(Duration::from_secs(1));
    }

    /// Waits for an event of the subject that fits.
    pub(crate) async fn told<E: prost::Message + Default>(
        &self,
        subject: &str,
        what: &str,
        fits: impl Fn(&E) -> bool,
    ) -> E {
        let find = |all: &[Message]| decoded(all, subject).into_iter().find(&fits);
        self.events.wait(what, WAIT, find).await.unwrap()
    }

    /// What has been told of the endpoint of the vendor's hosted app at this revision. Several worlds share one bus.
    pub(crate) async fn endpoint(&self, vendor: &Vendor, revision: u32) -> HostedEndpoint {
        let is_it = |it: &AppChanged| {
            it.vendor_id == vendor.id && it.hosted.as_ref().is_some_and(|hosted| hosted.revision == revision)
        };
        self.told(subject::APP_CHANGED, "the endpoint", is_it).await.hosted.unwrap()
    }

    /// How often it has been announced up to now.
    pub(crate) fn count_told<E: prost::Message + Default>(
        &self,
        subject: &str,
        fits: impl Fn(&E) -> bool,
    ) -> usize {
        decoded(&self.events.all(), subject).iter().filter(|event| fits(event)).count()
    }
}

fn decoded<E: prost::Message + Default>(all: &[Message], subject: &str) -> Vec<E> {
    let of_subject = all.iter().filter(|message| message.subject == subject);
    of_subject.map(|message| E::decode(message.payload.clone()).unwrap()).collect()
}

/// Everything that is announced, from the beginning: what follows only from now on could begin a moment too late.
fn follow(bus: &Bus) -> Arc<Log<Message>> {
    let subjects = [subject::RELEASE_PUBLISHED, subject::RELEASE_YANKED, subject::APP_CHANGED];
    let name = format!("catalog-test-{}", Ids::new(Clock::system(), Random::system()).generate("run"));
    let events: Arc<Log<Message>> = Arc::default();
    let log = Arc::clone(&events);
    let handler = move |message| {
        log.push(message);
        std::future::ready(Ok(()))
    };
    bus.consume(ConsumerSpec::new(name, subjects), Shutdown::new(), handler).unwrap();
    events
}

fn config(database: &DatabaseConfig, listener: &TcpListener, artifacts: ArtifactsConfig) -> Config {
    let callers = BTreeMap::from([("gateway".to_owned(), Secret::new(CREDENTIAL))]);
    Config {
        telemetry: TelemetryConfig::default(),
        admin: AdminConfig { listen: ([127, 0, 0, 1], 0).into() },
        bus: NatsConfig::new("nats://not.used"),
        lifecycle: LifecycleConfig { drain_seconds: 5 },
        database: database.clone(),
        grpc: GrpcConfig { listen: listener.local_addr().unwrap(), callers, tls: None },
        artifacts,
        catalog: CatalogConfig {
            previous_keys: vec![previous_marketplace_key().verifying_key().to_string()],
            max_package_bytes: MAX_PACKAGE,
            ..CatalogConfig::new(Secret::new(BASE64_STANDARD.encode([1; 32])))
        },
        sealing: SealingConfig::single(&ROWS_KEY),
        bus_sealing: SealingConfig::single(&BUS_KEY),
    }
}

impl Replica {
    pub(crate) async fn start(
        database: &DatabaseConfig,
        bus: &Bus,
        clock: &Clock,
        artifacts: ArtifactsConfig,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let config = config(database, &listener, artifacts);
        let url = format!("http://{}", config.grpc.listen);
        let db = Db::connect(database, SCHEMA).await.unwrap();
        let common = platform::Parts {
            clock: clock.clone(),
            random: Random::system(),
            ..platform::Parts::new(bus.clone())
        };
        let readiness = common.readiness.clone();
        let shutdown = Shutdown::new();
        let parts = Parts { common, db: db.clone(), grpc: listener };
        let service = tokio::spawn(catalog_svc::run(config, parts, shutdown.clone()));
        let identity = IdentityConfig { name: "gateway".to_owned(), credential: Secret::new(CREDENTIAL) };
        let peer = Peer::connect(&PeerConfig { url, ca: None }, &identity).unwrap();
        let replica = Self { db, readiness, peer, shutdown, service };
        eventually("the replica to be ready", WAIT, async || replica.is_up().await.then_some(()))
            .await
            .unwrap();
        replica
    }

    /// Whether it answers what it has loaded, and says that it is ready.
    async fn is_up(&self) -> bool {
        self.list(pb::ListProductsRequest::default()).await.is_ok() && self.readiness.is_ready().await
    }

    pub(crate) async fn stop(self) {
        self.shutdown.cancel();
        self.service.await.unwrap().unwrap();
    }

    pub(crate) fn catalog(&self) -> CatalogClient<Channel> {
        CatalogClient::new(self.peer.channel())
    }

    pub(crate) fn admin(&self) -> CatalogAdminClient<Channel> {
        CatalogAdminClient::new(self.peer.channel())
    }

    pub(crate) fn by<T>(&self, principal: &Principal, message: T) -> Request<T> {
        self.peer.request(principal, message).unwrap()
    }

    pub(crate) fn operator<T>(&self, message: T) -> Request<T> {
        self.by(&Principal::Operator, message)
    }

    /// A shop's read.
    pub(crate) fn shop<T>(&self, message: T) -> Request<T> {
        self.by(&Principal::Instance("inst_1".into()), message)
    }

    pub(crate) async fn vendor(&self, name: &str) -> Vendor {
        let key = SigningKey::from_seed(&[9; 32]);
        let request = pb::CreateVendorRequest {
            name: name.to_owned(),
            display_name: format!("The {name} company"),
            public_keys: vec![key.verifying_key().to_string()],
        };
        let made = answer(self.admin().create_vendor(self.operator(request)).await).unwrap();
        Vendor { id: made.vendor.unwrap().vendor_id, key }
    }

    /// Publishes the package, which must be taken.
    pub(crate) async fn publish(&self, vendor: &Vendor, package: &Package) -> pb::Release {
        self.import(vendor, &package.zip()).await.unwrap()
    }

    /// Imports a ZIP that the vendor has signed.
    pub(crate) async fn import(&self, vendor: &Vendor, zip: &[u8]) -> AppResult<pb::Release> {
        self.upload(upload(header(vendor, zip), zip)).await
    }

    /// Imports the manifest of a hosted app, signed by the vendor.
    pub(crate) async fn host(&self, vendor: &Vendor, app: &Package) -> AppResult<pb::Release> {
        let json = app.manifest();
        self.upload(upload(hosted_header(vendor, &json), &json)).await
    }

    pub(crate) async fn rotate(
        &self,
        marketplace_id: &str,
        overlap_seconds: u64,
    ) -> AppResult<pb::AppSecret> {
        let request = pb::RotateAppSecretRequest { marketplace_id: marketplace_id.into(), overlap_seconds };
        answer(self.admin().rotate_app_secret(self.operator(request)).await)
    }

    pub(crate) async fn upload(&self, parts: Vec<Part>) -> AppResult<pb::Release> {
        let messages = parts.into_iter().map(|part| ImportReleaseRequest { part: Some(part) });
        let request = self.operator(tokio_stream::iter(messages.collect::<Vec<_>>()));
        answer(self.admin().import_release(request).await)
    }

    pub(crate) async fn yank(
        &self,
        marketplace_id: &str,
        version: &str,
        reason: &str,
    ) -> AppResult<pb::Release> {
        let request = pb::YankReleaseRequest {
            marketplace_id: marketplace_id.into(),
            version: version.into(),
            reason: reason.into(),
        };
        answer(self.admin().yank_release(self.operator(request)).await)
    }

    pub(crate) async fn release(&self, marketplace_id: &str, version: &str) -> AppResult<pb::Release> {
        let request =
            pb::GetReleaseRequest { marketplace_id: marketplace_id.into(), version: version.into() };
        answer(self.catalog().get_release(self.shop(request)).await)
    }

    pub(crate) async fn product(&self, marketplace_id: &str) -> AppResult<pb::ProductDetail> {
        let request = pb::GetProductRequest { marketplace_id: marketplace_id.into() };
        answer(self.catalog().get_product(self.shop(request)).await)
    }

    pub(crate) async fn list(&self, request: pb::ListProductsRequest) -> AppResult<pb::ListProductsResponse> {
        answer(self.catalog().list_products(self.shop(request)).await)
    }

    /// The names of the whole feed.
    pub(crate) async fn feed(&self) -> Vec<String> {
        let feed = self.list(pb::ListProductsRequest::default()).await.unwrap();
        feed.products.into_iter().map(|product| product.marketplace_id).collect()
    }

    /// Waits until this replica has this release: nothing tells of what a replica has taken over.
    pub(crate) async fn until_release(
        &self,
        marketplace_id: &str,
        version: &str,
        fits: impl Fn(&pb::Release) -> bool,
    ) -> pb::Release {
        let look = async || self.release(marketplace_id, version).await.ok().filter(|release| fits(release));
        eventually("the other replica's write", WAIT, look).await.unwrap()
    }

    /// The chunks of an artefact's range.
    pub(crate) async fn chunks(
        &self,
        sha256: &str,
        offset: u64,
        length: Option<u64>,
    ) -> AppResult<Vec<Vec<u8>>> {
        let request = pb::ReadArtifactRequest { sha256: sha256.to_owned(), offset, length };
        let mut stream = answer(self.catalog().read_artifact(self.shop(request)).await)?;
        let mut chunks = Vec::new();
        while let Some(chunk) = stream.message().await? {
            chunks.push(chunk.data);
        }
        Ok(chunks)
    }
}

pub(crate) fn header(vendor: &Vendor, zip: &[u8]) -> ImportHeader {
    ImportHeader {
        vendor_id: vendor.id.clone(),
        signature: sign_artifact(&vendor.key, zip),
        kind: "plugin".to_owned(),
        security: false,
        required_after_ms: None,
    }
}

/// The header of a hosted app's manifest: its vendor signs what it says, in the canonical form.
pub(crate) fn hosted_header(vendor: &Vendor, manifest: &[u8]) -> ImportHeader {
    let canonical = Manifest::from_json(manifest).unwrap().canonical();
    ImportHeader { kind: "hosted".to_owned(), ..header(vendor, &canonical) }
}

/// The header and the ZIP in pieces, as the gateway sends them.
pub(crate) fn upload(header: ImportHeader, zip: &[u8]) -> Vec<Part> {
    let chunks = zip.chunks(10_000).map(|chunk| Part::Chunk(chunk.to_vec()));
    std::iter::once(Part::Header(header)).chain(chunks).collect()
}

pub(crate) fn answer<T>(answer: Result<Response<T>, Status>) -> AppResult<T> {
    answer.map(Response::into_inner).map_err(AppError::from)
}
