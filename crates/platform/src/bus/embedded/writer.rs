//! The one task that touches `bus.db`. What waits when it is free becomes one transaction, so that many callers
//! share the cost of one commit; answers and wake-ups follow the commit.

use std::{collections::HashMap, sync::Arc, time::Duration};

use sea_orm::sqlx::{Connection, Error, SqliteConnection};
use tokio::sync::{broadcast, mpsc, oneshot, watch};

use super::{
    deliveries::Held,
    log::{self, HandOut},
};
use crate::{
    bus::{ConsumerSpec, DeadLetter, Lag, Message},
    clock::{Clock, millis},
};

const LARGEST_BATCH: usize = 256;
const PRUNE_EVERY: Duration = Duration::from_hours(1);

pub(super) type Commands = mpsc::UnboundedSender<Command>;
pub(super) type Reply<T> = oneshot::Sender<T>;

/// What the writer is asked to do. A reply that never comes means that the transaction failed.
pub(super) enum Command {
    Publish { message: Message, reply: Reply<()> },
    Bury { letter: DeadLetter, reply: Reply<()> },
    DeadLetters { limit: usize, reply: Reply<Vec<DeadLetter>> },
    Open { spec: ConsumerSpec, reply: Reply<watch::Receiver<()>> },
    Claim { ask: Ask, reply: Reply<Claimed> },
    Settle { held: HandOut, how: How, reply: Option<Reply<()>> },
    Lag { consumer: String, reply: Reply<Lag> },
    Ping { reply: Reply<()> },
}

/// A consumer's wish for messages.
pub(super) struct Ask {
    pub(super) consumer: Arc<str>,
    pub(super) limit: usize,
    pub(super) ack_wait: Duration,
    /// Where an unused message goes back to.
    pub(super) commands: Commands,
}

/// What a consumer was handed, and when to ask again at the latest.
pub(super) struct Claimed {
    pub(super) held: Vec<Held>,
    pub(super) next_due: Option<i64>,
}

/// How a hand-out ends or goes on.
#[derive(Clone, Copy)]
pub(super) enum How {
    Ack,
    Retry(Duration),
    InProgress(Duration),
    Release,
}

impl Command {
    /// What must outlive the loss of power. A lost hand-out or acknowledgement only repeats a message.
    fn needs_fsync(&self) -> bool {
        matches!(self, Self::Publish { .. } | Self::Bury { .. } | Self::Open { .. })
    }
}

/// Runs once its transaction has committed: answers, then wakes. Dropped unrun when the transaction failed.
type AfterCommit = Box<dyn FnOnce(&mut Hub) + Send>;

/// Who is told of what has committed.
pub(super) struct Hub {
    consumers: HashMap<String, Wake>,
    published: broadcast::Sender<Message>,
}

struct Wake {
    subjects: Vec<String>,
    signal: watch::Sender<()>,
}

impl Hub {
    fn published(&self, message: Message) {
        for wake in self.consumers.values().filter(|wake| wake.subjects.contains(&message.subject)) {
            wake.signal.send_replace(());
        }
        // An error means that nobody follows.
        let _ = self.published.send(message);
    }

    fn opened(&mut self, spec: ConsumerSpec) -> watch::Receiver<()> {
        let fresh = || Wake { subjects: Vec::new(), signal: watch::Sender::new(()) };
        let wake = self.consumers.entry(spec.name).or_insert_with(fresh);
        wake.subjects = spec.subjects;
        wake.signal.subscribe()
    }

    fn wake(&self, consumer: &str) {
        if let Some(wake) = self.consumers.get(consumer) {
            wake.signal.send_replace(());
        }
    }

    /// The others must know when what this one took falls due.
    fn wake_others(&self, consumer: &str) {
        if let Some(wake) = self.consumers.get(consumer).filter(|wake| wake.signal.receiver_count() > 1) {
            wake.signal.send_replace(());
        }
    }
}

/// The task's state.
pub(super) struct Writer {
    db: SqliteConnection,
    clock: Clock,
    commands: mpsc::UnboundedReceiver<Command>,
    hub: Hub,
    full: bool,
}

impl Writer {
    pub(super) fn new(
        db: SqliteConnection,
        clock: Clock,
        commands: mpsc::UnboundedReceiver<Command>,
        published: broadcast::Sender<Message>,
    ) -> Self {
        let hub = Hub { consumers: HashMap::new(), published };
        Self { db, clock, commands, hub, full: true }
    }

    /// Ends when the last handle on the bus is gone.
    pub(super) async fn run(mut self) {
        let mut prune_at = self.clock.now_ms();
        loop {
            let clock = self.clock.clone();
            tokio::select! {
                biased;
                first = self.commands.recv() => match first {
                    Some(first) => self.take(first).await,
                    None => break,
                },
                () = clock.sleep_until_ms(prune_at) => prune_at = self.prune().await,
            }
        }
        if let Err(error) = self.db.close().await {
            tracing::warn!(%error, "the bus log did not close cleanly");
        }
    }

