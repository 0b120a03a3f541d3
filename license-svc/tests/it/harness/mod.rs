//! A running license-svc, a shop's view of it, and what it announces.

mod apps;
mod rows;

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use base64::{Engine as _, prelude::BASE64_STANDARD};
use license_svc::{Config, LicenseConfig, Migrator, Parts};
use platform::{
    AppError, Clock, Ids, Principal, Random, Shutdown,
    admin::AdminConfig,
    bus::{Bus, ConsumerSpec, EmbeddedBus, JetStreamBus, Message, NatsConfig},
    db::{self, DatabaseConfig, Db},
    grpc::{Channel, GrpcConfig, IdentityConfig, Peer, PeerConfig},
    lifecycle::LifecycleConfig,
    sealing::{Sealer, SealingConfig},
    secret::{self, Secret},
    telemetry::{TelemetryConfig, TraceContext},
};
use proto::{
    events::{LicenseIssued, OrderPaid, OrderSnapshot, purpose, subject},
    license::{
        InstanceCredentials, RegisterInstanceRequest, ResolveKeyRequest, ResolvedKey, ShopApi, VerifyRequest,
        VerifyResponse, instances_client::InstancesClient, licenses_client::LicensesClient,
    },
};
use tempfile::TempDir;
use testkit::{
    Log,
    servers::{Nats, default_root, test_env},
};
use tokio::{net::TcpListener, task::JoinHandle};
use tonic::{Request, Response, Status};
use wire::keys::SigningKey;

pub(crate) const APP: &str = "@vendor/app";
pub(crate) const ISSUER: &str = "https://marketplace.example";
pub(crate) const EMAIL: &str = "merchant@shop.example";
pub(crate) const START_MS: i64 = 1_760_000_000_000;
pub(crate) const DAY: Duration = Duration::from_hours(24);
const CREDENTIAL: &str = "the gateway's own credential";
const PATIENCE: Duration = Duration::from_secs(20);
const SCHEMA: &str = "license";

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
pub(crate) use apps::{hosted, statics};
pub(crate) use over_both;

/// Everything that one test sees.
pub(crate) struct World {
    pub(crate) clock: Clock,
    pub(crate) bus: Bus,
    pub(crate) ids: Ids,
    pub(crate) db: Db,
    pub(crate) bus_sealer: Sealer,
    pub(crate) events: Arc<Log<Message>>,
    peer: Peer,
    shutdown: Shutdown,
    service: JoinHandle<anyhow::Result<()>>,
    _data: TempDir,
    _nats: Option<Nats>,
}

/// A registered shop.
#[derive(Clone)]
pub(crate) struct Shop {
    pub(crate) id: String,
    pub(crate) publishable_key: String,
    pub(crate) secret_key: String,
    pub(crate) webhook_secret: String,
}

impl Shop {
    pub(crate) fn reads(&self) -> Principal {
        Principal::Instance(self.id.clone())
    }

    pub(crate) fn manages(&self) -> Principal {
        Principal::InstanceAdmin(self.id.clone())
    }
}

/// A licence as its buyer was told of it.
#[derive(Clone, Debug)]
pub(crate) struct Bought {
    pub(crate) license_id: String,
    pub(crate) order_id: String,
    pub(crate) key: String,
}

fn key(byte: u8) -> Secret {
    Secret::new(BASE64_STANDARD.encode([byte; 32]))
}

pub(crate) fn token_key() -> SigningKey {
    SigningKey::from_seed(&[1; 32])
}

pub(crate) fn previous_token_key() -> SigningKey {
    SigningKey::from_seed(&[2; 32])
}

fn config(database: DatabaseConfig, listener: &TcpListener) -> Config {
    let callers = BTreeMap::from([("gateway".to_owned(), Secret::new(CREDENTIAL))]);
    Config {
        telemetry: TelemetryConfig::default(),
        admin: AdminConfig { listen: ([127, 0, 0, 1], 0).into() },
        bus: NatsConfig::new("nats://not.used"),
        lifecycle: LifecycleConfig { drain_seconds: 5 },
        database,
        grpc: GrpcConfig { listen: listener.local_addr().unwrap(), callers, tls: None },
        license: LicenseConfig {
            issuer: ISSUER.to_owned(),
            token_key: key(1),
            previous_token_keys: vec![previous_token_key().verifying_key().to_string()],
            sealing_key: key(3),
            lookup_key: key(4),
        },
        sealing: SealingConfig::single(&[5; 32]),
        bus_sealing: SealingConfig::single(&[6; 32]),
    }
}

