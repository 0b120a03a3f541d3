//! What a follower sees: an ephemeral ordered consumer for each stream, and a gap whenever one may have missed
//! something.

use std::{collections::BTreeMap, time::Duration};

use async_nats::jetstream::{
    self, Context,
    consumer::{
        AckPolicy, DeliverPolicy,
        pull::{self, MessagesError},
    },
};
use async_trait::async_trait;
use futures::{
    StreamExt,
    stream::{BoxStream, SelectAll, once, select_all},
};
use tokio::time::sleep;

use super::{codec, link::Link};
use crate::bus::{BusError, Message, Notice, Notices, stream_of};

const PAUSE: Duration = Duration::from_millis(200);
/// How long the server keeps an ephemeral consumer that nobody asks.
const FORGET_AFTER: Duration = Duration::from_mins(1);
const BATCH: usize = 256;

/// A message that is not the next one, or an error of the consumer.
struct Lost;

type Tail = SelectAll<BoxStream<'static, Result<Message, Lost>>>;

/// Follows the subjects from now on.
pub(super) struct JetStreamFollower {
    context: Context,
    link: Link,
    /// By stream.
    subjects: BTreeMap<&'static str, Vec<String>>,
    tail: Option<(u64, Tail)>,
}

impl JetStreamFollower {
    /// A NATS that is away is waited for by `next`, which then tells of a gap.
    pub(super) async fn start(context: Context, link: Link, subjects: &[&str]) -> Self {
        let mut by_stream: BTreeMap<_, Vec<_>> = BTreeMap::new();
        for subject in subjects {
            if let Ok(stream) = stream_of(subject) {
                by_stream.entry(stream).or_default().push((*subject).to_owned());
            }
        }
        let mut follower = Self { context, link, subjects: by_stream, tail: None };
        if follower.link.is_up() {
            follower.tail = follower.open().await.ok();
        }
        follower
    }

    async fn open(&mut self) -> Result<(u64, Tail), BusError> {
        let epoch = self.link.up().await;
        let mut tails = Vec::with_capacity(self.subjects.len());
        for (stream, subjects) in &self.subjects {
            let messages = super::open(&self.context, stream, ephemeral(subjects), BATCH).await?;
            tails.push(ordered(messages));
        }
        Ok((epoch, select_all(tails)))
    }

    async fn reopen(&mut self) {
        let mut is_told = false;
        while self.tail.is_none() {
            match self.open().await {
                Ok(tail) => self.tail = Some(tail),
                Err(error) => {
                    if !std::mem::replace(&mut is_told, true) {
                        tracing::warn!(%error, "a follower has lost the bus and goes on when it is back");
                    }
                    sleep(PAUSE).await;
                }
            }
        }
    }
}

fn ephemeral(subjects: &[String]) -> pull::Config {
    pull::Config {
        filter_subjects: subjects.to_vec(),
        deliver_policy: DeliverPolicy::New,
        ack_policy: AckPolicy::None,
        max_deliver: 1,
        memory_storage: true,
        num_replicas: 1,
        inactive_threshold: FORGET_AFTER,
        ..pull::Config::default()
    }
}

/// Each message in its turn; the first that is missing ends it.
fn ordered(messages: pull::Stream) -> BoxStream<'static, Result<Message, Lost>> {
    let mut expected = 1;
    let checked = messages.map(move |message| {
        let checked = in_turn(message, expected);
        expected += 1;
        checked
    });
    checked.chain(once(std::future::ready(Err(Lost)))).boxed()
}

fn in_turn(message: Result<jetstream::Message, MessagesError>, expected: u64) -> Result<Message, Lost> {
    let message = message.map_err(|_| Lost)?;
    let is_next = message.info().is_ok_and(|info| info.consumer_sequence == expected);
    if is_next { Ok(codec::message(&message)) } else { Err(Lost) }
}

#[async_trait]
impl Notices for JetStreamFollower {
    async fn next(&mut self) -> Notice {
        if let Some((epoch, tail)) = &mut self.tail {
            tokio::select! {
                biased;
                () = self.link.reconnected_since(*epoch) => {}
                message = tail.next() => {
                    if let Some(Ok(message)) = message {
                        return Notice::Event(message);
                    }
                }
            }
        }
        self.tail = None;
        self.reopen().await;
        Notice::Gap
    }
}
