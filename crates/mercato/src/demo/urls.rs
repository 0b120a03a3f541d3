//! Where the parts of a demo are.

use super::ports::Bound;

/// Addresses without a slash at the end.
#[derive(Debug, Clone)]
pub(super) struct Urls {
    pub(super) gateway: String,
    pub(super) payments: String,
    pub(super) admin: String,
    pub(super) shop: String,
    pub(super) stripe: String,
    /// The hosted app, with a slash at its end: it is what its manifest says.
    pub(super) hosted: String,
}

impl Urls {
    pub(super) fn of(bound: &Bound) -> std::io::Result<Self> {
        let url = |listener: &tokio::net::TcpListener| {
            listener.local_addr().map(|address| format!("http://{address}"))
        };
        Ok(Self {
            gateway: url(&bound.gateway)?,
            payments: url(&bound.payments)?,
            admin: url(&bound.admin)?,
            shop: url(&bound.shop)?,
            stripe: url(&bound.stripe)?,
            hosted: format!("{}/", url(&bound.hosted)?),
        })
    }
}
