//! The bus of one process: a log in a SQLite file, with the promises of `JetStream`.
//!
//! One task writes (`writer`), so that concurrent publishes and acknowledgements share a commit. A publish and a
//! dead letter are synced to the disk before they are answered. A hand-out and an acknowledgement outlive the
//! process at once, and the loss of power with the next sync: losing one hands a message out again, no more.

mod deliveries;
mod log;
mod writer;

use std::path::Path;

use async_trait::async_trait;
use sea_orm::sqlx::{Error, error::DatabaseError, sqlite::SqliteConnectOptions};
use tokio::sync::{
    broadcast::{self, error::RecvError},
    mpsc, oneshot,
};

use self::{
    deliveries::EmbeddedDeliveries,
    writer::{Command, Commands, Reply, Writer},
};
use super::{
    BusError, ConsumerSpec, DeadLetter, Deliveries, Lag, Message, Notice, Notices, Transport, stream_of,
};
use crate::clock::Clock;

/// How far a follower may fall behind before it is told of a gap.
const FOLLOWER_LAG: usize = 4_096;

/// The bus of one process. Clones share one log, and the log is closed with the last of them.
#[derive(Clone)]
pub struct EmbeddedBus {
    commands: Commands,
    published: broadcast::Sender<Message>,
    clock: Clock,
}

impl EmbeddedBus {
    /// Opens the log at `path`, which is made when it is not there. One process at a time can hold it.
    pub async fn open(path: &Path, clock: Clock) -> Result<Self, BusError> {
        Self::start(&log::file(path), clock).await
    }

    /// A log in memory, gone with its last handle.
    pub async fn in_memory(clock: Clock) -> Result<Self, BusError> {
        Self::start(&log::memory(), clock).await
    }

    async fn start(options: &SqliteConnectOptions, clock: Clock) -> Result<Self, BusError> {
        let db = log::open(options).await.map_err(|error| not_opened(&error))?;
        let (commands, inbox) = mpsc::unbounded_channel();
        let published = broadcast::Sender::new(FOLLOWER_LAG);
        tokio::spawn(Writer::new(db, clock.clone(), inbox, published.clone()).run());
        Ok(Self { commands, published, clock })
    }

    /// Asks the writer and waits for the commit.
    async fn ask<T>(&self, command: impl FnOnce(Reply<T>) -> Command) -> Result<T, BusError> {
        let (reply, answer) = oneshot::channel();
        self.commands.send(command(reply)).map_err(|_| unavailable())?;
        answer.await.map_err(|_| unavailable())
    }
}

fn not_opened(error: &Error) -> BusError {
    const SQLITE_BUSY: &str = "5";
    let is_held =
        error.as_database_error().and_then(DatabaseError::code).is_some_and(|code| code == SQLITE_BUSY);
    let why = if is_held { "another process holds it".into() } else { error.to_string() };
    BusError::Unavailable(format!("its log cannot be opened: {why}"))
}

/// The writer has logged the cause.
fn unavailable() -> BusError {
    BusError::Unavailable("its log could not be written".into())
}

#[async_trait]
impl Transport for EmbeddedBus {
    fn system(&self) -> &'static str {
        "mercato-embedded"
    }

    async fn publish(&self, message: &Message) -> Result<(), BusError> {
        message.check()?;
        self.ask(|reply| Command::Publish { message: message.clone(), reply }).await
    }

    async fn deliveries(&self, spec: &ConsumerSpec) -> Result<Box<dyn Deliveries>, BusError> {
        spec.stream()?;
        let wake = self.ask(|reply| Command::Open { spec: spec.clone(), reply }).await?;
        Ok(Box::new(EmbeddedDeliveries::new(spec, self.commands.clone(), self.clock.clone(), wake)))
    }

    async fn notices(&self, subjects: &[&str]) -> Result<Box<dyn Notices>, BusError> {
        for subject in subjects {
            stream_of(subject)?;
        }
        let subjects = subjects.iter().map(ToString::to_string).collect();
        Ok(Box::new(Follower { subjects, published: self.published.subscribe() }))
    }

    async fn bury(&self, letter: &DeadLetter) -> Result<(), BusError> {
        self.ask(|reply| Command::Bury { letter: letter.clone(), reply }).await
    }

    async fn dead_letters(&self, limit: usize) -> Result<Vec<DeadLetter>, BusError> {
        self.ask(|reply| Command::DeadLetters { limit, reply }).await
    }

    async fn lag(&self, spec: &ConsumerSpec) -> Result<Lag, BusError> {
        self.ask(|reply| Command::Lag { consumer: spec.name.clone(), reply }).await
    }

    async fn is_ready(&self) -> bool {
        self.ask(|reply| Command::Ping { reply }).await.is_ok()
    }
}

struct Follower {
    subjects: Vec<String>,
    published: broadcast::Receiver<Message>,
}

#[async_trait]
impl Notices for Follower {
    async fn next(&mut self) -> Notice {
        loop {
            match self.published.recv().await {
                Ok(message) if self.subjects.contains(&message.subject) => return Notice::Event(message),
                Ok(_) => {}
                Err(RecvError::Lagged(_)) => return Notice::Gap,
                // The bus is gone, and nothing will be published any more.
                Err(RecvError::Closed) => std::future::pending().await,
            }
        }
    }
}
