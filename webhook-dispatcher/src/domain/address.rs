//! Which addresses may be called. A shop names its own URL, so without this rule it could make us call our own inside
//! (OWASP: server-side request forgery).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};

/// How a URL is called.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Scheme {
    /// In clear text.
    Http,
    /// Over TLS.
    Https,
}

impl Scheme {
    /// As a URL names it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Https => "https",
        }
    }
}

/// Where the web is served (IANA: http, https, http-alt, and what is customary for https). At another port of a public
/// address there may be anything, and a request of ours could be a command to it.
const WEB_PORTS: [u16; 4] = [80, 443, 8080, 8443];

/// The rule for one process: public addresses over TLS at ports of the web, and what the operator allows beyond that.
#[derive(Debug, Clone, Default)]
pub struct AddressPolicy {
    /// Networks that may be called although they are not public, with or without TLS, at any port.
    pub allow: Vec<IpNet>,
    /// Whether public addresses may be called without TLS.
    pub allow_http: bool,
    /// Ports of public addresses that may be called although they are not the web's.
    pub allow_ports: Vec<u16>,
}

impl AddressPolicy {
    /// Whether a connection to this address may be made.
    #[must_use]
    pub fn permits(&self, scheme: Scheme, address: SocketAddr) -> bool {
        let (ip, port) = (address.ip().to_canonical(), address.port());
        if self.allow.iter().any(|net| net.contains(&ip)) {
            return true;
        }
        let is_web = WEB_PORTS.contains(&port) || self.allow_ports.contains(&port);
        is_web && (scheme == Scheme::Https || self.allow_http) && is_public(ip)
    }
}

/// IPv4 networks that are not on the public internet (IANA's special-purpose registry, RFC 6890 and its updates).
const NOT_PUBLIC_V4: [Ipv4Net; 16] = [
    v4([0, 0, 0, 0], 8),          // "this network", RFC 791
    v4([10, 0, 0, 0], 8),         // private, RFC 1918
    v4([100, 64, 0, 0], 10),      // carrier-grade NAT, RFC 6598
    v4([127, 0, 0, 0], 8),        // loopback
    v4([169, 254, 0, 0], 16),     // link-local, and the metadata services of clouds
    v4([172, 16, 0, 0], 12),      // private
    v4([192, 0, 0, 0], 24),       // IETF protocol assignments
    v4([192, 0, 2, 0], 24),       // documentation, RFC 5737
    v4([192, 88, 99, 0], 24),     // 6to4 relays, deprecated by RFC 7526
    v4([192, 168, 0, 0], 16),     // private
    v4([198, 18, 0, 0], 15),      // benchmarks, RFC 2544
    v4([198, 51, 100, 0], 24),    // documentation
    v4([203, 0, 113, 0], 24),     // documentation
    v4([224, 0, 0, 0], 4),        // multicast
    v4([240, 0, 0, 0], 4),        // reserved, RFC 1112
    v4([255, 255, 255, 255], 32), // broadcast
];

/// The part of IPv6 that is given out for public use; everything else is special or not assigned.
const PUBLIC_V6: Ipv6Net = v6([0x2000, 0, 0, 0, 0, 0, 0, 0], 3);

/// Networks within it that are not public, or that lead to IPv4 addresses which this rule could not see.
const NOT_PUBLIC_V6: [Ipv6Net; 4] = [
    v6([0x2001, 0, 0, 0, 0, 0, 0, 0], 23), // protocol assignments: Teredo, benchmarks, ORCHID, RFC 2928
    v6([0x2001, 0xdb8, 0, 0, 0, 0, 0, 0], 32), // documentation, RFC 3849
    v6([0x2002, 0, 0, 0, 0, 0, 0, 0], 16), // 6to4, RFC 3056
    v6([0x3fff, 0, 0, 0, 0, 0, 0, 0], 20), // documentation, RFC 9637
];

const fn v4(octets: [u8; 4], prefix: u8) -> Ipv4Net {
    Ipv4Net::new_assert(Ipv4Addr::new(octets[0], octets[1], octets[2], octets[3]), prefix)
}

