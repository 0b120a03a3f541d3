//! The service, running, with everything around it.

mod operator;

use std::{path::Path, sync::Arc, time::Duration};

use platform::{
    Clock, Ids, Random, Shutdown,
    admin::AdminConfig,
    bus::{Bus, ConsumerSpec, EmbeddedBus, JetStreamBus, Message, NatsConfig},
    db::{self, DatabaseConfig, Db},
    grpc::{GrpcConfig, IdentityConfig, Peer, PeerConfig},
    lifecycle::LifecycleConfig,
    sealing::{Sealer, SealingConfig},
    secret::Secret,
    telemetry::{TelemetryConfig, TraceContext},
};
use proto::{
    events::{EndpointChanged, LicenseIssued, TenantChanged, TenantSecret, purpose, subject},
    webhooks as api,
};
use sea_orm::ConnectionTrait as _;
use testkit::{
    Log,
    receiver::Receiver,
    servers::{Nats, default_root},
};
use tokio::{net::TcpListener, task::AbortHandle};
use tokio_util::sync::DropGuard;
use webhook_dispatcher::{
    Config, Migrator, Parts,
    app::App,
    config::{DeliveryConfig, OperationsConfig},
};
use wire::standard_webhooks::WebhookSecret;

pub(crate) const EMAIL: &str = "merchant@shop.example";
pub(crate) const WAIT: Duration = Duration::from_secs(20);
const BUS_KEY: [u8; 32] = [7; 32];

/// Which parts it runs on.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum On {
    Embedded,
    Servers,
}

pub(crate) struct Dispatcher {
    pub(crate) clock: Clock,
    pub(crate) folder: tempfile::TempDir,
    /// The store, to do what only time or a broken replica does.
    pub(crate) db: Db,
    bus: Bus,
    config: Config,
    ids: Ids,
    bus_sealer: Sealer,
    peer: Peer,
    first: AbortHandle,
    announced: Arc<Log<Message>>,
    shutdown: Shutdown,
    _stop: DropGuard,
    nats: Option<Nats>,
}

impl Dispatcher {
    pub(crate) async fn start(on: On) -> Self {
        let allow_cidrs = vec!["127.0.0.0/8".parse().unwrap()];
        let delivery = DeliveryConfig {
            timeout_seconds: 3,
            lease_seconds: 10,
            allow_cidrs,
            ..DeliveryConfig::default()
        };
        Self::start_with(on, delivery).await
    }

    pub(crate) async fn start_with(on: On, delivery: DeliveryConfig) -> Self {
        Self::start_operated(on, delivery, OperationsConfig::default()).await
    }