impl World {
    pub(crate) async fn embedded() -> Self {
        let data = TempDir::new().unwrap();
        let bus = EmbeddedBus::open(&data.path().join("bus.db"), Clock::system()).await.unwrap();
        let database = DatabaseConfig::sqlite(&data.path().join("license.db"));
        Self::start(database, Bus::new(bus), data, None).await
    }

    pub(crate) async fn servers() -> Self {
        let url = test_env().fresh_database().await.unwrap();
        // A bus of its own: the service's durable consumers have fixed names.
        let nats = Nats::start(&default_root().unwrap()).await.unwrap();
        let bus = JetStreamBus::connect(&NatsConfig::new(nats.url())).await.unwrap();
        let database = DatabaseConfig { url: Secret::new(url), max_connections: 16 };
        Self::start(database, Bus::new(bus), TempDir::new().unwrap(), Some(nats)).await
    }

    async fn start(database: DatabaseConfig, bus: Bus, data: TempDir, nats: Option<Nats>) -> Self {
        let db = Db::connect(&database, SCHEMA).await.unwrap();
        db::migrate::<Migrator>(&db, SCHEMA).await.unwrap();
        let clock = Clock::manual(START_MS);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let config = config(database, &listener);
        let url = format!("http://{}", config.grpc.listen);
        let common = platform::Parts {
            clock: clock.clone(),
            random: Random::seeded(7),
            ..platform::Parts::new(bus.clone())
        };
        let events = follow(&bus);
        let shutdown = Shutdown::new();
        let parts = Parts { common, db: db.clone(), grpc: listener };
        let service = tokio::spawn(license_svc::run(config.clone(), parts, shutdown.clone()));
        let identity = IdentityConfig { name: "gateway".to_owned(), credential: Secret::new(CREDENTIAL) };
        Self {
            clock: clock.clone(),
            bus,
            ids: Ids::new(clock, Random::system()),
            db,
            bus_sealer: Sealer::new(&config.bus_sealing, Random::system()).unwrap(),
            events,
            peer: Peer::connect(&PeerConfig { url, ca: None }, &identity).unwrap(),
            shutdown,
            service,
            _data: data,
            _nats: nats,
        }
    }

    pub(crate) async fn stop(self) {
        self.shutdown.cancel();
        self.service.await.unwrap().unwrap();
    }

    pub(crate) fn channel(&self) -> Channel {
        self.peer.channel()
    }

    pub(crate) fn instances(&self) -> InstancesClient<Channel> {
        InstancesClient::new(self.channel())
    }

    pub(crate) fn licenses(&self) -> LicensesClient<Channel> {
        LicensesClient::new(self.channel())
    }

    /// A request of the gateway for somebody.
    pub(crate) fn by<T>(&self, principal: &Principal, message: T) -> Request<T> {
        self.peer.request(principal, message).unwrap()
    }

    pub(crate) fn operator<T>(&self, message: T) -> Request<T> {
        self.by(&Principal::Operator, message)
    }

    pub(crate) async fn register(&self, shop: &str) -> Shop {
        let made = self.instances().register_instance(self.operator(registration(shop))).await;
        let InstanceCredentials { instance, secret_key, webhook_secret } = made.unwrap().into_inner();
        let instance = instance.unwrap();
        Shop {
            id: instance.instance_id,
            publishable_key: instance.publishable_key,
            secret_key: secret_key.unwrap(),
            webhook_secret: webhook_secret.unwrap(),
        }
    }

    pub(crate) async fn resolve(&self, key: &str) -> Result<ResolvedKey, AppError> {
        let request = ResolveKeyRequest { key_hash: secret::hash(key).to_vec() };
        answer(self.instances().resolve_key(self.by(&Principal::Anonymous, request)).await)
    }

    /// A paid order's snapshot.
    pub(crate) fn order(&self, instance_id: &str) -> OrderSnapshot {
        let email = self.bus_sealer.seal(purpose::CUSTOMER_EMAIL, EMAIL.as_bytes()).unwrap();
        OrderSnapshot {
            order_id: self.ids.generate("ord"),
            revision: 3,
            state: "paid".to_owned(),
            instance_id: instance_id.to_owned(),
            marketplace_id: APP.to_owned(),
            version: "1.0.0".to_owned(),
            amount_cents: 4_900,
            currency: "eur".to_owned(),
            sealed_customer_email: email,
            occurred_at_ms: START_MS,
        }
    }

