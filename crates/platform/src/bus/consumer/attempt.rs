//! One attempt to handle one message, and how it is settled.

use std::{
    collections::HashMap,
    future::Future,
    panic::AssertUnwindSafe,
    pin::pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    thread,
};

use futures::FutureExt as _;
use tokio::time::{Instant, timeout};
use tracing::{Instrument, Span, field::Empty};

use super::{
    ConsumeError, ConsumerSpec,
    meters::{self, Meters},
};
use crate::{
    bus::{Bus, BusError, DeadLetter, Deliveries, Delivery, Message},
    clock::Clock,
    ids,
};

/// What became of a handler.
enum Outcome {
    Done,
    Retry(crate::error::AppError),
    Reject(String),
    Crashed,
}

impl Meters {
    fn of(&self, outcome: &Outcome) -> &metrics::Histogram {
        match outcome {
            Outcome::Done => &self.done,
            Outcome::Retry(_) => &self.retried,
            Outcome::Reject(_) => &self.rejected,
            Outcome::Crashed => &self.crashed,
        }
    }
}

/// What every attempt of one consumer shares.
pub(super) struct Attempts<H> {
    shared: Arc<Shared<H>>,
}

struct Shared<H> {
    bus: Bus,
    spec: ConsumerSpec,
    handler: H,
    meters: Meters,
    /// Panics by message id, in this process. An entry lives until its message is settled.
    crashes: Mutex<HashMap<String, u32>>,
}

impl<H> Clone for Attempts<H> {
    fn clone(&self) -> Self {
        Self { shared: Arc::clone(&self.shared) }
    }
}

impl<H, F> Attempts<H>
where
    H: Fn(Message, u64) -> F + Clone + Send + Sync + 'static,
    F: Future<Output = Result<(), ConsumeError>> + Send + 'static,
{
    pub(super) fn new(bus: Bus, spec: ConsumerSpec, handler: H) -> Self {
        let meters = Meters::new(bus.system(), &spec.name);
        Self { shared: Arc::new(Shared { bus, spec, handler, meters, crashes: Mutex::default() }) }
    }

    pub(super) fn spec(&self) -> &ConsumerSpec {
        &self.shared.spec
    }

    pub(super) async fn open(&self) -> Result<Box<dyn Deliveries>, BusError> {
        self.shared.bus.deliveries(&self.shared.spec).await
    }

    /// Handles the message and settles it. What cannot be settled is handed out again after `ack_wait`.
    pub(super) async fn settle(&self, delivery: Delivery) {
        let span = self.shared.span(&delivery.message);
        let begun = Instant::now();
        let outcome = self.handle(&delivery, &span).await;
        meters::record(self.shared.meters.of(&outcome), begun.elapsed());
        let settled = self.shared.settle(&delivery, outcome).instrument(span).await;
        if let Err(error) = settled {
            let consumer = &self.shared.spec.name;
            tracing::warn!(consumer, id = delivery.message.id, %error, "a message could not be settled and will come again");
        }
    }

    /// Runs the handler; its panic ends nothing but itself.
    async fn handle(&self, delivery: &Delivery, span: &Span) -> Outcome {
        if delivery.message.id.is_empty() {
            // Inboxes know events by their id: without one, only the first of all such messages would take effect.
            return Outcome::Reject(
                "the message has no id; publish it with the header Nats-Msg-Id".to_owned(),
            );
        }
        let work = (self.shared.handler)(delivery.message.clone(), delivery.count);
        // What it shares with others is behind locks that outlive a panic, or is dropped with it.
        let mut work = pin!(AssertUnwindSafe(work.instrument(span.clone())).catch_unwind());
        loop {
            match timeout(self.shared.spec.ack_wait / 2, &mut work).await {
                Ok(result) => return outcome_of(result),
                Err(_) => keep(delivery).await,
            }
        }
    }
}

fn outcome_of(result: thread::Result<Result<(), ConsumeError>>) -> Outcome {
    match result {
        Ok(Ok(())) => Outcome::Done,
        Ok(Err(ConsumeError::Retry(error))) => Outcome::Retry(error),
        Ok(Err(ConsumeError::Reject(reason))) => Outcome::Reject(reason),
        Err(_) => Outcome::Crashed,
    }
}

