//! What a receiver says of itself: its URL, its address, and when to come again.

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    time::Duration,
};

use time::{OffsetDateTime, macros::format_description};
use url::{Host, Url};

use crate::{
    bytes::{array, first_line},
    outside::{
        address::is_public,
        retry_after,
        target::{BaseUrl, CallbackUrl, Target},
    },
};

/// An endpoint's URL.
///
/// What is taken is written as it is read, is called over the web alone, and gives nothing away on the way.
pub fn target_url(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else { return };
    if let Ok(base) = BaseUrl::parse(text) {
        assert_eq!(BaseUrl::parse(base.as_str()), Ok(base.clone()));
        if let Ok(target) = base.of_event("license-issued") {
            leads_where_it_says(&target, base.as_str());
            assert!(target.path.path().ends_with("/admin/marketplace/license-issued"));
            assert_eq!(target.path.query(), None);
        }
    }
    if let Ok(callback) = CallbackUrl::parse(text) {
        leads_where_it_says(callback.target(), callback.as_str());
        assert_eq!(CallbackUrl::parse(callback.as_str()), Ok(callback));
    }
}

fn leads_where_it_says(target: &Target, text: &str) {
    let url = Url::parse(text).expect("a URL that was read before");
    let origin = &target.origin;
    assert_eq!(
        (Some(&origin.host), Some(origin.port)),
        (url.host().map(|it| it.to_owned()).as_ref(), url.port_or_known_default())
    );
    assert_eq!(url.scheme(), origin.scheme.as_str());
    let called = Url::parse(&target.to_string()).expect("a URL that is called");
    assert_eq!((called.host(), called.port()), (url.host(), url.port()), "another server");
    assert!(called.username().is_empty() && called.password().is_none() && called.fragment().is_none());
    assert!(!origin.authority.as_str().contains('@'));
    if let Host::Domain(name) = &origin.host {
        // A number in any notation is an address by now: the rule of addresses sees it.
        assert!(name.parse::<IpAddr>().is_err() && name.is_ascii() && !name.contains(['%', '@', '/']));
        let last = name.strip_suffix('.').unwrap_or(name).rsplit('.').next().unwrap_or_default();
        assert!(last.is_empty() || !last.bytes().all(|byte| byte.is_ascii_digit()), "a number: {name}");
    }
}

/// The bytes of an address.
///
/// No address is public that the standard library knows to be something else, in whatever clothes it comes.
pub fn address(input: &[u8]) {
    let v4 = Ipv4Addr::from(array::<4>(input));
    if is_special(v4) {
        assert!(!is_public(v4.into()), "{v4}");
    }
    let mapped = v4.to_ipv6_mapped();
    assert_eq!(is_public(mapped.into()), is_public(v4.into()), "{mapped}");
    let [a, b, c, d] = v4.octets();
    let (high, low) = (u16::from_be_bytes([a, b]), u16::from_be_bytes([c, d]));
    let translated = [
        Ipv6Addr::new(0, 0, 0, 0, 0, 0, high, low),
        Ipv6Addr::new(0x64, 0xff9b, 0, 0, 0, 0, high, low),
        Ipv6Addr::new(0x64, 0xff9b, 1, 0, 0, 0, high, low),
        Ipv6Addr::new(0x2001, 0, high, low, 0, 0, !high, !low),
        Ipv6Addr::new(0x2002, high, low, 0, 0, 0, 0, 1),
    ];
    for address in translated {
        assert!(!is_public(address.into()), "{address}");
    }
    let v6 = Ipv6Addr::from(array::<16>(input));
    if v6.is_loopback() || v6.is_unspecified() || v6.is_multicast() || v6.is_unique_local() {
        assert!(!is_public(v6.into()), "{v6}");
    }
    if v6.is_unicast_link_local() {
        assert!(!is_public(v6.into()), "{v6}");
    }
}

fn is_special(address: Ipv4Addr) -> bool {
    let here = address.is_unspecified() || address.is_loopback() || address.is_link_local();
    let many = address.is_multicast() || address.is_broadcast();
    here || many || address.is_private() || address.is_documentation()
}

/// A `Retry-After`, then a line with the time at which it came.
///
/// Digits are seconds; a date that has not passed is as far as it says, whatever its form.
pub fn retry_after(input: &[u8]) {
    const IMF_FIXDATE: &[time::format_description::BorrowedFormatItem<'_>] = format_description!(
        "[weekday repr:short], [day] [month repr:short] [year] [hour]:[minute]:[second] GMT"
    );
    let Some((header, now)) = first_line(input) else { return };
    let now = std::str::from_utf8(now).ok().and_then(|now| now.trim().parse::<u32>().ok()).unwrap_or(0);
    let now = i64::from(now);
    let Some(wait) = retry_after::parse(header, now) else { return };
    if let Ok(seconds) = header.trim().parse::<u64>() {
        return assert_eq!(wait, Duration::from_secs(seconds));
    }
    let then = i64::try_from(wait.as_secs()).ok().and_then(|wait| now.checked_add(wait));
    let Some(Ok(date)) = then.map(OffsetDateTime::from_unix_timestamp) else { return };
    let written = date.format(IMF_FIXDATE).expect("a date");
    assert_eq!(retry_after::parse(&written, now), Some(wait), "{written}");
}
