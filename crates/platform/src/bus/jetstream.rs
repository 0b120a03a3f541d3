//! The bus of many processes: NATS `JetStream`.

mod codec;
mod deliveries;
mod follower;
mod link;
mod streams;

use std::{fmt, path::PathBuf, time::Duration};

use async_nats::{
    Client, ConnectOptions, HeaderMap, ServerAddr,
    jetstream::{
        Context,
        consumer::{AckPolicy, DeliverPolicy, pull},
        context::{ContextBuilder, PublishErrorKind},
    },
};
use async_trait::async_trait;
use bytes::Bytes;
use futures::TryStreamExt;
use serde::{Deserialize, Deserializer};
use tokio::time::timeout;
use tokio_util::task::AbortOnDropHandle;

use self::{deliveries::JetStreamDeliveries, follower::JetStreamFollower, link::Link, streams::Streams};
use super::{
    BusError, ConsumerSpec, DEAD_STREAM, DeadLetter, Deliveries, Lag, Message, Notices, Transport, stream_of,
};
use crate::{config::Problems, secret::Secret};

/// Between two signs of life of a consumer that has nothing to say. Twice this without one means it is lost.
const HEARTBEAT: Duration = Duration::from_secs(5);
const PULL_EXPIRES: Duration = Duration::from_secs(30);
const PING_EVERY: Duration = Duration::from_secs(10);
const LONGEST_RECONNECT_PAUSE: Duration = Duration::from_secs(2);
/// Retries that wait count as outstanding: a long outage downstream must not stop the consumer at the default 1000.
const MAX_OUTSTANDING: i64 = 20_000;

/// How to reach NATS and what its streams are to be.
#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NatsConfig {
    /// `nats://host:port`, or several of one cluster with commas between (`NATS_URL`).
    pub url: String,
    /// Who we are, where the server asks.
    #[serde(default)]
    pub credentials: Option<NatsCredentials>,
    /// Copies of each stream: 1 on a single server, 3 in a cluster.
    #[serde(default = "default_replicas")]
    pub replicas: usize,
    /// How long a message is kept. Dead letters are kept for ever.
    #[serde(rename = "max_age_seconds", default = "default_max_age", deserialize_with = "seconds")]
    pub max_age: Duration,
    /// How long one attempt to connect may last.
    #[serde(rename = "connect_timeout_seconds", default = "default_timeout", deserialize_with = "seconds")]
    pub connect_timeout: Duration,
    /// How long the server may take to answer a publish or an acknowledgement.
    #[serde(rename = "request_timeout_seconds", default = "default_timeout", deserialize_with = "seconds")]
    pub request_timeout: Duration,
}

fn default_replicas() -> usize {
    1
}

fn default_max_age() -> Duration {
    Duration::from_hours(30 * 24)
}

fn default_timeout() -> Duration {
    Duration::from_secs(5)
}

fn seconds<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
    u64::deserialize(deserializer).map(Duration::from_secs)
}

impl NatsConfig {
    /// A single server without credentials; messages are kept for 30 days.
    pub fn new(url: impl Into<String>) -> Self {
        Self {
            url: url.into(),
            credentials: None,
            replicas: default_replicas(),
            max_age: default_max_age(),
            connect_timeout: default_timeout(),
            request_timeout: default_timeout(),
        }
    }

    /// Reports what cannot work.
    pub fn check(&self, problems: &mut Problems) {
        problems.check("bus.url", self.servers());
        if !(1..=5).contains(&self.replicas) {
            problems.add("bus.replicas", "must be from 1 to 5; 1 on a single server, 3 in a cluster");
        }
    }

    fn servers(&self) -> Result<Vec<ServerAddr>, BusError> {
        let wrong = |_| BusError::InvalidConfig("its address must look like nats://host:port".into());
        self.url.split(',').map(|server| server.trim().parse().map_err(wrong)).collect()
    }
}

impl fmt::Debug for NatsConfig {
    /// Without the URL, which may hold a password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NatsConfig")
            .field("replicas", &self.replicas)
            .field("max_age", &self.max_age)
            .finish_non_exhaustive()
    }
}

/// Who we are to NATS.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NatsCredentials {
    /// A token.
    Token(Secret),
    /// A user and a password, as a list of the two.
    User(String, Secret),
    /// A `.creds` file: a JWT and its nkey.
    Creds(PathBuf),
}

/// The bus over NATS `JetStream`.
pub struct JetStreamBus {
    client: Client,
    context: Context,
    streams: Streams,
    link: Link,
    request_timeout: Duration,
    _declaring: AbortOnDropHandle<()>,
}

impl JetStreamBus {
    /// Connects in the background: a NATS that is away is waited for. Fails only on what can never work.
    pub async fn connect(config: &NatsConfig) -> Result<Self, BusError> {
        crate::tls::install_provider();
        let servers = config.servers()?;
        let link = Link::default();
        let client = options(config, &link).await?.connect(servers).await.map_err(away)?;
        let context = ContextBuilder::new()
            .timeout(config.request_timeout)
            .ack_timeout(config.request_timeout)
            .build(client.clone());
        let streams = Streams::new(context.clone(), config);
        let declaring = tokio::spawn(streams.clone().declare_on_each_connection(link.clone()));
        Ok(Self {
            client,
            context,
            streams,
            link,
            request_timeout: config.request_timeout,
            _declaring: AbortOnDropHandle::new(declaring),
        })
    }

    /// Returns when `JetStream` has stored the message.
    async fn store(&self, subject: String, headers: HeaderMap, payload: Bytes) -> Result<(), BusError> {
        self.link.until_up(self.request_timeout).await?;
        match self.store_once(subject.clone(), headers.clone(), payload.clone()).await {
            Err(error) if error.kind() == PublishErrorKind::StreamNotFound => {
                self.streams.declare().await?;
                self.store_once(subject, headers, payload).await.map_err(away)
            }
            stored => stored.map_err(away),
        }
    }

