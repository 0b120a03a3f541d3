//! Takes deliveries off the bus, as many at once as the spec says, and comes back after every outage.

use std::{future::Future, time::Duration};

use tokio::{task::JoinSet, time::sleep};
use tokio_util::sync::CancellationToken;

use super::{ConsumeError, attempt::Attempts};
use crate::bus::{BusError, Deliveries, Delivery, Message};

const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// One durable consumer at work.
pub(super) struct Pump<H> {
    attempts: Attempts<H>,
    shutdown: CancellationToken,
    /// Aborted with the pump: an aborted consumer leaves no handler behind.
    in_flight: JoinSet<()>,
    outage: Outage,
}

impl<H, F> Pump<H>
where
    H: Fn(Message, u64) -> F + Clone + Send + Sync + 'static,
    F: Future<Output = Result<(), ConsumeError>> + Send + 'static,
{
    pub(super) fn new(attempts: Attempts<H>, shutdown: CancellationToken) -> Self {
        Self { attempts, shutdown, in_flight: JoinSet::new(), outage: Outage::default() }
    }

    pub(super) async fn run(mut self) {
        let shutdown = self.shutdown.clone();
        while !shutdown.is_cancelled() {
            let Err(error) = self.open_and_pump(&shutdown).await else { break };
            let pause = self.outage.pause_after(&self.attempts.spec().name, &error);
            shutdown.run_until_cancelled(sleep(pause)).await;
        }
        while self.in_flight.join_next().await.is_some() {}
    }

    /// Returns when shutdown is asked for; fails when the bus does.
    async fn open_and_pump(&mut self, shutdown: &CancellationToken) -> Result<(), BusError> {
        let opened = shutdown.run_until_cancelled(self.attempts.open()).await;
        let Some(mut deliveries) = opened.transpose()? else { return Ok(()) };
        self.pump(&mut *deliveries, shutdown).await
    }

    async fn pump(
        &mut self,
        deliveries: &mut dyn Deliveries,
        shutdown: &CancellationToken,
    ) -> Result<(), BusError> {
        loop {
            // Waited for only where there is no room, so that not each of them wakes this task.
            while self.in_flight.try_join_next().is_some() {}
            let has_room = self.in_flight.len() < self.attempts.spec().concurrency;
            tokio::select! {
                biased;
                () = shutdown.cancelled() => return Ok(()),
                Some(_) = self.in_flight.join_next(), if !has_room => {}
                delivery = deliveries.next(), if has_room => self.start(delivery?),
            }
        }
    }

    fn start(&mut self, delivery: Delivery) {
        self.outage.is_over(&self.attempts.spec().name);
        let attempts = self.attempts.clone();
        self.in_flight.spawn(async move { attempts.settle(delivery).await });
    }
}

/// Says once that the bus is away, and once that it is back.
#[derive(Default)]
struct Outage {
    failures: u32,
}

impl Outage {
    fn pause_after(&mut self, consumer: &str, error: &BusError) -> Duration {
        if self.failures == 0 {
            tracing::warn!(consumer, %error, "the consumer has lost the bus and goes on when it is back");
        }
        let pause = FIRST_PAUSE.saturating_mul(2_u32.saturating_pow(self.failures));
        self.failures = self.failures.saturating_add(1);
        pause.min(LONGEST_PAUSE)
    }

    fn is_over(&mut self, consumer: &str) {
        if std::mem::take(&mut self.failures) > 0 {
            tracing::info!(consumer, "the consumer takes messages again");
        }
    }
}
