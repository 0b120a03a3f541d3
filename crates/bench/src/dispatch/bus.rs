//! Putting messages on JetStream, and holding them back there.

use std::time::Duration;

use anyhow::Context as _;
use async_nats::jetstream::{self, stream::Stream};
use futures::{StreamExt as _, TryStreamExt as _, future::try_join_all, stream};
use platform::{
    Clock,
    bus::{JetStreamBus, Message, NatsConfig, Transport as _, stream_of},
};
use time::OffsetDateTime;
use tokio::time::{Instant, sleep_until};

use crate::load::count;

/// Messages that wait for their acknowledgement at the same time.
const IN_FLIGHT: usize = 512;
/// Longer than any round.
const PAUSE_SECONDS: i64 = 3_600;

/// The bus as an outbox uses it, and its consumers as an operator can pause them.
pub(crate) struct Bus {
    bus: JetStreamBus,
    context: jetstream::Context,
    clock: Clock,
}

/// When a message was to be published, and when it was stored.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Published {
    pub(crate) due: Instant,
    pub(crate) stored: Instant,
}

impl Bus {
    pub(crate) async fn connect(url: &str, clock: Clock) -> anyhow::Result<Self> {
        let bus = JetStreamBus::connect(&NatsConfig::new(url)).await?;
        let context = jetstream::new(async_nats::connect(url).await?);
        Ok(Self { bus, context, clock })
    }

    /// Publishes all as fast as they are stored; messages per second.
    pub(crate) async fn publish_all(&self, messages: &[Message]) -> anyhow::Result<f64> {
        let began = Instant::now();
        let publishing = stream::iter(messages).map(|message| self.bus.publish(message));
        publishing.buffer_unordered(IN_FLIGHT).try_collect::<()>().await?;
        Ok(count(messages.len()) / began.elapsed().as_secs_f64())
    }

    /// Publishes each at its time, whether the earlier ones are stored or not.
    pub(crate) async fn publish_at_rate(
        &self,
        messages: &[Message],
        per_second: usize,
    ) -> anyhow::Result<Vec<Published>> {
        let began = Instant::now() + Duration::from_millis(10);
        let publishing = messages.iter().enumerate().map(async |(number, message)| {
            let due = began + Duration::from_secs_f64(count(number) / count(per_second));
            sleep_until(due).await;
            self.bus.publish(message).await?;
            anyhow::Ok(Published { due, stored: Instant::now() })
        });
        try_join_all(publishing).await
    }

    /// From now on NATS hands the dispatchers nothing of the subject's stream, although they are there and ask.
    pub(crate) async fn hold_back(&self, subject: &str) -> anyhow::Result<()> {
        let until = OffsetDateTime::from_unix_timestamp(self.clock.now_secs() + PAUSE_SECONDS)?;
        let (stream, consumers) = self.consumers(subject).await?;
        for consumer in consumers {
            stream.pause_consumer(&consumer, until).await?;
        }
        Ok(())
    }

    /// Lets them have it.
    pub(crate) async fn let_loose(&self, subject: &str) -> anyhow::Result<()> {
        let (stream, consumers) = self.consumers(subject).await?;
        for consumer in consumers {
            stream.resume_consumer(&consumer).await?;
        }
        Ok(())
    }

    /// Those that messages on the subject may be taken by, with their stream.
    async fn consumers(&self, subject: &str) -> anyhow::Result<(Stream, Vec<String>)> {
        let stream = self.context.get_stream(stream_of(subject)?).await?;
        let durable = stream.consumers().try_filter_map(async |one| Ok(one.config.durable_name));
        let durable = durable.try_collect().await.context("the consumers can't be listed")?;
        Ok((stream, durable))
    }
}
