//! The five services, by their names.

use std::fmt;

/// One of the five processes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Service {
    /// REST in front.
    Gateway,
    /// Vendors, apps, releases.
    Catalog,
    /// Instances and licences.
    License,
    /// Checkout, and Stripe's events.
    Payments,
    /// Webhooks to shops.
    Dispatcher,
}

impl Service {
    /// All of them.
    pub const ALL: [Self; 5] =
        [Self::Gateway, Self::Catalog, Self::License, Self::Payments, Self::Dispatcher];

    /// The name of its binary, which is also its name in traces.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Gateway => "gateway",
            Self::Catalog => "catalog-svc",
            Self::License => "license-svc",
            Self::Payments => "payments-svc",
            Self::Dispatcher => "webhook-dispatcher",
        }
    }

    /// Whether it keeps rows, and so has a schema to migrate.
    #[must_use]
    pub fn has_store(self) -> bool {
        self != Self::Gateway
    }
}

impl fmt::Display for Service {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.name())
    }
}