const fn v6(s: [u16; 8], prefix: u8) -> Ipv6Net {
    Ipv6Net::new_assert(Ipv6Addr::new(s[0], s[1], s[2], s[3], s[4], s[5], s[6], s[7]), prefix)
}

/// Whether the address is on the public internet.
#[must_use]
pub fn is_public(address: IpAddr) -> bool {
    match address.to_canonical() {
        IpAddr::V4(address) => !NOT_PUBLIC_V4.iter().any(|net| net.contains(&address)),
        // Mapped and compatible IPv4, NAT64, unique local, link-local, site-local, multicast, loopback and
        // unspecified are all outside 2000::/3.
        IpAddr::V6(address) => {
            PUBLIC_V6.contains(&address) && !NOT_PUBLIC_V6.iter().any(|net| net.contains(&address))
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]

    use super::*;

    /// Each with what it is.
    const REFUSED: &[(&str, &str)] = &[
        ("0.0.0.0", "unspecified"),
        ("0.1.2.3", "this network"),
        ("0.255.255.255", "this network"),
        ("10.0.0.1", "private"),
        ("10.255.255.255", "private"),
        ("100.64.0.1", "carrier-grade NAT"),
        ("100.127.255.255", "carrier-grade NAT"),
        ("127.0.0.1", "loopback"),
        ("127.255.255.254", "loopback"),
        ("169.254.0.1", "link-local"),
        ("169.254.169.254", "metadata of most clouds"),
        ("169.254.170.2", "credentials of containers"),
        ("100.100.100.200", "metadata of one cloud, in carrier-grade NAT"),
        ("172.16.0.1", "private"),
        ("172.31.255.255", "private"),
        ("192.0.0.8", "protocol assignments"),
        ("192.0.0.170", "NAT64 discovery"),
        ("192.0.0.192", "metadata of one cloud"),
        ("192.0.2.1", "documentation"),
        ("192.88.99.1", "6to4 relays"),
        ("192.168.1.1", "private"),
        ("198.18.0.1", "benchmarks"),
        ("198.19.255.255", "benchmarks"),
        ("198.51.100.7", "documentation"),
        ("203.0.113.9", "documentation"),
        ("224.0.0.1", "multicast"),
        ("239.255.255.255", "multicast"),
        ("240.0.0.1", "reserved"),
        ("255.255.255.254", "reserved"),
        ("255.255.255.255", "broadcast"),
        ("::", "unspecified"),
        ("::1", "loopback"),
        ("::2", "unassigned"),
        ("::7f00:1", "compatible: loopback"),
        ("::8.8.8.8", "compatible, deprecated"),
        ("::ffff:0.0.0.0", "mapped: unspecified"),
        ("::ffff:127.0.0.1", "mapped: loopback"),
        ("::ffff:10.0.0.1", "mapped: private"),
        ("::ffff:100.64.0.1", "mapped: carrier-grade NAT"),
        ("::ffff:169.254.169.254", "mapped: metadata"),
        ("::ffff:255.255.255.255", "mapped: broadcast"),
        ("::ffff:0:127.0.0.1", "translated, RFC 2765"),
        ("64:ff9b::127.0.0.1", "NAT64: loopback"),
        ("64:ff9b::169.254.169.254", "NAT64: metadata"),
        ("64:ff9b::8.8.8.8", "NAT64: it leads to what we could not see"),
        ("64:ff9b:1::1", "local NAT64, RFC 8215"),
        ("64:ff9b:1:ffff::10.0.0.1", "local NAT64"),
        ("100::1", "discard, RFC 6666"),
        ("2001::1", "Teredo"),
        ("2001:0:4136:e378:8000:63bf:f5ff:fffe", "Teredo: 10.0.0.1 behind it"),
        ("2001:2::1", "benchmarks"),
        ("2001:10::1", "ORCHID"),
        ("2001:20::1", "ORCHIDv2"),
        ("2001:db8::1", "documentation"),
        ("2002:7f00:1::1", "6to4: loopback"),
        ("2002:a00:1::1", "6to4: private"),
        ("2002:a9fe:a9fe::", "6to4: metadata"),
        ("2002:808:808::1", "6to4: its relay is not seen either"),
        ("3fff::1", "documentation, RFC 9637"),
        ("5f00::1", "segment routing, RFC 9602"),
        ("fc00::1", "unique local"),
        ("fd00:ec2::254", "metadata of one cloud, unique local"),
        ("fe80::1", "link-local"),
        ("febf:ffff::1", "link-local"),
        ("fec0::1", "site-local, deprecated"),
        ("ff02::1", "multicast"),
    ];
    /// Those next to the refused networks among them.
    const TAKEN: &[&str] = &[
        "1.0.0.0",
        "1.1.1.1",
        "8.8.8.8",
        "9.255.255.255",
        "11.0.0.0",
        "126.255.255.255",
        "128.0.0.1",
        "169.253.255.255",
        "169.255.0.0",
        "192.167.255.255",
        "192.169.0.1",
        "223.255.255.255",
        "100.63.255.255",
        "100.128.0.1",
        "172.15.255.255",
        "172.32.0.1",
        "198.20.0.1",
        "2000::1",
        "2606:4700:4700::1111",
        "::ffff:8.8.8.8",
    ];

    fn at(text: &str, port: u16) -> SocketAddr {
        SocketAddr::new(text.parse().unwrap(), port)
    }

    #[test]
    fn only_public_addresses_are_public() {
        for (text, what) in REFUSED {
            assert!(!is_public(text.parse().unwrap()), "{text}: {what}");
        }
        for text in TAKEN {
            assert!(is_public(text.parse().unwrap()), "{text}");
        }
    }

    #[test]
    fn an_exception_is_as_wide_as_it_was_written() {
        let policy =
            AddressPolicy { allow: vec!["127.0.0.0/8".parse().unwrap()], ..AddressPolicy::default() };
        let permits = |scheme, text: &str| policy.permits(scheme, at(text, 9_999));
        assert!(permits(Scheme::Http, "127.0.0.1") && permits(Scheme::Https, "127.9.9.9"));
        assert!(permits(Scheme::Http, "::ffff:127.0.0.1"), "the same address in other clothes");
        assert!(!permits(Scheme::Https, "10.0.0.1") && !permits(Scheme::Https, "::1"));
    }

    #[test]
    fn clear_text_is_only_for_where_it_is_allowed() {
        let public = at("8.8.8.8", 80);
        let strict = AddressPolicy::default();
        assert!(strict.permits(Scheme::Https, public) && !strict.permits(Scheme::Http, public));
        let relaxed = AddressPolicy { allow_http: true, ..AddressPolicy::default() };
        assert!(relaxed.permits(Scheme::Http, public));
        assert!(!relaxed.permits(Scheme::Http, at("10.0.0.1", 80)));
    }

    #[test]
    fn only_ports_of_the_web_are_called_and_those_that_an_operator_adds() {
        let strict = AddressPolicy::default();
        let added = AddressPolicy { allow_ports: vec![9_443], ..AddressPolicy::default() };
        for port in WEB_PORTS {
            assert!(strict.permits(Scheme::Https, at("8.8.8.8", port)), "{port}");
        }
        // SSH, SMTP, DNS, the Docker daemon, MySQL, PostgreSQL, Redis, Elasticsearch, memcached, MongoDB.
        for port in [0, 22, 25, 53, 2375, 3306, 5432, 6379, 9200, 11_211, 27_017, 9_443, 65_535] {
            assert!(!strict.permits(Scheme::Https, at("8.8.8.8", port)), "{port}");
        }
        assert!(added.permits(Scheme::Https, at("8.8.8.8", 9_443)));
        assert!(!added.permits(Scheme::Https, at("10.0.0.1", 9_443)), "a port is no address");
    }
}