/// A failure here costs a repeated hand-out at worst, which every handler stands.
async fn keep(delivery: &Delivery) {
    if let Err(error) = delivery.settle.in_progress().await {
        tracing::debug!(id = delivery.message.id, %error, "the acknowledgement wait could not be renewed");
    }
}

impl<H> Shared<H> {
    /// The span has its parent before anything enters it: a span that has started takes none.
    fn span(&self, message: &Message) -> Span {
        let span = tracing::trace_span!(
            target: "otel::tracing",
            "consume",
            otel.name = format!("consume {}", message.subject),
            otel.kind = "consumer",
            otel.status_code = Empty,
            messaging.system = self.bus.system(),
            messaging.operation.type = "process",
            messaging.destination.name = message.subject,
            messaging.consumer.group.name = self.spec.name,
            messaging.message.id = message.id,
            mercato.event.age_ms = Empty,
        );
        if !span.is_disabled() {
            // What a span tells is the machine's time, as its own begin and end are.
            let made_at_ms = ids::made_at_ms(&message.id);
            span.record("mercato.event.age_ms", made_at_ms.map(|at_ms| Clock::system().now_ms() - at_ms));
        }
        message.trace.set_parent(&span);
        span
    }

    async fn settle(&self, delivery: &Delivery, outcome: Outcome) -> Result<(), BusError> {
        if !matches!(outcome, Outcome::Done) {
            Span::current().record("otel.status_code", "ERROR");
        }
        match outcome {
            Outcome::Done => self.done(delivery).await,
            Outcome::Retry(error) => {
                let consumer = &self.spec.name;
                tracing::warn!(consumer, id = delivery.message.id, ?error, "a message is tried again later");
                self.retry(delivery).await
            }
            Outcome::Reject(reason) => self.bury(delivery, &reason).await,
            Outcome::Crashed => self.crashed(delivery).await,
        }
    }

    async fn done(&self, delivery: &Delivery) -> Result<(), BusError> {
        self.forget(&delivery.message.id);
        delivery.settle.ack().await
    }

    async fn retry(&self, delivery: &Delivery) -> Result<(), BusError> {
        delivery.settle.retry(self.spec.wait_after(delivery.count)).await
    }

    async fn crashed(&self, delivery: &Delivery) -> Result<(), BusError> {
        let crashes = self.note_crash(&delivery.message.id);
        tracing::error!(
            consumer = self.spec.name,
            id = delivery.message.id,
            crashes,
            "a message crashed its consumer"
        );
        if crashes < self.spec.max_crashes {
            return self.retry(delivery).await;
        }
        self.bury(delivery, &format!("crashed its consumer {crashes} times")).await
    }

    /// The letter is stored before the message ends: a crash between the two buries it twice, never not at all.
    async fn bury(&self, delivery: &Delivery, reason: &str) -> Result<(), BusError> {
        let letter = self.letter(delivery, reason);
        if let Err(error) = self.bus.bury(&letter).await {
            tracing::warn!(consumer = letter.consumer, id = letter.message.id, %error, "a dead letter could not be stored");
            return delivery.settle.retry(self.spec.wait_after(delivery.count)).await;
        }
        tracing::error!(
            consumer = letter.consumer,
            id = letter.message.id,
            reason = letter.reason,
            "a message went to the dead letters"
        );
        self.meters.dead_letters.increment(1);
        self.forget(&delivery.message.id);
        delivery.settle.ack().await
    }

    fn letter(&self, delivery: &Delivery, reason: &str) -> DeadLetter {
        DeadLetter {
            message: delivery.message.clone(),
            consumer: self.spec.name.clone(),
            reason: reason.split_whitespace().collect::<Vec<_>>().join(" "),
        }
    }

    fn note_crash(&self, id: &str) -> u32 {
        let mut crashes = self.crashes();
        let count = crashes.entry(id.to_owned()).or_default();
        *count = count.saturating_add(1);
        *count
    }

    fn forget(&self, id: &str) {
        self.crashes().remove(id);
    }

    fn crashes(&self) -> MutexGuard<'_, HashMap<String, u32>> {
        self.crashes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
