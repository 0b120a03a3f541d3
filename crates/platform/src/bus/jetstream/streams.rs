//! The streams, declared on each new connection: whoever starts first makes them, a server that lost its disk
//! gets them again, and services that start at once declare the same thing.

use std::time::Duration;

use async_nats::jetstream::{
    Context,
    stream::{Config, DiscardPolicy, RetentionPolicy, StorageType},
};
use tokio::time::sleep;

use super::{NatsConfig, away, link::Link};
use crate::bus::{BusError, DEAD_STREAM, DUPLICATE_WINDOW, STREAMS};

const PAUSE: Duration = Duration::from_millis(500);

/// What the streams are to be.
#[derive(Clone)]
pub(super) struct Streams {
    context: Context,
    replicas: usize,
    max_age: Duration,
}

impl Streams {
    pub(super) fn new(context: Context, config: &NatsConfig) -> Self {
        Self { context, replicas: config.replicas, max_age: config.max_age }
    }

    pub(super) async fn declare_on_each_connection(self, link: Link) {
        let mut is_told = false;
        loop {
            let epoch = link.fresh().await;
            match self.declare().await {
                Ok(()) => {
                    is_told = false;
                    link.declared(epoch);
                }
                Err(error) => {
                    if !std::mem::replace(&mut is_told, true) {
                        tracing::warn!(%error, "the streams cannot be declared yet");
                    }
                    sleep(PAUSE).await;
                }
            }
        }
    }

    pub(super) async fn declare(&self) -> Result<(), BusError> {
        for (name, subjects) in STREAMS {
            self.declare_one(name, subjects, self.max_age).await?;
        }
        self.declare_one(DEAD_STREAM, "dead.>", Duration::ZERO).await
    }

    async fn declare_one(&self, name: &str, subjects: &str, max_age: Duration) -> Result<(), BusError> {
        let config = Config {
            name: name.to_owned(),
            subjects: vec![subjects.to_owned()],
            retention: RetentionPolicy::Limits,
            discard: DiscardPolicy::New,
            storage: StorageType::File,
            num_replicas: self.replicas,
            duplicate_window: DUPLICATE_WINDOW,
            max_age,
            ..Config::default()
        };
        self.context.create_or_update_stream(config).await.map(drop).map_err(away)
    }
}
