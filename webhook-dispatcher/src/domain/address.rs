//! Which addresses may be called. A shop names its own URL, so without this rule it could make us call our own inside
//! (OWASP: server-side request forgery).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

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

/// The rule for one process: public addresses over TLS, and what the operator allows beyond that.
#[derive(Debug, Clone, Default)]
pub struct AddressPolicy {
    /// Networks that may be called although they are not public, with or without TLS.
    pub allow: Vec<IpNet>,
    /// Whether public addresses may be called without TLS.
    pub allow_http: bool,
}

impl AddressPolicy {
    /// Whether a connection to this address may be made.
    #[must_use]
    pub fn permits(&self, scheme: Scheme, address: IpAddr) -> bool {
        if self.allow.iter().any(|net| net.contains(&address.to_canonical())) {
            return true;
        }
        (scheme == Scheme::Https || self.allow_http) && is_public(address)
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

    const REFUSED: [&str; 42] = [
        "0.0.0.0",
        "0.1.2.3",
        "10.0.0.1",
        "10.255.255.255",
        "100.64.0.1",
        "100.127.255.255",
        "127.0.0.1",
        "127.255.255.254",
        "169.254.169.254",
        "172.16.0.1",
        "172.31.255.255",
        "192.0.0.8",
        "192.0.2.1",
        "192.88.99.1",
        "192.168.1.1",
        "198.18.0.1",
        "198.19.255.255",
        "198.51.100.7",
        "203.0.113.9",
        "224.0.0.1",
        "239.255.255.255",
        "240.0.0.1",
        "255.255.255.255",
        "::",
        "::1",
        "::7f00:1",
        "::ffff:127.0.0.1",
        "::ffff:10.0.0.1",
        "::ffff:169.254.169.254",
        "64:ff9b::7f00:1",
        "64:ff9b::808:808",
        "64:ff9b:1::1",
        "100::1",
        "2001::1",
        "2001:2::1",
        "2001:db8::1",
        "2002:7f00:1::1",
        "3fff::1",
        "fc00::1",
        "fdff::1",
        "fe80::1",
        "ff02::1",
    ];
    const TAKEN: [&str; 9] = [
        "1.1.1.1",
        "8.8.8.8",
        "100.63.255.255",
        "100.128.0.1",
        "172.15.255.255",
        "172.32.0.1",
        "198.20.0.1",
        "2606:4700:4700::1111",
        "::ffff:8.8.8.8",
    ];

    #[test]
    fn only_public_addresses_are_public() {
        for text in REFUSED {
            assert!(!is_public(text.parse().unwrap()), "{text}");
        }
        for text in TAKEN {
            assert!(is_public(text.parse().unwrap()), "{text}");
        }
    }

    #[test]
    fn an_exception_is_as_wide_as_it_was_written() {
        let policy = AddressPolicy { allow: vec!["127.0.0.0/8".parse().unwrap()], allow_http: false };
        let permits = |scheme, text: &str| policy.permits(scheme, text.parse().unwrap());
        assert!(permits(Scheme::Http, "127.0.0.1") && permits(Scheme::Https, "127.9.9.9"));
        assert!(permits(Scheme::Http, "::ffff:127.0.0.1"), "the same address in other clothes");
        assert!(!permits(Scheme::Https, "10.0.0.1") && !permits(Scheme::Https, "::1"));
    }

    #[test]
    fn clear_text_is_only_for_where_it_is_allowed() {
        let public = "8.8.8.8".parse().unwrap();
        let strict = AddressPolicy::default();
        assert!(strict.permits(Scheme::Https, public) && !strict.permits(Scheme::Http, public));
        let relaxed = AddressPolicy { allow_http: true, ..AddressPolicy::default() };
        assert!(relaxed.permits(Scheme::Http, public));
        assert!(!relaxed.permits(Scheme::Http, "10.0.0.1".parse().unwrap()));
    }
}
