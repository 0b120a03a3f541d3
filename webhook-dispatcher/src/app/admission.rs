//! Which of the claimed deliveries may be attempted, by the circuits of their endpoints.

use std::collections::{BTreeMap, HashMap};

use platform::{AppResult, clock::millis};

use super::{App, failures::count_circuit};
use crate::{
    domain::circuit::{Admission, State},
    store::{
        delivery, endpoint,
        lease::{self, Lease},
    },
};

/// A claimed delivery that may be attempted.
pub(super) struct Admitted {
    pub(super) delivery: delivery::Model,
    /// Its attempt finds out whether the endpoint's circuit may close.
    pub(super) is_probe: bool,
}

impl App {
    /// What is claimed for an endpoint whose circuit is not closed waits, but for one delivery that probes when its
    /// cool-down is over.
    pub(super) async fn admitted(
        &self,
        claimed: Vec<delivery::Model>,
        endpoints: &HashMap<String, endpoint::Model>,
    ) -> AppResult<Vec<Admitted>> {
        let is_closed = |one: &delivery::Model| {
            endpoints.get(&one.endpoint_id).is_none_or(|endpoint| endpoint.health().circuit.is_closed())
        };
        let (free, shut): (Vec<_>, Vec<_>) = claimed.into_iter().partition(is_closed);
        let mut admitted: Vec<_> = free.into_iter().map(Admitted::free).collect();
        let mut by_endpoint: BTreeMap<String, Vec<delivery::Model>> = BTreeMap::new();
        for delivery in shut {
            by_endpoint.entry(delivery.endpoint_id.clone()).or_default().push(delivery);
        }
        for (endpoint_id, claimed) in by_endpoint {
            admitted.extend(self.probe(&endpoint_id, claimed).await?);
        }
        Ok(admitted)
    }

    /// The endpoint's row decides who probes, so that of all replicas one does. Everything else that is pending for it
    /// waits until the probe has told.
    async fn probe(&self, endpoint_id: &str, claimed: Vec<delivery::Model>) -> AppResult<Vec<Admitted>> {
        let (tx, now_ms) = (self.db.begin().await?, self.clock.now_ms());
        let Some(endpoint) = endpoint::find(&*tx, endpoint_id).await? else { return Ok(Vec::new()) };
        let mut health = endpoint.health();
        let (probe, rest, until_ms) = match health.circuit.admits(now_ms) {
            Admission::All => return Ok(claimed.into_iter().map(Admitted::free).collect()),
            Admission::Wait(until_ms) => (None, claimed, until_ms),
            Admission::Probe => {
                let mut rest = claimed.into_iter();
                (rest.next(), rest.collect(), now_ms + millis(self.rules.lease))
            }
        };
        if probe.is_some() {
            health.circuit = health.circuit.probed(until_ms);
            let probed = endpoint.with(health);
            endpoint::update(&*tx, &probed).await?;
            self.announce_changed(&*tx, &probed, now_ms).await?;
        }
        delivery::postpone(&*tx, endpoint_id, until_ms).await?;
        let leases: Vec<_> = rest.iter().map(Lease::of).collect();
        lease::give_back(&*tx, &leases).await?;
        tx.commit().await?;
        if probe.is_some() {
            count_circuit(State::HalfOpen);
            self.reread_endpoint(endpoint_id).await;
        }
        Ok(probe.into_iter().map(|delivery| Admitted { delivery, is_probe: true }).collect())
    }
}

impl Admitted {
    fn free(delivery: delivery::Model) -> Self {
        Self { delivery, is_probe: false }
    }
}
