//! What the promises are tested with.

use std::{
    collections::BTreeSet,
    future::Future,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use opentelemetry::trace::TracerProvider as _;
use opentelemetry_sdk::{
    error::OTelSdkResult,
    trace::{SdkTracerProvider, SpanData, SpanExporter},
};
use platform::{
    Shutdown,
    bus::{
        Bus, BusError, ConsumeError, ConsumerSpec, DeadLetter, Deliveries, Lag, Message, Notices, Transport,
    },
    telemetry::TraceContext,
};
use tokio::{
    sync::{Mutex as AsyncMutex, mpsc},
    task::JoinHandle,
    time::timeout,
};
use tokio_util::task::AbortOnDropHandle;
use tracing_subscriber::layer::SubscriberExt as _;
use ulid::Ulid;

/// How long a test waits for what must come.
const PATIENCE: Duration = Duration::from_secs(20);

pub(super) async fn soon<T>(future: impl Future<Output = T>) -> T {
    timeout(PATIENCE, future).await.expect("what the test waits for did not come")
}

#[expect(clippy::disallowed_methods, reason = "runs may share a server, so that chance is wanted here")]
fn unique() -> String {
    Ulid::generate().to_string()
}

/// An event of that subject with an id of its own.
pub(super) fn event(subject: &str) -> Message {
    Message {
        id: format!("evt_{}", unique()),
        subject: subject.to_owned(),
        payload: b"\x00\xffpayload".as_slice().into(),
        trace: TraceContext::default(),
    }
}

/// A subject and a durable name that no other test uses, so that all can share one server.
pub(super) struct Scene {
    pub(super) bus: Bus,
    pub(super) subject: String,
    pub(super) spec: ConsumerSpec,
}

impl Scene {
    pub(super) fn new(bus: &Bus) -> Self {
        let unique = unique().to_lowercase();
        let subject = format!("payments.v1.t_{unique}");
        let spec = ConsumerSpec::new(format!("c_{unique}"), [&subject]);
        Self { bus: bus.clone(), subject, spec }
    }

    /// Publishes that many at once; their ids, sorted.
    pub(super) async fn publish(&self, count: usize) -> Vec<String> {
        let messages: Vec<_> = (0..count).map(|_| event(&self.subject)).collect();
        let published = messages.iter().map(|message| self.bus.publish(message));
        futures::future::try_join_all(published).await.unwrap();
        let mut ids: Vec<_> = messages.into_iter().map(|message| message.id).collect();
        ids.sort();
        ids
    }

    pub(super) fn consume<H, F>(&self, handler: H) -> Running
    where
        H: Fn(Message) -> F + Clone + Send + Sync + 'static,
        F: Future<Output = Result<(), ConsumeError>> + Send + 'static,
    {
        let shutdown = Shutdown::new();
        let task = self.bus.consume(self.spec.clone(), shutdown.clone(), handler).unwrap();
        Running { task: AbortOnDropHandle::new(task), shutdown }
    }

    /// The dead letters of this scene's subject.
    pub(super) async fn dead_letters(&self) -> Vec<DeadLetter> {
        let mut letters = self.bus.dead_letters(100_000).await.unwrap();
        letters.retain(|letter| letter.message.subject == self.subject);
        letters
    }
}

/// A consumer at work.
pub(super) struct Running {
    task: AbortOnDropHandle<()>,
    shutdown: Shutdown,
}

impl Running {
    /// Ends it as a service does.
    pub(super) async fn drain(self) {
        self.shutdown.cancel();
        soon(self.task).await.unwrap();
    }

    /// Ends it as a killed process does: nothing is settled any more.
    pub(super) async fn die(self) {
        let task: JoinHandle<()> = self.task.detach();
        task.abort();
        assert!(task.await.unwrap_err().is_cancelled());
    }
}

/// The ids that a handler was given.
pub(super) struct Seen {
    tell: mpsc::UnboundedSender<String>,
    told: AsyncMutex<mpsc::UnboundedReceiver<String>>,
}

type Handled = std::future::Ready<Result<(), ConsumeError>>;

impl Seen {
    /// With a handler that takes everything.
    pub(super) fn new() -> (Self, impl Fn(Message) -> Handled + Clone + Send + Sync + 'static) {
        let (tell, told) = mpsc::unbounded_channel();
        let seen = Self { tell, told: AsyncMutex::new(told) };
        let handler = seen.handler();
        (seen, handler)
    }

    pub(super) fn handler(&self) -> impl Fn(Message) -> Handled + Clone + Send + Sync + 'static + use<> {
        self.then(|_| std::future::ready(Ok(())))
    }

    /// A handler that notes the message before it does `what`.
    pub(super) fn then<W, F>(
        &self,
        what: W,
    ) -> impl Fn(Message) -> F + Clone + Send + Sync + 'static + use<W, F>
    where
        W: Fn(Message) -> F + Clone + Send + Sync + 'static,
    {
        let tell = self.tell.clone();
        move |message| {
            tell.send(message.id.clone()).unwrap();
            what(message)
        }
    }

    /// The next so many, sorted.
    pub(super) async fn take(&self, count: usize) -> Vec<String> {
        let mut told = self.told.lock().await;
        let mut ids = Vec::with_capacity(count);
        while ids.len() < count {
            ids.push(soon(told.recv()).await.unwrap());
        }
        ids.sort();
        ids
    }

    /// Waits until each of these has come, however often.
    pub(super) async fn all(&self, ids: &[String]) {
        let mut missing: BTreeSet<_> = ids.iter().cloned().collect();
        let mut told = self.told.lock().await;
        while !missing.is_empty() {
            missing.remove(&soon(told.recv()).await.unwrap());
        }
    }

    /// Call it when the consumers have drained.
    pub(super) fn nothing_more(&self) {
        assert!(self.told.try_lock().unwrap().try_recv().is_err(), "a message came once too often");
    }
}

