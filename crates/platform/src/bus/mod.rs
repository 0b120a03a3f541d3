//! The bus: one interface, two transports with the same promises (contracts.md section 7).
//!
//! At least once; order within a subject is not promised; a publish is durable when it returns; a message
//! published twice within the duplicate window is stored once; what can never be handled goes to the dead
//! letters with its reason. The W3C trace context travels with each message.

mod consumer;
pub mod embedded;
pub mod jetstream;

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use bytes::Bytes;
pub use consumer::{ConsumeError, ConsumerSpec};
pub use embedded::EmbeddedBus;
pub use jetstream::{JetStreamBus, NatsConfig, NatsCredentials};

use crate::telemetry::TraceContext;

/// The streams of contracts.md section 7 and the subjects that each of them takes.
pub const STREAMS: [(&str, &str); 4] = [
    ("PAYMENTS", "payments.v1.>"),
    ("LICENSING", "licensing.v1.>"),
    ("CATALOG", "catalog.v1.>"),
    ("WEBHOOKS", "webhooks.v1.>"),
];

/// The stream of dead letters; a letter's subject is `dead.` + the message's own subject.
pub const DEAD_STREAM: &str = "DEAD";

/// How long a stream remembers message ids to drop a repeated publish.
pub const DUPLICATE_WINDOW: Duration = Duration::from_mins(10);

/// The largest payload that a transport takes: what fits, with its headers, into NATS's default `max_payload`.
pub const MAX_PAYLOAD: usize = 1_000_000;

/// The stream that takes a subject, told by the subject's first tokens.
pub fn stream_of(subject: &str) -> Result<&'static str, BusError> {
    STREAMS
        .into_iter()
        .find(|(_, taken)| takes(taken, subject))
        .map(|(stream, _)| stream)
        .ok_or_else(|| BusError::UnknownSubject(subject.to_owned()))
}

/// Whether `payments.v1.>` takes `payments.v1.order_paid`. No wildcard is a subject that one can publish to.
fn takes(taken: &str, subject: &str) -> bool {
    let legal = |token: &str| {
        !token.is_empty() && token.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-".contains(&byte))
    };
    taken
        .strip_suffix('>')
        .and_then(|prefix| subject.strip_prefix(prefix))
        .is_some_and(|rest| rest.split('.').all(legal))
}

/// A message on the bus.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// `evt_…`: names the event, travels as `Nats-Msg-Id`.
    pub id: String,
    /// `<domain>.v1.<event>`.
    pub subject: String,
    /// The event, protobuf.
    pub payload: Bytes,
    /// The trace that the event belongs to.
    pub trace: TraceContext,
}

impl Message {
    /// Whether a transport can take it, and the stream that does.
    fn check(&self) -> Result<&'static str, BusError> {
        if self.payload.len() > MAX_PAYLOAD {
            return Err(BusError::TooLarge(self.payload.len()));
        }
        stream_of(&self.subject)
    }
}

/// A message that no consumer can handle, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeadLetter {
    /// The message as it was published.
    pub message: Message,
    /// The durable consumer that gave it up.
    pub consumer: String,
    /// Why, in words for an operator; never with the content of the message.
    pub reason: String,
}

/// Why the bus could not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum BusError {
    /// The transport is away or answered with an error that may pass.
    #[error("the bus is unavailable: {0}")]
    Unavailable(String),
    /// No stream takes this subject.
    #[error(
        "no stream takes the subject {0}; streams take payments.v1, licensing.v1, catalog.v1 and webhooks.v1"
    )]
    UnknownSubject(String),
    /// The payload can never be taken; publishing it again will not help.
    #[error("a message of {0} bytes is too large for the bus, which takes {MAX_PAYLOAD}")]
    TooLarge(usize),
    /// A consumer that no transport could open.
    #[error("the consumer cannot be opened: {0}")]
    InvalidConsumer(String),
    /// The address or the credentials of the bus can never work.
    #[error("the bus is configured wrongly: {0}")]
    InvalidConfig(String),
}

impl BusError {
    /// Whether the same call may succeed later.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        matches!(self, Self::Unavailable(_))
    }
}

/// One message handed to a durable consumer, to be settled exactly once.
pub struct Delivery {
    /// The message.
    pub message: Message,
    /// How often it has been handed out, this time included.
    pub count: u64,
    /// Settles it.
    pub settle: Box<dyn Settle>,
}

/// Settles one delivery. A delivery that is dropped unsettled is handed out again after the acknowledgement wait.
#[async_trait]
pub trait Settle: Send + Sync {
    /// The effect has committed: never hand it out again.
    async fn ack(&self) -> Result<(), BusError>;
    /// Hand it out again, no sooner than `delay` from now.
    async fn retry(&self, delay: Duration) -> Result<(), BusError>;
    /// Still at work: start the acknowledgement wait anew.
    async fn in_progress(&self) -> Result<(), BusError>;
}

/// What a durable consumer is handed, one by one.
#[async_trait]
pub trait Deliveries: Send {
    /// The next delivery; waits until there is one. Dropping the future loses nothing.
    async fn next(&mut self) -> Result<Delivery, BusError>;
}

/// What a follower sees.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Notice {
    /// An event that was published after the follower began.
    Event(Message),
    /// Events may have been missed (a reconnect): drop what was cached and load it again.
    Gap,
}

/// What an ephemeral, ordered follower sees from the moment it began.
#[async_trait]
pub trait Notices: Send {
    /// The next notice; waits until there is one. Dropping the future loses nothing.
    async fn next(&mut self) -> Notice;
}

/// How far a durable consumer is behind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lag {
    /// Messages that it has not been handed yet.
    pub pending: u64,
    /// Messages that it has been handed and has not settled: in work, or waiting for another try.
    pub outstanding: u64,
}

/// What a transport must do. The same conformance suite runs over each.
#[async_trait]
pub trait Transport: Send + Sync + 'static {
    /// What spans call it (`messaging.system` of the OpenTelemetry conventions).
    fn system(&self) -> &'static str;
    /// Stores the message. Durable when it returns.
    async fn publish(&self, message: &Message) -> Result<(), BusError>;
    /// Opens (or goes on with) the durable consumer that the spec names.
    async fn deliveries(&self, spec: &ConsumerSpec) -> Result<Box<dyn Deliveries>, BusError>;
    /// Follows the subjects from now on, without any durable state.
    async fn notices(&self, subjects: &[&str]) -> Result<Box<dyn Notices>, BusError>;
    /// Stores a dead letter. Durable when it returns.
    async fn bury(&self, letter: &DeadLetter) -> Result<(), BusError>;
    /// The dead letters, oldest first, at most `limit`.
    async fn dead_letters(&self, limit: usize) -> Result<Vec<DeadLetter>, BusError>;
    /// How far the durable consumer is behind.
    async fn lag(&self, spec: &ConsumerSpec) -> Result<Lag, BusError>;
    /// Whether the transport answers now.
    async fn is_ready(&self) -> bool;
}

/// A handle on the bus; cheap to clone.
#[derive(Clone)]
pub struct Bus {
    transport: Arc<dyn Transport>,
}

impl Bus {
    /// A bus over the given transport.
    pub fn new(transport: impl Transport) -> Self {
        Self { transport: Arc::new(transport) }
    }
}

impl std::ops::Deref for Bus {
    type Target = dyn Transport;

    fn deref(&self) -> &Self::Target {
        &*self.transport
    }
}
