//! What is counted, and the gauges: what is there, looked at now and then.

use platform::{AppResult, Shutdown, measure};
use wire::open2b::Operation;

use super::App;
use crate::{
    domain::{
        callback::Ending,
        circuit,
        delivery::State,
        event,
        kind::{CALLBACK, WEBHOOK},
        reason,
        replay::Skip,
    },
    store::{delivery, stats},
};

/// What became of a result that left its delivery as it was, or that goes on.
const UNSETTLED: [&str; 2] = [super::record::FAILED, super::record::LATE];

/// Everything, from the start: a counter that appears with its first event has no rate for it.
pub(super) fn register() {
    for kind in [WEBHOOK, CALLBACK] {
        for outcome in
            [State::Delivered, State::Dead, State::Superseded].map(State::as_str).iter().chain(&UNSETTLED)
        {
            metrics::counter!("webhook_deliveries_total", "kind" => kind, "outcome" => *outcome).increment(0);
        }
    }
    for reason in reason::classes() {
        metrics::counter!("webhook_dead_letters_total", "reason" => reason).increment(0);
    }
    for event in event::EVENTS.into_iter().chain(Operation::ALL.map(Operation::as_str)) {
        metrics::counter!("webhook_messages_total", "event" => event).increment(0);
    }
    for event in event::OPERATIONS {
        metrics::counter!("webhook_operational_messages_total", "event" => event).increment(0);
    }
    for operation in Operation::ALL.map(Operation::as_str) {
        for ending in Ending::ALL.map(Ending::as_str) {
            metrics::counter!("callback_settlements_total", "operation" => operation, "outcome" => ending)
                .increment(0);
        }
    }
    for (_, state) in circuit::STATES {
        metrics::counter!("webhook_circuit_changes_total", "state" => state).increment(0);
        metrics::gauge!("webhook_endpoints", "circuit" => state).set(0.0);
    }
    for skip in Skip::ALL.map(Skip::as_str) {
        metrics::counter!("webhook_replay_skipped_total", "reason" => skip).increment(0);
    }
    for what in ["deliveries", "attempts", "messages", "bodies", "replays"] {
        metrics::counter!("webhook_forgotten_total", "what" => what).increment(0);
    }
    metrics::gauge!("webhook_endpoints_disabled").set(0.0);
    metrics::counter!("webhook_replayed_total").increment(0);
    drop(metrics::histogram!("webhook_forgetting_seconds"));
}

impl App {
    /// Looks until `shutdown`.
    pub async fn keep_measuring(self, shutdown: Shutdown) {
        measure::keep("deliveries", shutdown, || self.measure()).await;
    }

    #[expect(clippy::cast_precision_loss, reason = "counts below 100,000, and an age in milliseconds")]
    async fn measure(&self) -> AppResult<()> {
        let (db, now_ms) = (self.db.read(), self.clock.now_ms());
        let stats = stats::read(db, now_ms).await?;
        let (due, waiting) = (stats.due, stats.waiting);
        for (state, count) in [("due", due), ("waiting", waiting), ("held", stats.held), ("dead", stats.dead)]
        {
            metrics::gauge!("webhook_deliveries_in_state", "state" => state).set(count as f64);
        }
        let (active, throttled) = (stats.active, stats.throttled);
        let (unverified, disabled) = (stats.unverified, stats.disabled);
        for (state, count) in
            [("active", active), ("throttled", throttled), ("unverified", unverified), ("disabled", disabled)]
        {
            metrics::gauge!("webhook_endpoints_in_state", "state" => state).set(count as f64);
        }
        metrics::gauge!("webhook_replays_running").set(stats.replays as f64);
        let oldest_ms = delivery::oldest_due_ms(db, now_ms).await?.unwrap_or(now_ms);
        metrics::gauge!("webhook_oldest_due_seconds").set((now_ms - oldest_ms) as f64 / 1000.0);
        Ok(())
    }
}
