//! The service, running, with everything around it.

use std::{path::Path, sync::Arc, time::Duration};

use payments_svc::{Config, HttpConfig, Migrator, Parts, StripeConfig};
use platform::{
    AppError, AppResult, Clock, Ids, Principal, Random, Shutdown,
    admin::AdminConfig,
    bus::{Bus, ConsumerSpec, EmbeddedBus, JetStreamBus, NatsConfig},
    db::{self, DatabaseConfig, Db},
    grpc::{Channel, GrpcConfig, IdentityConfig, Peer, PeerConfig},
    lifecycle::LifecycleConfig,
    sealing::{Sealer, SealingConfig},
    secret::Secret,
    telemetry::TelemetryConfig,
};
use prost::Message as _;
use proto::{
    events::{OrderPaid, OrderSnapshot, purpose, subject},
    payments::{self as api, checkout_client::CheckoutClient},
};
use reqwest::{Client, Response};
use serde_json::{Value, json};
use stripe_sim::{RetrySchedule, Running, SimConfig, StripeSim, WebhookEndpoint};
use testkit::Log;
use tokio::net::TcpListener;
use tokio_util::sync::DropGuard;

use crate::stripe_front::StripeFront;

pub(crate) const APP: &str = "@acme/seo-pro";
pub(crate) const EMAIL: &str = "merchant@shop.example";
/// The secret that the stand-in signs with.
pub(crate) const SECRET: &str = "whsec_current";
/// The secret from before a rotation, still live.
pub(crate) const OLD_SECRET: &str = "whsec_previous";
pub(crate) const SESSION: Duration = Duration::from_hours(1);
/// How long after its page's end an order is kept.
pub(crate) const GRACE: Duration = Duration::from_mins(10);

const BUS_KEY: [u8; 32] = [7; 32];
const WAIT: Duration = Duration::from_secs(20);

/// Which parts it runs on.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum On {
    Embedded,
    Servers,
}

pub(crate) struct Marketplace {
    pub(crate) clock: Clock,
    pub(crate) stripe: StripeFront,
    pub(crate) folder: tempfile::TempDir,
    sim: Running,
    webhook: String,
    http: Client,
    peer: Peer,
    announced: Arc<Log<(String, OrderSnapshot)>>,
    _stop: DropGuard,
}

impl Marketplace {
    pub(crate) async fn start(on: On) -> Self {
        platform::tls::install_provider();
        let shutdown = Shutdown::new();
        let folder = tempfile::tempdir().unwrap();
        let (grpc, http) = (listen().await, listen().await);
        let webhook = format!("http://{}/stripe/webhook", http.local_addr().unwrap());
        let sim = start_sim(&webhook, &shutdown).await;
        let (stripe_url, stripe) = StripeFront::start(sim.url()).await;
        // Stripe's clock is the machine's, so ours begins there.
        let clock = Clock::manual(Clock::system().now_ms());
        let (bus, database) = parts_of(on, folder.path()).await;
        let announced = follow(&bus, &shutdown);
        let peer = peer(&format!("http://{}", grpc.local_addr().unwrap()));
        let config = config(database, stripe_url);
        let db = Db::connect(&config.database, "payments").await.unwrap();
        db::migrate::<Migrator>(&db, "payments").await.unwrap();
        let common = platform::Parts { clock: clock.clone(), ..platform::Parts::new(bus) };
        tokio::spawn(payments_svc::run(config, Parts { common, db, grpc, http }, shutdown.clone()));
        let http = Client::builder().no_proxy().build().unwrap();
        Self { clock, stripe, folder, sim, webhook, http, peer, announced, _stop: shutdown.drop_guard() }
    }

    // What the gateway calls.

    pub(crate) async fn buy(&self, request: api::CreateSessionRequest) -> AppResult<api::Session> {
        let principal = Principal::Instance(request.instance_id.clone());
        self.buy_as(&principal, request).await
    }

    pub(crate) async fn buy_as(
        &self,
        principal: &Principal,
        request: api::CreateSessionRequest,
    ) -> AppResult<api::Session> {
        let answer = self.checkout().create_session(self.peer.request(principal, request)?).await;
        answer.map(tonic::Response::into_inner).map_err(AppError::from)
    }

    pub(crate) async fn order(&self, id: &str) -> api::Order {
        self.order_as(&Principal::Operator, id).await.unwrap()
    }

    pub(crate) async fn order_as(&self, principal: &Principal, id: &str) -> AppResult<api::Order> {
        let request = self.peer.request(principal, api::GetOrderRequest { order_id: id.to_owned() })?;
        self.checkout().get_order(request).await.map(tonic::Response::into_inner).map_err(AppError::from)
    }