/// A bus that cannot store the first dead letters.
pub(super) struct Flaky {
    bus: Bus,
    failures: AtomicU32,
}

impl Flaky {
    pub(super) fn new(bus: Bus, failures: u32) -> Self {
        Self { bus, failures: AtomicU32::new(failures) }
    }
}

#[async_trait]
impl Transport for Flaky {
    fn system(&self) -> &'static str {
        self.bus.system()
    }

    async fn publish(&self, message: &Message) -> Result<(), BusError> {
        self.bus.publish(message).await
    }

    async fn deliveries(&self, spec: &ConsumerSpec) -> Result<Box<dyn Deliveries>, BusError> {
        self.bus.deliveries(spec).await
    }

    async fn notices(&self, subjects: &[&str]) -> Result<Box<dyn Notices>, BusError> {
        self.bus.notices(subjects).await
    }

    async fn bury(&self, letter: &DeadLetter) -> Result<(), BusError> {
        let fails =
            self.failures.try_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1)).is_ok();
        if fails { Err(BusError::Unavailable("not now".into())) } else { self.bus.bury(letter).await }
    }

    async fn dead_letters(&self, limit: usize) -> Result<Vec<DeadLetter>, BusError> {
        self.bus.dead_letters(limit).await
    }

    async fn lag(&self, spec: &ConsumerSpec) -> Result<Lag, BusError> {
        self.bus.lag(spec).await
    }

    async fn is_ready(&self) -> bool {
        self.bus.is_ready().await
    }
}

/// The spans that ended on this thread, which runs the whole test.
pub(super) struct Spans {
    ended: Exporter,
    _subscriber: tracing::subscriber::DefaultGuard,
}

#[derive(Clone, Debug, Default)]
struct Exporter(Arc<Mutex<Vec<SpanData>>>);

impl SpanExporter for Exporter {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        self.0.lock().unwrap().extend(batch);
        Ok(())
    }
}

impl Spans {
    pub(super) fn recorded() -> Self {
        let ended = Exporter::default();
        let provider = SdkTracerProvider::builder().with_simple_exporter(ended.clone()).build();
        let layer = tracing_opentelemetry::layer().with_tracer(provider.tracer("test"));
        let subscriber = tracing_subscriber::registry().with(layer);
        Self { ended, _subscriber: tracing::subscriber::set_default(subscriber) }
    }

    pub(super) fn named(&self, name: &str) -> SpanData {
        let ended = self.ended.0.lock().unwrap();
        let found: Vec<_> = ended.iter().filter(|span| span.name == name).collect();
        assert_eq!(found.len(), 1, "spans named {name}");
        found[0].clone()
    }
}