    pub(crate) async fn start_operated(
        on: On,
        delivery: DeliveryConfig,
        operations: OperationsConfig,
    ) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (bus, database, nats) = parts_of(on, folder.path()).await;
        let shutdown = Shutdown::new();
        let clock = Clock::manual(1_800_000_000_000);
        let announced = follow(&bus, &shutdown);
        let config = Config { operations, ..config(database, delivery) };
        let db = Db::connect(&config.database, "webhooks").await.unwrap();
        db::migrate::<Migrator>(&db, "webhooks").await.unwrap();
        let grpc = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let peer = peer(&format!("http://{}", grpc.local_addr().unwrap()));
        let first = run(&config, &bus, &clock, grpc, &shutdown).await;
        Self {
            ids: Ids::new(clock.clone(), Random::seeded(3)),
            bus_sealer: Sealer::new(&SealingConfig::single(&BUS_KEY), Random::seeded(4)).unwrap(),
            _stop: shutdown.clone().drop_guard(),
            nats,
            clock,
            folder,
            db,
            bus,
            config,
            peer,
            first,
            announced,
            shutdown,
        }
    }

    /// The same parts under another configuration.
    pub(crate) async fn again(self, delivery: DeliveryConfig) -> Self {
        let on = self.on();
        drop(self);
        Self::start_with(on, delivery).await
    }

    /// Starts another replica on the same store and bus.
    pub(crate) async fn add_replica(&self) -> AbortHandle {
        let grpc = TcpListener::bind("127.0.0.1:0").await.unwrap();
        run(&self.config, &self.bus, &self.clock, grpc, &self.shutdown).await
    }

    /// The first replica ends in the middle of whatever it does.
    pub(crate) fn kill_first(&self) {
        self.first.abort();
    }

    /// The first replica ends, and one of another configuration takes its place.
    pub(crate) async fn restart_with(&mut self, delivery: DeliveryConfig) {
        self.first.abort();
        self.config.delivery = delivery;
        let grpc = TcpListener::bind("127.0.0.1:0").await.unwrap();
        self.peer = peer(&format!("http://{}", grpc.local_addr().unwrap()));
        self.first = run(&self.config, &self.bus, &self.clock, grpc, &self.shutdown).await;
    }

    // What license-svc announces.

    pub(crate) async fn shop(&self, instance_id: &str) -> Shop {
        let shop = Shop { receiver: Receiver::start().await.unwrap(), secret: secret(1) };
        self.register(instance_id, &shop.receiver.url()).await;
        shop
    }

    /// Makes an endpoint at this URL and waits until it is there.
    pub(crate) async fn register(&self, instance_id: &str, base_url: &str) -> api::Endpoint {
        self.tenant_changed(self.tenant(instance_id, base_url, 1)).await;
        let look = || async { self.endpoint(instance_id).await };
        testkit::eventually("the endpoint", WAIT, look).await.unwrap()
    }

    pub(crate) fn tenant(&self, instance_id: &str, base_url: &str, revision: u32) -> TenantChanged {
        TenantChanged {
            instance_id: instance_id.to_owned(),
            base_url: base_url.to_owned(),
            disabled: false,
            secrets: vec![self.sealed(&secret(1), None)],
            revision,
        }
    }

    pub(crate) fn sealed(&self, secret: &WebhookSecret, expires_at_ms: Option<i64>) -> TenantSecret {
        let sealed_secret =
            self.bus_sealer.seal(purpose::WEBHOOK_SECRET, secret.expose().as_bytes()).unwrap();
        TenantSecret { sealed_secret, expires_at_ms }
    }

    pub(crate) async fn tenant_changed(&self, change: TenantChanged) {
        self.publish(subject::TENANT_CHANGED, &change, TraceContext::default()).await;
    }

    pub(crate) async fn issue(&self, instance_id: &str) {
        self.issue_in(instance_id, TraceContext::default()).await;
    }

    pub(crate) async fn issue_in(&self, instance_id: &str, trace: TraceContext) {
        let issued = LicenseIssued {
            license_id: "lic_1".to_owned(),
            order_id: "ord_1".to_owned(),
            instance_id: instance_id.to_owned(),
            marketplace_id: "@acme/seo-pro".to_owned(),
            version: "2.0.0".to_owned(),
            sealed_license_key: self.seal(purpose::LICENSE_KEY, "CC-TEST-KEY"),
            sealed_purchased_by: self.seal(purpose::CUSTOMER_EMAIL, EMAIL),
        };
        self.publish(subject::LICENSE_ISSUED, &issued, trace).await;
    }

    pub(crate) fn seal(&self, purpose: &str, text: &str) -> Vec<u8> {
        self.bus_sealer.seal(purpose, text.as_bytes()).unwrap()
    }

    pub(crate) async fn publish(&self, subject: &str, event: &impl prost::Message, trace: TraceContext) {
        let payload = event.encode_to_vec().into();
        let id = self.ids.generate("evt");
        self.bus.publish(&Message { id, subject: subject.to_owned(), payload, trace }).await.unwrap();
    }

    /// Waits for an announcement and decodes it.
    pub(crate) async fn announcement<T: prost::Message + Default + Clone>(&self, subject: &str) -> T {
        self.announced(subject, subject, |all: &[T]| all.first().cloned()).await
    }

    /// Waits until so many changes of endpoints were announced to the replicas.
    pub(crate) async fn changes_announced(&self, count: usize) {
        let all = |all: &[EndpointChanged]| (all.len() >= count).then_some(());
        self.announced("changes of endpoints", subject::ENDPOINT_CHANGED, all).await;
    }

    /// Which parts it runs on.
    pub(crate) fn on(&self) -> On {
        if self.nats.is_some() { On::Servers } else { On::Embedded }
    }

    /// Waits until `find` makes something of all announcements on this subject.
    pub(crate) async fn announced<T: prost::Message + Default, R>(
        &self,
        what: &str,
        subject: &str,
        find: impl Fn(&[T]) -> Option<R>,
    ) -> R {
        let decode = |message: &Message| T::decode(message.payload.clone()).unwrap();
        let look = |all: &[Message]| {
            let all: Vec<T> = all.iter().filter(|one| one.subject == subject).map(decode).collect();
            find(&all)
        };
        self.announced.wait(what, WAIT, look).await.unwrap()
    }

    /// Waits until the instance's newest delivery satisfies this.
    pub(crate) async fn newest(
        &self,
        instance_id: &str,
        what: &str,
        wanted: impl Fn(&api::DeliveryDetail) -> bool,
    ) -> api::DeliveryDetail {
        let look = || async {
            let newest = self.deliveries_to(instance_id).await.into_iter().next()?;
            Some(self.delivery(&newest.delivery_id).await).filter(&wanted)
        };
        testkit::eventually(what, WAIT, look).await.unwrap()
    }

    /// Waits until the instance's newest delivery is in this state.
    pub(crate) async fn reaches(&self, instance_id: &str, state: &str) -> api::DeliveryDetail {
        self.newest(instance_id, state, |detail| detail.delivery.as_ref().unwrap().state == state).await
    }

    /// Waits until an attempt with this number is recorded.
    pub(crate) async fn attempted(&self, instance_id: &str, number: u32) -> api::DeliveryDetail {
        let what = format!("attempt {number}");
        self.newest(instance_id, &what, |detail| {
            detail.attempts.iter().any(|attempt| attempt.number == number)
        })
        .await
    }

    /// Lets the time pass until the delivery is due, and answers how long that was.
    pub(crate) fn pass_until_due(&self, detail: &api::DeliveryDetail) -> Duration {
        let due = detail.delivery.as_ref().unwrap().next_attempt_at_ms.unwrap();
        let wait = Duration::from_millis(u64::try_from(due - self.clock.now_ms()).unwrap());
        self.clock.advance(wait);
        wait
    }

    /// Changes rows as only time would.
    pub(crate) async fn change(&self, sql: &str) {
        self.db.write().execute_unprepared(sql).await.unwrap();
    }
}