    async fn store_once(
        &self,
        subject: String,
        headers: HeaderMap,
        payload: Bytes,
    ) -> Result<(), async_nats::jetstream::context::PublishError> {
        self.context.publish_with_headers(subject, headers, payload).await?.await.map(drop)
    }

    /// Opens the consumer; a server that has lost the stream is told of it again.
    async fn open(&self, stream: &str, spec: &ConsumerSpec) -> Result<pull::Stream, BusError> {
        self.link.until_up(self.request_timeout).await?;
        if let Ok(messages) = open(&self.context, stream, durable(spec), spec.concurrency).await {
            return Ok(messages);
        }
        self.streams.declare().await?;
        open(&self.context, stream, durable(spec), spec.concurrency).await
    }
}

async fn options(config: &NatsConfig, link: &Link) -> Result<ConnectOptions, BusError> {
    let link = link.clone();
    let options = ConnectOptions::new()
        .name("mercato")
        .retry_on_initial_connect()
        .connection_timeout(config.connect_timeout)
        .request_timeout(Some(config.request_timeout))
        .ping_interval(PING_EVERY)
        .reconnect_delay_callback(reconnect_pause)
        .event_callback(move |event| {
            link.on(&event);
            std::future::ready(())
        });
    match &config.credentials {
        None => Ok(options),
        Some(NatsCredentials::Token(token)) => Ok(options.token(token.expose().to_owned())),
        Some(NatsCredentials::User(user, password)) => {
            Ok(options.user_and_password(user.clone(), password.expose().to_owned()))
        }
        Some(NatsCredentials::Creds(path)) => options
            .credentials_file(path)
            .await
            .map_err(|_| BusError::InvalidConfig("its credentials file cannot be read".into())),
    }
}

fn reconnect_pause(attempts: usize) -> Duration {
    let doublings = u32::try_from(attempts.saturating_sub(1)).unwrap_or(u32::MAX);
    Duration::from_millis(50).saturating_mul(2_u32.saturating_pow(doublings)).min(LONGEST_RECONNECT_PAUSE)
}

async fn open(
    context: &Context,
    stream: &str,
    config: pull::Config,
    batch: usize,
) -> Result<pull::Stream, BusError> {
    let consumer = context.create_consumer_on_stream(config, stream).await.map_err(away)?;
    let messages = consumer.stream().max_messages_per_batch(batch).heartbeat(HEARTBEAT).expires(PULL_EXPIRES);
    messages.messages().await.map_err(away)
}

fn away(error: impl fmt::Display) -> BusError {
    BusError::Unavailable(error.to_string())
}

fn durable(spec: &ConsumerSpec) -> pull::Config {
    pull::Config {
        durable_name: Some(spec.name.clone()),
        filter_subjects: spec.subjects.clone(),
        deliver_policy: DeliverPolicy::All,
        ack_policy: AckPolicy::Explicit,
        ack_wait: spec.ack_wait,
        max_deliver: -1,
        max_ack_pending: MAX_OUTSTANDING,
        ..pull::Config::default()
    }
}

#[async_trait]
impl Transport for JetStreamBus {
    fn system(&self) -> &'static str {
        "nats"
    }

    async fn publish(&self, message: &Message) -> Result<(), BusError> {
        message.check()?;
        let headers = codec::headers(message)?;
        self.store(message.subject.clone(), headers, message.payload.clone()).await
    }

    async fn deliveries(&self, spec: &ConsumerSpec) -> Result<Box<dyn Deliveries>, BusError> {
        let messages = self.open(spec.stream()?, spec).await?;
        Ok(Box::new(JetStreamDeliveries::new(self.client.clone(), messages, spec.confirms_acks)))
    }

    async fn notices(&self, subjects: &[&str]) -> Result<Box<dyn Notices>, BusError> {
        for subject in subjects {
            stream_of(subject)?;
        }
        let (context, link) = (self.context.clone(), self.link.clone());
        Ok(Box::new(JetStreamFollower::start(context, link, subjects).await))
    }

    async fn bury(&self, letter: &DeadLetter) -> Result<(), BusError> {
        let headers = codec::letter_headers(letter)?;
        self.store(codec::dead_subject(&letter.message.subject), headers, letter.message.payload.clone())
            .await
    }

    async fn dead_letters(&self, limit: usize) -> Result<Vec<DeadLetter>, BusError> {
        self.link.until_up(self.request_timeout).await?;
        let config = pull::Config {
            ack_policy: AckPolicy::None,
            memory_storage: true,
            num_replicas: 1,
            inactive_threshold: PULL_EXPIRES,
            ..pull::Config::default()
        };
        let reader = self.context.create_consumer_on_stream(config, DEAD_STREAM).await.map_err(away)?;
        let letters = reader.fetch().max_messages(limit).messages().await.map_err(away)?;
        letters.map_ok(|letter| codec::letter(&letter.message)).map_err(away).try_collect().await
    }

    async fn lag(&self, spec: &ConsumerSpec) -> Result<Lag, BusError> {
        self.link.until_up(self.request_timeout).await?;
        let known = self.context.get_consumer_from_stream::<pull::Config, _, _>(&spec.name, spec.stream()?);
        let known = known.await.map_err(away)?;
        let info = known.cached_info();
        Ok(Lag { pending: info.num_pending, outstanding: info.num_ack_pending as u64 })
    }

    async fn is_ready(&self) -> bool {
        self.link.is_up()
            && timeout(self.request_timeout, self.context.query_account())
                .await
                .is_ok_and(|asked| asked.is_ok())
    }
}
