//! A marketplace in which scenarios play.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use anyhow::Context as _;
use futures::future::BoxFuture;
use serde_json::{Value, json};
use testkit::{
    eventually,
    market::{Admin, Caller, Market, Options, Order, Package, Reply, Shop, Topology, Vendor, Webhook},
    receiver::Receiver,
};
use tokio::task::{JoinError, JoinSet};

/// What should be there at once, on a machine that is busy with other tests.
pub(crate) const SOON: Duration = Duration::from_secs(30);

pub(crate) type Outcome = anyhow::Result<()>;
pub(crate) type Scenario = fn(Arc<Stage>) -> BoxFuture<'static, Outcome>;

/// Makes one test for each topology, in which these scenarios play.
macro_rules! scenarios {
    ($options:expr; $($name:ident,)+) => {
        const SCENARIOS: &[(&str, $crate::stage::Scenario)] =
            &[$((stringify!($name), |stage| Box::pin($name(stage)))),+];

        #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        async fn in_one_process() {
            $crate::stage::play(testkit::market::Topology::OneProcess, $options, SCENARIOS).await;
        }

        #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        async fn in_five_processes() {
            $crate::stage::play(testkit::market::Topology::FiveProcesses, $options, SCENARIOS).await;
        }
    };
}

/// Plays all, side by side; says of each how it went, and fails when one has.
pub(crate) async fn play(topology: Topology, options: Options, scenarios: &[(&'static str, Scenario)]) {
    let stage = Arc::new(Stage::set(topology, options).await.expect("a marketplace that starts"));
    let mut playing = JoinSet::new();
    for (name, scenario) in scenarios {
        let (name, played) = (name.replace('_', " "), tokio::spawn(scenario(Arc::clone(&stage))));
        playing.spawn(async move { (name, played.await) });
    }
    let mut failed = Vec::new();
    while let Some(played) = playing.join_next().await {
        let (name, outcome) = played.unwrap();
        match what_went_wrong(outcome) {
            None => println!("ok      {name}"),
            Some(why) => failed.push(format!("FAILED  {name}: {why}")),
        }
    }
    assert!(
        failed.is_empty(),
        "{topology:?}, {} of {}:\n{}",
        failed.len(),
        scenarios.len(),
        failed.join("\n")
    );
}

fn what_went_wrong(outcome: Result<Outcome, JoinError>) -> Option<String> {
    match outcome {
        Ok(Ok(())) => None,
        Ok(Err(error)) => Some(format!("{error:?}")),
        Err(panicked) => Some(panicked.to_string()),
    }
}

/// A running marketplace and its operator.
pub(crate) struct Stage {
    pub(crate) market: Market,
    pub(crate) admin: Admin,
    made: AtomicU32,
}

/// A sale that was made and told.
pub(crate) struct Sale {
    pub(crate) order: Order,
    pub(crate) webhook: Webhook,
    pub(crate) key: String,
}

impl Stage {
    async fn set(topology: Topology, options: Options) -> anyhow::Result<Self> {
        let market = Market::start(topology, options).await?;
        let admin = market.admin()?;
        Ok(Self { market, admin, made: AtomicU32::new(0) })
    }

    /// A name that nobody else has.
    pub(crate) fn name(&self, of: &str) -> String {
        self.market.unique(&format!("{of}-{}", self.made.fetch_add(1, Ordering::Relaxed)))
    }

    pub(crate) async fn vendor(&self) -> anyhow::Result<Vendor> {
        self.admin.create_vendor(&self.name("vendor")).await
    }

    pub(crate) async fn shop(&self) -> anyhow::Result<Shop> {
        self.market.shop(&self.name("shop")).await
    }

    /// A shop whose webhooks go to this address, whoever listens there.
    pub(crate) async fn shop_at(&self, base_url: &str) -> anyhow::Result<Shop> {
        let registration = self.admin.register(&self.name("shop"), base_url).await?;
        Shop::new(&self.market.gateway_url(), registration, Receiver::start().await?)
    }

    /// An app of a new vendor that costs 49 euro, in version 1.0.0.
    pub(crate) async fn paid_app(&self) -> anyhow::Result<String> {
        let vendor = self.vendor().await?;
        let id = format!("@{}/labels", vendor.name);
        self.admin.import(&vendor, &Package::new(&id).price_cents(4900)).await?;
        Ok(id)
    }

    /// Somebody without a key, at the gateway.
    pub(crate) fn anyone(&self) -> anyhow::Result<Caller> {
        Caller::new(&self.market.gateway_url())
    }

    /// A shop buys version 1.0.0 of an app, pays and is told.
    pub(crate) async fn sell(&self, shop: &Shop, app: &str) -> anyhow::Result<Sale> {
        let order = shop.checkout(app, "1.0.0").await?;
        self.market.stripe().pay(&order.session_id).await?;
        let webhook = shop.wait_for_license(app, SOON).await?;
        let key = webhook.license_key()?.to_owned();
        Ok(Sale { order, webhook, key })
    }

    /// The order, as the operator sees it once it has come to this state.
    pub(crate) async fn order_in(&self, id: &str, state: &str) -> anyhow::Result<Value> {
        let path = format!("/admin/orders/{id}");
        self.answer_with(&path, |order| order["state"] == state).await
    }

    /// The licences that came of an order.
    pub(crate) async fn licenses_of(&self, order_id: &str) -> anyhow::Result<Vec<Value>> {
        self.admin.list("licenses", &[("order_id", order_id)]).await
    }

    /// The only delivery to this shop, with its attempts, once it is as `wanted`.
    pub(crate) async fn delivery_to(
        &self,
        shop: &Shop,
        wanted: impl Fn(&Value) -> bool,
    ) -> anyhow::Result<Value> {
        let query = [("instance_id", shop.id())];
        let listed = eventually("a delivery", SOON, async || {
            self.admin.list("deliveries", &query).await.ok()?.first().cloned()
        });
        let id = text(&listed.await?, "id")?;
        self.answer_with(&format!("/admin/deliveries/{id}"), wanted).await
    }

    /// What the operator is answered, once it is as `wanted`; what it was instead, when it never is.
    pub(crate) async fn answer_with(
        &self,
        path: &str,
        wanted: impl Fn(&Value) -> bool,
    ) -> anyhow::Result<Value> {
        let last = Mutex::new(Value::Null);
        let found = eventually("the wanted answer", SOON, async || {
            let answer = self.admin.caller().get(path).await.ok()?.body;
            last.lock().unwrap().clone_from(&answer);
            wanted(&answer).then_some(answer)
        });
        let found = found.await;
        found.with_context(|| format!("{path} last answered {}", last.lock().unwrap()))
    }

    pub(crate) async fn act_on_license(&self, id: &str, act: &str) -> anyhow::Result<Reply> {
        let path = format!("/admin/licenses/{id}/{act}");
        self.admin.caller().post(&path, &json!({ "reason": "asked for by the buyer" })).await
    }
}

/// A field that must be text.
pub(crate) fn text(answer: &Value, field: &str) -> anyhow::Result<String> {
    answer[field].as_str().map(str::to_owned).with_context(|| format!("no text `{field}` in {answer}"))
}

/// The answer is this refusal, in the one form of errors, and tells what would be right.
#[track_caller]
pub(crate) fn assert_refused(reply: &Reply, status: u16, error_type: &str, says: &str) {
    assert_eq!((reply.status, reply.error_type()), (status, error_type), "{}", reply.body);
    assert!(reply.message().contains(says), "it says: {}", reply.message());
    let fields: Vec<&String> = reply.body.as_object().unwrap().keys().collect();
    assert_eq!(fields, ["message", "request_id", "type"]);
    assert_eq!(reply.body["request_id"], reply.header("x-request-id"));
}

/// Unix seconds.
pub(crate) fn now() -> i64 {
    platform::Clock::system().now_secs()
}
