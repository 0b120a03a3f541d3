//! What is counted of one durable consumer: its attempts, its dead letters, and how far it is behind.

use std::time::Duration;

use metrics::{Counter, Gauge, Histogram, Label};
use tokio_util::sync::CancellationToken;

use super::ConsumerSpec;
use crate::{
    bus::{Bus, BusError},
    measure,
    telemetry::durations::error_type,
};

const ATTEMPTS: &str = "messaging_process_duration_seconds";
/// As the OpenTelemetry conventions name it; every metric of a consumer has it.
const CONSUMER: &str = "messaging_consumer_group_name";

/// Of its attempts; kept, so that no message looks them up by name.
pub(super) struct Meters {
    pub(super) done: Histogram,
    pub(super) retried: Histogram,
    pub(super) rejected: Histogram,
    pub(super) crashed: Histogram,
    pub(super) dead_letters: Counter,
}

impl Meters {
    pub(super) fn new(system: &'static str, consumer: &str) -> Self {
        let attempts = |error: Option<&'static str>| {
            let mut labels = vec![
                Label::from_static_parts("messaging_system", system),
                Label::from_static_parts("messaging_operation_name", "process"),
                Label::new(CONSUMER, consumer.to_owned()),
            ];
            labels.extend(error_type(error));
            metrics::histogram!(ATTEMPTS, labels)
        };
        Self {
            done: attempts(None),
            retried: attempts(Some("transient")),
            rejected: attempts(Some("rejected")),
            crashed: attempts(Some("crashed")),
            dead_letters: metrics::counter!("bus_dead_letters_total", CONSUMER => consumer.to_owned()),
        }
    }
}

/// Looks how far the consumer is behind, until `shutdown`.
pub(super) async fn keep_measuring_lag(bus: Bus, spec: ConsumerSpec, shutdown: CancellationToken) {
    let gauge = |name: &'static str| metrics::gauge!(name, CONSUMER => spec.name.clone());
    let pending = gauge("bus_consumer_pending_messages");
    let outstanding = gauge("bus_consumer_outstanding_messages");
    let look = || look(&bus, &spec, &pending, &outstanding);
    measure::keep("consumer", shutdown, look).await;
}

#[expect(clippy::cast_precision_loss, reason = "numbers of messages")]
async fn look(bus: &Bus, spec: &ConsumerSpec, pending: &Gauge, outstanding: &Gauge) -> Result<(), BusError> {
    let lag = bus.lag(spec).await?;
    pending.set(lag.pending as f64);
    outstanding.set(lag.outstanding as f64);
    Ok(())
}

/// Records how long an attempt took.
pub(super) fn record(histogram: &Histogram, took: Duration) {
    histogram.record(took.as_secs_f64());
}
