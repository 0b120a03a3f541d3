use std::{
    io,
    net::{IpAddr, SocketAddr},
};

use tokio::net::lookup_host;
use url::Host;

use crate::domain::{address::AddressPolicy, target::Origin};

/// A name with more addresses than this is no better reached.
const MOST: usize = 8;

/// Why there is no address to connect to.
#[derive(Debug, thiserror::Error)]
pub(super) enum NoAddress {
    #[error("the name has no address that may be called")]
    Forbidden,
    #[error("the name does not resolve")]
    Unknown(#[source] io::Error),
}

/// The addresses of an origin that may be called. Asked as part of each connect, and what it answers is what is connected
/// to: a name that resolves differently the second time gains nothing, nor does an address in the URL itself.
pub(super) async fn permitted(policy: &AddressPolicy, origin: &Origin) -> Result<Vec<SocketAddr>, NoAddress> {
    let at = |address: IpAddr| SocketAddr::new(address, origin.port);
    let found = match &origin.host {
        Host::Ipv4(address) => vec![at(IpAddr::V4(*address))],
        Host::Ipv6(address) => vec![at(IpAddr::V6(*address))],
        Host::Domain(name) => {
            lookup_host((name.as_str(), origin.port)).await.map_err(NoAddress::Unknown)?.collect()
        }
    };
    let may = |address: &SocketAddr| policy.permits(origin.scheme, address.ip());
    let permitted: Vec<_> = found.into_iter().filter(may).take(MOST).collect();
    if permitted.is_empty() { Err(NoAddress::Forbidden) } else { Ok(permitted) }
}
