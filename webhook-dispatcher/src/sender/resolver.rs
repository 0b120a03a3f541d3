use std::{io, net::SocketAddr, sync::Arc};

use reqwest::dns::{Addrs, Name, Resolve, Resolving};

use crate::domain::address::{AddressPolicy, Scheme};

/// Resolves names and drops every address that may not be called. It is asked as part of each connect, so a name
/// that resolves differently the second time gains nothing.
pub(super) struct PublicResolver {
    pub(super) policy: Arc<AddressPolicy>,
    pub(super) scheme: Scheme,
}

/// Why there is no address to connect to.
#[derive(Debug, thiserror::Error)]
pub(super) enum NoAddress {
    #[error("the name has no address that may be called")]
    Forbidden,
    #[error("the name does not resolve")]
    Unknown(#[source] io::Error),
}

impl Resolve for PublicResolver {
    fn resolve(&self, name: Name) -> Resolving {
        let (policy, scheme) = (Arc::clone(&self.policy), self.scheme);
        Box::pin(async move {
            let found = tokio::net::lookup_host((name.as_str(), 0)).await.map_err(NoAddress::Unknown)?;
            let permitted: Vec<SocketAddr> =
                found.filter(|address| policy.permits(scheme, address.ip())).collect();
            if permitted.is_empty() {
                return Err(NoAddress::Forbidden.into());
            }
            Ok(Box::new(permitted.into_iter()) as Addrs)
        })
    }
}
