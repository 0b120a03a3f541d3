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
    chosen(policy, origin, found)
}

fn chosen(
    policy: &AddressPolicy,
    origin: &Origin,
    found: Vec<SocketAddr>,
) -> Result<Vec<SocketAddr>, NoAddress> {
    let may = |address: &SocketAddr| policy.permits(origin.scheme, *address);
    let permitted: Vec<_> = found.into_iter().filter(may).take(MOST).collect();
    if permitted.is_empty() { Err(NoAddress::Forbidden) } else { Ok(permitted) }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::domain::target::BaseUrl;

    /// What becomes of a name's addresses, at port 443.
    fn chosen_of(found: &[&str]) -> Option<Vec<String>> {
        let origin = BaseUrl::parse("https://shop.example").unwrap().of_event("e").unwrap().origin;
        let found = found.iter().map(|address| SocketAddr::new(address.parse().unwrap(), 443)).collect();
        let chosen = chosen(&AddressPolicy::default(), &origin, found).ok()?;
        Some(chosen.iter().map(|address| address.ip().to_string()).collect())
    }

    /// Each connection asks anew, and is made to an address of the answer that was checked.
    #[test]
    fn a_name_that_changes_between_look_ups_gains_nothing() {
        assert_eq!(chosen_of(&["8.8.8.8"]).unwrap(), ["8.8.8.8"]);
        for second in ["127.0.0.1", "169.254.169.254", "::ffff:10.0.0.1", "64:ff9b::7f00:1", "fd00:ec2::254"]
        {
            assert_eq!(chosen_of(&[second]), None, "{second}");
            assert_eq!(chosen_of(&[second, "8.8.8.8", second]).unwrap(), ["8.8.8.8"], "{second}");
        }
    }

    #[test]
    fn a_name_of_very_many_addresses_costs_no_more_than_a_few_connections() {
        let many: Vec<String> = (0..500).map(|n| format!("8.8.{}.{}", n / 250, n % 250)).collect();
        let many: Vec<&str> = many.iter().map(String::as_str).collect();
        assert_eq!(chosen_of(&many).unwrap().len(), MOST);
    }
}
