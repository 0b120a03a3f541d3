//! What a durable `JetStream` consumer is handed, and how it settles that.

use std::time::Duration;

use async_nats::{
    Client, Subject,
    jetstream::{self, AckKind, consumer::pull},
};
use async_trait::async_trait;
use futures::{FutureExt, StreamExt};
use tokio::runtime::Handle;

use super::{away, codec};
use crate::bus::{BusError, Deliveries, Delivery, Settle};

/// The messages of one durable pull consumer.
pub(super) struct JetStreamDeliveries {
    client: Client,
    messages: pull::Stream,
    confirms_acks: bool,
}

impl JetStreamDeliveries {
    pub(super) fn new(client: Client, messages: pull::Stream, confirms_acks: bool) -> Self {
        Self { client, messages, confirms_acks }
    }

    fn delivery(&self, message: &jetstream::Message) -> Result<Delivery, BusError> {
        let count = u64::try_from(message.info().map_err(away)?.delivered).unwrap_or(1);
        let settle = self.ticket(message)?;
        Ok(Delivery { message: codec::message(message), count, settle: Box::new(settle) })
    }

    fn ticket(&self, message: &jetstream::Message) -> Result<Ticket, BusError> {
        let reply = message.reply.clone().ok_or_else(|| away("a message that cannot be acknowledged"))?;
        Ok(Ticket { client: self.client.clone(), reply, confirms_acks: self.confirms_acks })
    }
}

#[async_trait]
impl Deliveries for JetStreamDeliveries {
    async fn next(&mut self) -> Result<Delivery, BusError> {
        match self.messages.next().await {
            Some(Ok(message)) => self.delivery(&message),
            Some(Err(error)) => Err(away(error)),
            None => Err(away("the consumer's messages have ended")),
        }
    }
}

impl Drop for JetStreamDeliveries {
    /// What was fetched and never handed on goes back at once, instead of after the acknowledgement wait.
    fn drop(&mut self) {
        let mut unused = Vec::new();
        while let Some(Some(Ok(message))) = self.messages.next().now_or_never() {
            unused.extend(self.ticket(&message));
        }
        let Ok(runtime) = Handle::try_current() else { return };
        runtime.spawn(async move {
            for ticket in unused {
                // Best effort: the wait is what holds the promise.
                let _ = ticket.retry(Duration::ZERO).await;
            }
        });
    }
}

/// The right to settle one hand-out.
struct Ticket {
    client: Client,
    reply: Subject,
    confirms_acks: bool,
}

impl Ticket {
    /// Asks for the server's answer (a double ack), so that a lost acknowledgement is an error here.
    async fn settle(&self, kind: AckKind) -> Result<(), BusError> {
        self.client.request(self.reply.clone(), kind.into()).await.map(drop).map_err(away)
    }
}

#[async_trait]
impl Settle for Ticket {
    async fn ack(&self) -> Result<(), BusError> {
        if self.confirms_acks {
            return self.settle(AckKind::Ack).await;
        }
        self.client.publish(self.reply.clone(), AckKind::Ack.into()).await.map_err(away)
    }

    async fn retry(&self, delay: Duration) -> Result<(), BusError> {
        self.settle(AckKind::Nak((!delay.is_zero()).then_some(delay))).await
    }

    async fn in_progress(&self) -> Result<(), BusError> {
        self.settle(AckKind::Progress).await
    }
}
