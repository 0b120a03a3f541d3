//! What is counted, there from the start: a counter that appears with its first event has no rate for it.

use metrics::Counter;
use platform::{AppResult, Shutdown, measure};

use super::App;
use crate::{
    domain::{
        installation::{Operation, Outcome, State},
        license::Status,
        verify::Code,
    },
    store::licenses,
};

/// Kept, so that no question looks them up by name.
pub(crate) struct Meters {
    /// By the code's place.
    verified: [Counter; Code::ALL.len()],
    pub(crate) seats_taken: Counter,
    pub(crate) issued: Counter,
    pub(crate) unknown_buyers: Counter,
}

impl Meters {
    pub(crate) fn new() -> Self {
        for state in State::NAMES {
            metrics::counter!("license_installations_total", "state" => state).increment(0);
        }
        for operation in Operation::ALL {
            for outcome in Outcome::ALL {
                let labels = [("operation", operation.as_str()), ("outcome", outcome.as_str())];
                metrics::counter!("license_callbacks_settled_total", &labels).increment(0);
            }
        }
        Self {
            verified: Code::ALL
                .map(|code| metrics::counter!("license_verified_total", "code" => code.as_str())),
            seats_taken: metrics::counter!("license_seats_taken_total"),
            issued: metrics::counter!("license_issued_total"),
            unknown_buyers: metrics::counter!("license_unknown_buyer_total"),
        }
    }

    pub(crate) fn verified(&self, code: Code) {
        self.verified[code as usize].increment(1);
    }
}

impl App {
    /// Looks until `shutdown` how many licences there are.
    pub(crate) async fn keep_measuring(self, shutdown: Shutdown) {
        measure::keep("licenses", shutdown, || self.measure_licenses()).await;
    }

    #[expect(clippy::cast_precision_loss, reason = "numbers of licences")]
    async fn measure_licenses(&self) -> AppResult<()> {
        let counts = licenses::count_by_status(self.db.read()).await?;
        for (status, name) in Status::ALL {
            let count = counts.iter().find(|(counted, _)| *counted == status).map_or(0, |(_, count)| *count);
            metrics::gauge!("license_licenses", "status" => name).set(count as f64);
        }
        Ok(())
    }
}