    pub(crate) async fn orders(
        &self,
        principal: &Principal,
        request: api::ListOrdersRequest,
    ) -> AppResult<api::ListOrdersResponse> {
        let request = self.peer.request(principal, request)?;
        self.checkout().list_orders(request).await.map(tonic::Response::into_inner).map_err(AppError::from)
    }

    fn checkout(&self) -> CheckoutClient<Channel> {
        CheckoutClient::new(self.peer.channel())
    }

    // What Stripe does.

    /// Lets something happen at the payment page of an order (`pay`, `pay_later`, `settle`, `fail`, `expire`).
    pub(crate) async fn at_page(&self, session: &api::Session, act: &str) {
        let page = session.url.rsplit('/').next().unwrap();
        let url = format!("{}/sim/sessions/{page}/{act}", self.sim.url());
        let answer = self.http.post(url).send().await.unwrap();
        assert_eq!(answer.status(), 200, "{act}: {}", answer.text().await.unwrap());
    }

    /// How many payment pages there are at Stripe.
    pub(crate) async fn pages(&self) -> usize {
        let url = format!("{}/v1/checkout/sessions?limit=100", self.sim.url());
        let list = self.http.get(url).bearer_auth(stripe_sim::DEFAULT_API_KEY).send().await.unwrap();
        list.json::<Value>().await.unwrap()["data"].as_array().unwrap().len()
    }

    /// Sends an event with Stripe's signature.
    pub(crate) async fn tell(&self, event: &Value) -> (u16, Value) {
        let body = event.to_string();
        let signature = self.sign(&body);
        self.post(&body, &[&signature]).await
    }

    pub(crate) fn sign(&self, body: &str) -> String {
        wire::timed_signature::sign(&[SECRET], self.clock.now_secs(), body.as_bytes())
    }

    /// The status, and the body of an error.
    pub(crate) async fn post(&self, body: &str, signatures: &[&str]) -> (u16, Value) {
        let mut request = self.http.post(&self.webhook).body(body.to_owned());
        for signature in signatures {
            request = request.header("Stripe-Signature", *signature);
        }
        answer(request.send().await.unwrap()).await
    }

    pub(crate) async fn get_webhook(&self) -> u16 {
        self.http.get(&self.webhook).send().await.unwrap().status().as_u16()
    }

    // What follows.

    /// Waits until the order is in this state.
    pub(crate) async fn reaches(&self, id: &str, state: &str) -> api::Order {
        let what = format!("the order to be {state}");
        let look = || async { Some(self.order(id).await).filter(|order| order.state == state) };
        testkit::eventually(&what, WAIT, look).await.unwrap()
    }

    /// Waits until the order is announced as paid.
    pub(crate) async fn announcement(&self, id: &str) -> OrderSnapshot {
        let find = |all: &[(String, OrderSnapshot)]| {
            all.iter().find(|(_, order)| order.order_id == id).map(|(_, order)| order.clone())
        };
        self.announced.wait("order_paid", WAIT, find).await.unwrap()
    }

    /// How often the order has been announced, once everything announced before now is through.
    pub(crate) async fn announcements(&self, id: &str) -> usize {
        let last = self.buy(purchase("inst_last")).await.unwrap();
        assert_eq!(self.tell(&session_event("completed", &last.order_id, json!({}))).await.0, 200);
        self.announcement(&last.order_id).await;
        let all = self.announced.all();
        let mut events: Vec<String> =
            all.into_iter().filter(|(_, order)| order.order_id == id).map(|(event, _)| event).collect();
        events.sort();
        events.dedup();
        events.len()
    }
}

/// An order to buy the app for 49 euro.
pub(crate) fn purchase(instance_id: &str) -> api::CreateSessionRequest {
    api::CreateSessionRequest {
        instance_id: instance_id.to_owned(),
        marketplace_id: APP.to_owned(),
        version: "2.0.0".to_owned(),
        name: "SEO <Pro>".to_owned(),
        price_cents: 4900,
        customer_email: EMAIL.to_owned(),
        idempotency_key: None,
        licensed_order_ids: Vec::new(),
    }
}

pub(crate) fn with_key(instance_id: &str, key: &str) -> api::CreateSessionRequest {
    api::CreateSessionRequest { idempotency_key: Some(key.to_owned()), ..purchase(instance_id) }
}

