//! What a durable consumer of the embedded bus is handed, and how it settles that.

use std::{collections::VecDeque, sync::Arc, time::Duration};

use async_trait::async_trait;
use tokio::sync::{oneshot, watch};

use super::{
    log::{Entry, HandOut},
    unavailable,
    writer::{Ask, Claimed, Command, Commands, How},
};
use crate::{
    bus::{BusError, ConsumerSpec, Deliveries, Delivery, Message, Settle},
    clock::Clock,
};

/// A message that has been handed out and has not reached a handler. Dropped, it goes back at once.
pub(super) struct Held {
    message: Message,
    ticket: Ticket,
}

/// Gives its hand-out back when dropped, until it has become a handler's.
struct Ticket {
    held: HandOut,
    ack_wait: Duration,
    commands: Commands,
    is_handlers: bool,
}

impl Held {
    pub(super) fn new(entry: Entry, ask: &Ask) -> Self {
        let held = HandOut { consumer: Arc::clone(&ask.consumer), seq: entry.seq, count: entry.count };
        let ticket =
            Ticket { held, ack_wait: ask.ack_wait, commands: ask.commands.clone(), is_handlers: false };
        Self { message: entry.message, ticket }
    }

    fn into_delivery(mut self) -> Delivery {
        self.ticket.is_handlers = true;
        let count = u64::try_from(self.ticket.held.count).unwrap_or(1);
        Delivery { message: self.message, count, settle: Box::new(self.ticket) }
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        if !self.is_handlers {
            // An error means that the log has closed: whoever opens it next hands the message out again.
            let _ = self.command(How::Release, None);
        }
    }
}

impl Ticket {
    fn command(&self, how: How, reply: Option<oneshot::Sender<()>>) -> Result<(), BusError> {
        let command = Command::Settle { held: self.held.clone(), how, reply };
        self.commands.send(command).map_err(|_| unavailable())
    }

    async fn settle(&self, how: How) -> Result<(), BusError> {
        let (reply, settled) = oneshot::channel();
        self.command(how, Some(reply))?;
        settled.await.map_err(|_| unavailable())
    }
}

#[async_trait]
impl Settle for Ticket {
    async fn ack(&self) -> Result<(), BusError> {
        self.settle(How::Ack).await
    }

    async fn retry(&self, delay: Duration) -> Result<(), BusError> {
        self.settle(How::Retry(delay)).await
    }

    async fn in_progress(&self) -> Result<(), BusError> {
        self.settle(How::InProgress(self.ack_wait)).await
    }
}

/// Asks for as many messages as the consumer handles at once, and waits without polling when there are none.
pub(super) struct EmbeddedDeliveries {
    consumer: Arc<str>,
    limit: usize,
    ack_wait: Duration,
    commands: Commands,
    clock: Clock,
    wake: watch::Receiver<()>,
    ready: VecDeque<Held>,
    /// Kept here, so that a dropped `next` does not lose the answer.
    asked: Option<oneshot::Receiver<Claimed>>,
    next_due: Option<i64>,
}

impl EmbeddedDeliveries {
    pub(super) fn new(
        spec: &ConsumerSpec,
        commands: Commands,
        clock: Clock,
        mut wake: watch::Receiver<()>,
    ) -> Self {
        wake.mark_changed();
        Self {
            consumer: spec.name.as_str().into(),
            limit: spec.concurrency,
            ack_wait: spec.ack_wait,
            commands,
            clock,
            wake,
            ready: VecDeque::new(),
            asked: None,
            next_due: None,
        }
    }

    /// Returns when there may be something to claim.
    async fn until_woken(&mut self) {
        let due = self.next_due.unwrap_or(i64::MAX);
        tokio::select! {
            _ = self.wake.changed() => {}
            () = self.clock.sleep_until_ms(due), if self.next_due.is_some() => {}
        }
    }

    /// What is published from here on wakes the next wait, so nothing falls between asking and waiting.
    fn ask(&mut self) -> Result<oneshot::Receiver<Claimed>, BusError> {
        let (reply, claimed) = oneshot::channel();
        let ask = Ask {
            consumer: Arc::clone(&self.consumer),
            limit: self.limit,
            ack_wait: self.ack_wait,
            commands: self.commands.clone(),
        };
        self.commands.send(Command::Claim { ask, reply }).map_err(|_| unavailable())?;
        Ok(claimed)
    }

    async fn claim(&mut self) -> Result<(), BusError> {
        if self.asked.is_none() {
            self.until_woken().await;
            self.asked = Some(self.ask()?);
        }
        let Some(asked) = &mut self.asked else { return Ok(()) };
        let answer = asked.await;
        self.asked = None;
        let claimed = answer.map_err(|_| unavailable())?;
        self.took(claimed);
        Ok(())
    }

    fn took(&mut self, claimed: Claimed) {
        self.next_due = claimed.next_due;
        if claimed.held.len() == self.limit {
            self.wake.mark_changed();
        }
        self.ready.extend(claimed.held);
    }
}

#[async_trait]
impl Deliveries for EmbeddedDeliveries {
    async fn next(&mut self) -> Result<Delivery, BusError> {
        loop {
            if let Some(held) = self.ready.pop_front() {
                return Ok(held.into_delivery());
            }
            self.claim().await?;
        }
    }
}