    async fn take(&mut self, first: Command) {
        let mut batch = vec![first];
        while batch.len() < LARGEST_BATCH
            && let Ok(next) = self.commands.try_recv()
        {
            batch.push(next);
        }
        match self.commit(batch).await {
            Ok(done) => done.into_iter().for_each(|after| after(&mut self.hub)),
            Err(error) => tracing::error!(%error, "the bus log could not be written"),
        }
    }

    async fn commit(&mut self, batch: Vec<Command>) -> Result<Vec<AfterCommit>, Error> {
        self.choose_safety(batch.iter().any(Command::needs_fsync)).await?;
        let now = self.clock.now_ms();
        let mut transaction = self.db.begin_with("BEGIN IMMEDIATE").await?;
        let mut done = Vec::with_capacity(batch.len());
        for command in batch {
            done.push(apply(&mut transaction, command, now).await?);
        }
        transaction.commit().await?;
        Ok(done)
    }

    async fn choose_safety(&mut self, full: bool) -> Result<(), Error> {
        if self.full != full {
            log::set_synchronous(&mut self.db, full).await?;
            self.full = full;
        }
        Ok(())
    }

    /// Prunes one batch; when to prune again.
    async fn prune(&mut self) -> i64 {
        let now = self.clock.now_ms();
        match log::prune(&mut self.db, now).await {
            Ok(log::PRUNE_BATCH) => return now,
            Ok(_) => {}
            Err(error) => tracing::warn!(%error, "the bus log could not be pruned"),
        }
        now + millis(PRUNE_EVERY)
    }
}

async fn apply(db: &mut SqliteConnection, command: Command, now: i64) -> Result<AfterCommit, Error> {
    Ok(match command {
        Command::Publish { message, reply } => {
            let stored = log::publish(db, &message, now).await?;
            after(reply, (), move |hub| stored.then(|| hub.published(message)))
        }
        Command::Bury { letter, reply } => {
            log::bury(db, &letter, now).await?;
            after(reply, (), |_| {})
        }
        Command::DeadLetters { limit, reply } => {
            let letters = log::dead_letters(db, i64::try_from(limit).unwrap_or(i64::MAX)).await?;
            after(reply, letters, |_| {})
        }
        Command::Open { spec, reply } => open(db, spec, reply).await?,
        Command::Claim { ask, reply } => claim(db, ask, reply, now).await?,
        Command::Settle { held, how, reply } => {
            settle(db, &held, how, now).await?;
            Box::new(move |hub| settled(hub, &held, how, reply))
        }
        Command::Lag { consumer, reply } => {
            let lag = log::lag(db, &consumer).await?;
            after(reply, lag, |_| {})
        }
        Command::Ping { reply } => after(reply, (), |_| {}),
    })
}

/// Tells the hub first, so that who has the answer finds its followers told.
fn after<T: Send + 'static, R>(
    reply: Reply<T>,
    answer: T,
    tell: impl FnOnce(&mut Hub) -> R + Send + 'static,
) -> AfterCommit {
    Box::new(move |hub| {
        tell(hub);
        // An error means that the caller has stopped waiting; a claim it leaves goes back as it is dropped.
        let _ = reply.send(answer);
    })
}

async fn open(
    db: &mut SqliteConnection,
    spec: ConsumerSpec,
    reply: Reply<watch::Receiver<()>>,
) -> Result<AfterCommit, Error> {
    log::open_consumer(db, &spec.name, &serde_json::json!(spec.subjects).to_string()).await?;
    Ok(Box::new(move |hub| {
        let _ = reply.send(hub.opened(spec));
    }))
}

async fn claim(
    db: &mut SqliteConnection,
    ask: Ask,
    reply: Reply<Claimed>,
    now: i64,
) -> Result<AfterCommit, Error> {
    let limit = i64::try_from(ask.limit).unwrap_or(i64::MAX);
    let wish = log::Claim { consumer: &ask.consumer, limit, now, until: now + millis(ask.ack_wait) };
    let entries = log::claim(db, &wish).await?;
    let next_due = log::next_due(db, &ask.consumer).await?;
    let held: Vec<_> = entries.into_iter().map(|entry| Held::new(entry, &ask)).collect();
    let took = !held.is_empty();
    Ok(after(reply, Claimed { held, next_due }, move |hub| took.then(|| hub.wake_others(&ask.consumer))))
}

async fn settle(db: &mut SqliteConnection, held: &HandOut, how: How, now: i64) -> Result<(), Error> {
    match how {
        How::Ack => log::ack(db, held).await,
        How::Retry(delay) => log::retry(db, held, now + millis(delay)).await,
        How::InProgress(ack_wait) => log::extend(db, held, now + millis(ack_wait)).await,
        How::Release => log::release(db, held).await,
    }
}

/// What falls due earlier than its consumer expects must wake it.
fn settled(hub: &mut Hub, held: &HandOut, how: How, reply: Option<Reply<()>>) {
    if matches!(how, How::Retry(_) | How::Release) {
        hub.wake(&held.consumer);
    }
    if let Some(reply) = reply {
        let _ = reply.send(());
    }
}