    pub(crate) async fn publish(&self, subject: &str, event: &impl prost::Message) -> String {
        let message = Message {
            id: self.ids.generate("evt"),
            subject: subject.to_owned(),
            payload: event.encode_to_vec().into(),
            trace: TraceContext::default(),
        };
        self.bus.publish(&message).await.unwrap();
        message.id
    }

    pub(crate) async fn pay(&self, order: OrderSnapshot) -> String {
        self.publish(subject::ORDER_PAID, &OrderPaid { order: Some(order) }).await
    }

    /// Pays for the app and waits until the licence is told.
    pub(crate) async fn buy(&self, shop: &Shop) -> Bought {
        let order = self.order(&shop.id);
        let order_id = order.order_id.clone();
        self.pay(order).await;
        let issued = self.issued(&order_id).await;
        let key = self.bus_sealer.open_text(purpose::LICENSE_KEY, &issued.sealed_license_key).unwrap();
        Bought { license_id: issued.license_id, order_id, key: key.expose().to_owned() }
    }

    pub(crate) async fn issued(&self, order_id: &str) -> LicenseIssued {
        let of_order = |event: &LicenseIssued| event.order_id == order_id;
        self.told(subject::LICENSE_ISSUED, "the licence is issued", of_order).await
    }

    /// Waits for an event of the subject that fits.
    pub(crate) async fn told<E: prost::Message + Default>(
        &self,
        subject: &str,
        what: &str,
        fits: impl Fn(&E) -> bool,
    ) -> E {
        let find = |all: &[Message]| decoded::<E>(all, subject).into_iter().find(|event| fits(event));
        self.events.wait(what, PATIENCE, find).await.unwrap()
    }

    /// What has been announced of a subject up to now.
    pub(crate) fn announced<E: prost::Message + Default>(&self, subject: &str) -> Vec<E> {
        decoded(&self.events.all(), subject)
    }

    /// A question of a shop about its own instance, with its own key.
    pub(crate) async fn verify(&self, shop: &Shop, license_key: &str) -> VerifyResponse {
        self.ask(&shop.reads(), question(&shop.id, license_key)).await.unwrap()
    }

    pub(crate) async fn ask(
        &self,
        principal: &Principal,
        question: VerifyRequest,
    ) -> Result<VerifyResponse, AppError> {
        answer(self.licenses().verify(self.by(principal, question)).await)
    }
}

/// Everything that is announced, from the beginning: what follows only from now on could begin a moment too late.
fn follow(bus: &Bus) -> Arc<Log<Message>> {
    let subjects = [
        subject::LICENSE_ISSUED,
        subject::LICENSE_CHANGED,
        subject::TENANT_CHANGED,
        subject::INSTALLATION_REQUESTED,
        subject::INSTALLATION_UPDATE_REQUESTED,
        subject::INSTALLATION_REMOVAL_REQUESTED,
        subject::INSTALLATION_CHANGED,
    ];
    let name = format!("license-test-{}", Ids::new(Clock::system(), Random::system()).generate("run"));
    let events: Arc<Log<Message>> = Arc::default();
    let log = Arc::clone(&events);
    let handler = move |message| {
        log.push(message);
        std::future::ready(Ok(()))
    };
    bus.consume(ConsumerSpec::new(name, subjects), Shutdown::new(), handler).unwrap();
    events
}

fn decoded<E: prost::Message + Default>(all: &[Message], subject: &str) -> Vec<E> {
    let of_subject = all.iter().filter(|message| message.subject == subject);
    of_subject.map(|message| E::decode(message.payload.clone()).unwrap()).collect()
}

pub(crate) fn registration(shop: &str) -> RegisterInstanceRequest {
    RegisterInstanceRequest {
        base_url: format!("https://{shop}.example/"),
        shop: shop.to_owned(),
        site_url: format!("https://www.{shop}.example/"),
        api: Some(ShopApi {
            base_url: format!("https://{shop}.example/api/"),
            min_version: 1,
            max_version: 3,
        }),
        webhook_secret: None,
    }
}

pub(crate) fn question(instance_id: &str, license_key: &str) -> VerifyRequest {
    VerifyRequest {
        license_key: license_key.to_owned(),
        marketplace_id: APP.to_owned(),
        instance_id: instance_id.to_owned(),
        version: None,
        nonce: None,
        may_take_seat: true,
    }
}

/// The answer, or what the service said of the failure.
pub(crate) fn answer<T>(result: Result<Response<T>, Status>) -> Result<T, AppError> {
    result.map(Response::into_inner).map_err(AppError::from)
}
