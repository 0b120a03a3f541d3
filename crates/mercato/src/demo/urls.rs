//! Where the parts of a demo are.

use super::ports::Bound;

/// Addresses without a slash at the end.
#[derive(Debug, Clone)]
pub(super) struct Urls {
    pub(super) gateway: String,
    pub(super) payments: String,
    pub(super) admin: String,
    pub(super) shop: String,
    /// The shop, as webhooks reach it.
    pub(super) shop_for_services: String,
    pub(super) stripe: String,
    /// The hosted app, with a slash at its end: it is what its manifest says.
    pub(super) hosted: String,
    /// The same, as callbacks reach it.
    pub(super) hosted_for_services: String,
}

impl Urls {
    pub(super) fn of(bound: &Bound) -> std::io::Result<Self> {
        let url = |listener: &tokio::net::TcpListener| {
            listener.local_addr().map(|address| format!("http://{address}"))
        };
        let (shop, hosted) = (url(&bound.shop)?, format!("{}/", url(&bound.hosted)?));
        Ok(Self {
            gateway: url(&bound.gateway)?,
            payments: url(&bound.payments)?,
            admin: url(&bound.admin)?,
            shop_for_services: shop.clone(),
            shop,
            stripe: url(&bound.stripe)?,
            hosted_for_services: hosted.clone(),
            hosted,
        })
    }
}