/// The use cases over a store, without a pipeline: nothing is attempted.
pub(crate) struct Idle {
    pub(crate) clock: Clock,
    pub(crate) db: Db,
    config: Config,
    bus: Bus,
    _folder: tempfile::TempDir,
    _nats: Option<Nats>,
}

impl Idle {
    pub(crate) async fn start(on: On) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (bus, database, nats) = parts_of(on, folder.path()).await;
        let config = config(database, DeliveryConfig::default());
        let db = Db::connect(&config.database, "webhooks").await.unwrap();
        db::migrate::<Migrator>(&db, "webhooks").await.unwrap();
        let clock = Clock::manual(1_800_000_000_000);
        Self { clock, db, config, bus, _folder: folder, _nats: nats }
    }

    /// The use cases of one replica, with connections of its own.
    pub(crate) async fn replica(&self) -> App {
        let common = platform::Parts { clock: self.clock.clone(), ..platform::Parts::new(self.bus.clone()) };
        let db = Db::connect(&self.config.database, "webhooks").await.unwrap();
        App::new(&self.config, &common, db).unwrap().0
    }
}

/// A shop that can be told something.
pub(crate) struct Shop {
    pub(crate) receiver: Receiver,
    pub(crate) secret: WebhookSecret,
}

/// The secret that is made of this byte.
pub(crate) fn secret(byte: u8) -> WebhookSecret {
    WebhookSecret::from_random([byte; 32])
}

async fn run(
    config: &Config,
    bus: &Bus,
    clock: &Clock,
    grpc: TcpListener,
    shutdown: &Shutdown,
) -> AbortHandle {
    let common = platform::Parts { clock: clock.clone(), ..platform::Parts::new(bus.clone()) };
    let db = Db::connect(&config.database, "webhooks").await.unwrap();
    let parts = Parts { common, db, grpc };
    tokio::spawn(webhook_dispatcher::run(config.clone(), parts, shutdown.clone())).abort_handle()
}

/// A NATS of its own for each test: durable consumers of one name share their messages.
async fn parts_of(on: On, folder: &Path) -> (Bus, DatabaseConfig, Option<Nats>) {
    if on == On::Embedded {
        let bus = EmbeddedBus::open(&folder.join("bus.db"), Clock::system()).await.unwrap();
        return (Bus::new(bus), DatabaseConfig::sqlite(&folder.join("webhooks.db")), None);
    }
    let nats = Nats::start(&default_root().unwrap()).await.unwrap();
    let bus = JetStreamBus::connect(&NatsConfig::new(nats.url())).await.unwrap();
    let url = Secret::new(testkit::servers::test_env().fresh_database().await.unwrap());
    (Bus::new(bus), DatabaseConfig { url, max_connections: 8 }, Some(nats))
}

/// Everything that the dispatcher announces.
fn follow(bus: &Bus, shutdown: &Shutdown) -> Arc<Log<Message>> {
    let log = Arc::new(Log::default());
    let seen = Arc::clone(&log);
    let handler = move |message: Message| {
        let seen = Arc::clone(&seen);
        async move {
            seen.push(message);
            Ok(())
        }
    };
    let subjects = [
        subject::DELIVERY_DEAD,
        subject::ENDPOINT_CHANGED,
        subject::ENDPOINT_DISABLED,
        subject::ENDPOINT_ENABLED,
        subject::CALLBACK_SETTLED,
    ];
    let spec = ConsumerSpec::new("test", subjects);
    bus.consume(spec, shutdown.clone(), handler).unwrap();
    log
}

fn peer(url: &str) -> Peer {
    let peer = PeerConfig { url: url.to_owned(), ca: None };
    Peer::connect(&peer, &IdentityConfig { name: "gateway".to_owned(), credential: credential() }).unwrap()
}

fn credential() -> Secret {
    Secret::new("the gateway's own credential")
}

fn config(database: DatabaseConfig, delivery: DeliveryConfig) -> Config {
    let nowhere = "127.0.0.1:0".parse().unwrap();
    Config {
        telemetry: TelemetryConfig::default(),
        admin: AdminConfig { listen: nowhere },
        bus: NatsConfig::new("nats://127.0.0.1:1"),
        lifecycle: LifecycleConfig::default(),
        database,
        grpc: GrpcConfig {
            listen: nowhere,
            callers: [("gateway".to_owned(), credential())].into(),
            tls: None,
        },
        sealing: SealingConfig::single(&[9; 32]),
        bus_sealing: SealingConfig::single(&BUS_KEY),
        delivery,
        operations: OperationsConfig::default(),
    }
}
