//! The address of a caller behind proxies.

use std::net::IpAddr;

use ipnet::IpNet;

/// The nearest address that is not one of our proxies: `X-Forwarded-For` is believed only as far as they wrote it.
pub(crate) fn client_address(peer: IpAddr, forwarded_for: Option<&str>, trusted: &[IpNet]) -> IpAddr {
    let is_trusted = |address: &IpAddr| trusted.iter().any(|net| net.contains(address));
    if !is_trusted(&peer) {
        return peer;
    }
    let hops =
        forwarded_for.unwrap_or_default().rsplit(',').map_while(|hop| hop.trim().parse::<IpAddr>().ok());
    let mut nearest = peer;
    for hop in hops {
        nearest = hop;
        if !is_trusted(&hop) {
            break;
        }
    }
    nearest
}

/// Under which name an address is counted: whoever has one IPv6 address has a whole /64 of them.
pub(crate) fn counted_as(address: IpAddr) -> String {
    match address.to_canonical() {
        IpAddr::V4(address) => address.to_string(),
        IpAddr::V6(address) => format!("{:x}", u128::from(address) >> 64),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(peer: &str, forwarded: Option<&str>) -> String {
        client_address(peer.parse().unwrap(), forwarded, &["10.0.0.0/8".parse().unwrap()]).to_string()
    }

    #[test]
    fn a_network_of_ipv6_addresses_counts_as_one_caller() {
        let name = |text: &str| counted_as(text.parse().unwrap());
        assert_eq!(name("2001:db8:1:2::1"), name("2001:db8:1:2:ffff::9"));
        assert_ne!(name("2001:db8:1:2::1"), name("2001:db8:1:3::1"));
        assert_eq!(name("::ffff:203.0.113.9"), name("203.0.113.9"));
    }

    #[test]
    fn a_header_is_believed_only_from_our_own_proxies() {
        assert_eq!(address("203.0.113.9", Some("198.51.100.1")), "203.0.113.9");
        assert_eq!(address("10.0.0.1", Some("198.51.100.1")), "198.51.100.1");
        assert_eq!(address("10.0.0.1", Some("1.1.1.1, 198.51.100.1, 10.0.0.2")), "198.51.100.1");
        assert_eq!(address("10.0.0.1", Some("rubbish")), "10.0.0.1");
        assert_eq!(address("10.0.0.1", None), "10.0.0.1");
    }
}
