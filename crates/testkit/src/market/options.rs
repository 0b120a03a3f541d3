//! What a test may want different.

use std::path::PathBuf;

use super::Service;

/// How a marketplace is set up; [`Options::default`] suits most tests.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// Where spans go; nowhere without it.
    pub otlp_endpoint: Option<String>,
    /// How much one caller may ask.
    pub limits: Limits,
    /// When webhooks are tried again.
    pub delivery: Delivery,
    /// A file that keeps the state of the stand-in for Stripe; in memory without it.
    pub stripe_data: Option<PathBuf>,
    /// How shops reach the gateway, where that is a proxy in front of it; stands in download URLs.
    pub public_url: Option<String>,
    /// Further variables of one service's environment. In one process all of them are set for that process.
    pub vars: Vec<(Service, String, String)>,
}

impl Options {
    /// Adds a variable to one service's environment.
    #[must_use]
    pub fn var(mut self, service: Service, name: &str, value: &str) -> Self {
        self.vars.push((service, name.to_owned(), value.to_owned()));
        self
    }

    /// Sends spans to this collector.
    #[must_use]
    pub fn traced_to(mut self, otlp_endpoint: String) -> Self {
        self.otlp_endpoint = Some(otlp_endpoint);
        self
    }
}

/// How much one caller may ask.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Limits {
    /// So much that no test meets a limit by accident.
    #[default]
    Lifted,
    /// What the gateway does when nothing is configured.
    AsShipped,
}

/// When webhooks are tried again.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Delivery {
    /// After seconds instead of minutes; a lease is over soon after its holder was killed.
    #[default]
    Quick,
    /// The schedule of contracts.md section 3.
    AsShipped,
}

pub(super) type Vars = Vec<(String, String)>;

pub(super) fn var(name: &str, value: &(impl ToString + ?Sized)) -> (String, String) {
    (name.to_owned(), value.to_string())
}

impl Limits {
    pub(super) fn vars(self) -> Vars {
        let lifted = ["KEY", "ADDRESS", "VERIFY_WITHOUT_KEY", "INTROSPECT"].into_iter().flat_map(|limit| {
            [
                (format!("MERCATO__LIMITS__{limit}__REQUESTS"), "1000000000".to_owned()),
                (format!("MERCATO__LIMITS__{limit}__WINDOW_SECONDS"), "60".to_owned()),
            ]
        });
        if self == Self::Lifted { lifted.collect() } else { Vec::new() }
    }
}

impl Delivery {
    /// Webhooks may always go to the loopback address: that is where a test's shops are.
    pub(super) fn vars(self) -> Vars {
        let mut vars = vec![var("MERCATO__DELIVERY__ALLOW_CIDRS", "[\"127.0.0.0/8\"]")];
        if self == Self::Quick {
            vars.extend([
                var("MERCATO__DELIVERY__SCHEDULE_SECONDS", "[1, 1, 2, 4, 8]"),
                var("MERCATO__DELIVERY__TIMEOUT_SECONDS", "3"),
                var("MERCATO__DELIVERY__LEASE_SECONDS", "9"),
            ]);
        }
        vars
    }
}