/// `checkout.session.<kind>` about an order, in the shape of Stripe's own examples, with `changes` laid over the session.
/// The same kind and order make the same event.
pub(crate) fn session_event(kind: &str, order_id: &str, changes: Value) -> Value {
    let examples: Value =
        serde_json::from_str(include_str!("../../../crates/stripe-sim/fixtures/stripe.json")).unwrap();
    let mut session = examples["checkout.session"].clone();
    let values = json!({
        "amount_subtotal": 4900, "amount_total": 4900, "currency": "eur", "payment_status": "paid",
        "metadata": { "order_id": order_id },
    });
    for values in [values, changes] {
        session.as_object_mut().unwrap().extend(values.as_object().unwrap().clone());
    }
    let mut event = examples["event"].clone();
    event["id"] = format!("evt_{kind}_{order_id}").into();
    event["type"] = format!("checkout.session.{kind}").into();
    event["data"] = json!({ "object": session });
    event
}

/// The address that an announcement carries.
pub(crate) fn announced_email(order: &OrderSnapshot) -> String {
    let sealer = Sealer::new(&SealingConfig::single(&BUS_KEY), Random::seeded(1)).unwrap();
    sealer.open_text(purpose::CUSTOMER_EMAIL, &order.sealed_customer_email).unwrap().expose().to_owned()
}

async fn answer(response: Response) -> (u16, Value) {
    let status = response.status().as_u16();
    (status, serde_json::from_slice(&response.bytes().await.unwrap()).unwrap_or_default())
}

async fn listen() -> TcpListener {
    TcpListener::bind("127.0.0.1:0").await.unwrap()
}

async fn start_sim(webhook: &str, shutdown: &Shutdown) -> Running {
    let mut config = SimConfig::new(listen().await);
    config.endpoints = vec![WebhookEndpoint::new(webhook, SECRET)];
    config.retry = RetrySchedule::new(vec![Duration::from_millis(50)]);
    StripeSim::start(config, shutdown.clone()).await.unwrap()
}

async fn parts_of(on: On, folder: &Path) -> (Bus, DatabaseConfig) {
    if on == On::Embedded {
        let bus = EmbeddedBus::open(&folder.join("bus.db"), Clock::system()).await.unwrap();
        return (Bus::new(bus), DatabaseConfig::sqlite(&folder.join("payments.db")));
    }
    let env = testkit::servers::test_env();
    let bus = JetStreamBus::connect(&NatsConfig::new(env.nats_url.clone())).await.unwrap();
    let url = Secret::new(env.fresh_database().await.unwrap());
    (Bus::new(bus), DatabaseConfig { url, max_connections: 8 })
}

/// Everything that is announced, by a consumer of its own: the stream may be shared with other tests.
fn follow(bus: &Bus, shutdown: &Shutdown) -> Arc<Log<(String, OrderSnapshot)>> {
    let log = Arc::new(Log::default());
    let name = format!("payments-test-{}", Ids::new(Clock::system(), Random::system()).generate("run"));
    let seen = Arc::clone(&log);
    let handler = move |message: platform::bus::Message| {
        let seen = Arc::clone(&seen);
        async move {
            let event = OrderPaid::decode(message.payload).unwrap();
            seen.push((message.id, event.order.unwrap()));
            Ok(())
        }
    };
    bus.consume(ConsumerSpec::new(name, [subject::ORDER_PAID]), shutdown.clone(), handler).unwrap();
    log
}

fn peer(url: &str) -> Peer {
    let peer = PeerConfig { url: url.to_owned(), ca: None };
    Peer::connect(&peer, &IdentityConfig { name: "gateway".to_owned(), credential: credential() }).unwrap()
}

fn credential() -> Secret {
    Secret::new("the gateway's own credential")
}

fn config(database: DatabaseConfig, stripe_url: String) -> Config {
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
        http: HttpConfig { listen: nowhere },
        stripe: StripeConfig {
            api_url: stripe_url,
            secret_key: Secret::new(stripe_sim::DEFAULT_API_KEY),
            api_version: "2025-09-30.clover".to_owned(),
            webhook_secrets: Secret::new(format!("{SECRET}, {OLD_SECRET}")),
            success_url: "http://127.0.0.1:9/thanks?session={CHECKOUT_SESSION_ID}".to_owned(),
            cancel_url: "http://127.0.0.1:9/back".to_owned(),
            session_minutes: 60,
            timeout_seconds: 5,
        },
        sealing: SealingConfig::single(&[3; 32]),
        bus_sealing: SealingConfig::single(&BUS_KEY),
    }
}
