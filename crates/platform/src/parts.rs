//! What a service is handed to run on.

use crate::{Clock, Ids, Random, admin::Readiness, bus::Bus};

/// The parts that every service runs on. A service adds its own store and listeners.
#[derive(Clone)]
pub struct Parts {
    /// The time.
    pub clock: Clock,
    /// Random bytes.
    pub random: Random,
    /// The bus.
    pub bus: Bus,
    /// Where the service adds its readiness checks.
    pub readiness: Readiness,
}

impl Parts {
    /// Parts of this machine over the given bus, whose readiness is checked.
    #[must_use]
    pub fn new(bus: Bus) -> Self {
        let readiness = Readiness::default();
        let checked = bus.clone();
        readiness.add("bus", move || {
            let bus = checked.clone();
            async move { bus.is_ready().await }
        });
        Self { clock: Clock::system(), random: Random::system(), bus, readiness }
    }

    /// Makes ids from these parts' clock and randomness.
    #[must_use]
    pub fn ids(&self) -> Ids {
        Ids::new(self.clock.clone(), self.random.clone())
    }
}
