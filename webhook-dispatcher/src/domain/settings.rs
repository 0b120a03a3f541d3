//! What an operator can set for an endpoint: which events it is told, headers of its own, how often it is called.

use std::{collections::BTreeMap, fmt};

use http::{HeaderMap, HeaderName, HeaderValue};

use super::event::{EVENTS, LICENSE_ISSUED};

/// More headers are not taken.
pub const MOST_HEADERS: usize = 16;
/// A longer name or value of a header is not taken.
const MOST_NAME: usize = 100;
const MOST_VALUE: usize = 2_000;
/// A higher bound on the rate is not taken: none would be the same.
const MOST_PER_SECOND: u32 = 100_000;

/// What we write ourselves, what is of the connection (RFC 9110 section 7.6.1), and what would tell strangers of our
/// traces.
const RESERVED: [&str; 17] = [
    "accept-encoding",
    "baggage",
    "connection",
    "date",
    "expect",
    "host",
    "http2-settings",
    "keep-alive",
    "max-forwards",
    "te",
    "traceparent",
    "tracestate",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "user-agent",
    "via",
];
const RESERVED_PREFIXES: [&str; 4] = ["content-", "proxy-", "webhook-", "x-carpha-"];

/// The setting cannot be taken. Says what would be right and repeats nothing of what was given.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadSetting {
    /// Of the events.
    #[error(
        "events must be some of license-issued, license-revoked, license-suspended, license-reinstated, \
         release-published, installation-changed"
    )]
    Event,
    /// Of the headers, by how many they are.
    #[error("headers must be at most 16, each given once")]
    TooManyHeaders,
    /// Of a header's name.
    #[error(
        "a header's name must be a token of at most 100 characters, and none of those that we write or that are of \
         the connection: host, user-agent, date, via, te, connection, content-*, proxy-*, webhook-*, x-carpha-* and \
         their like"
    )]
    HeaderName,
    /// Of a header's value.
    #[error("a header's value must have from 1 to 2,000 visible ASCII characters and spaces")]
    HeaderValue,
    /// Of the rate.
    #[error("rate_per_second must be at most 100,000; 0 takes the bound away")]
    Rate,
}

/// The events that an endpoint is told, in the order of the contract, each once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subscription(Vec<&'static str>);

impl Default for Subscription {
    /// What no shop can do without; the others are opt-in (contracts.md section 3).
    fn default() -> Self {
        Self(vec![LICENSE_ISSUED])
    }
}

impl Subscription {
    /// Of who is told no event at all.
    pub const NONE: Self = Self(Vec::new());

    /// Checks the names.
    pub fn parse<S: AsRef<str>>(names: &[S]) -> Result<Self, BadSetting> {
        if names.iter().any(|name| !EVENTS.contains(&name.as_ref())) {
            return Err(BadSetting::Event);
        }
        Ok(Self::of(|event| names.iter().any(|name| name.as_ref() == event)))
    }

    /// As it was stored. A name that a later release wrote and this one does not know is passed over.
    #[must_use]
    pub fn stored(text: &str) -> Self {
        Self::of(|event| text.split(',').any(|name| name == event))
    }

    fn of(is_told: impl Fn(&str) -> bool) -> Self {
        Self(EVENTS.into_iter().filter(|event| is_told(event)).collect())
    }

    /// Whether the event is one of them.
    #[must_use]
    pub fn has(&self, event: &str) -> bool {
        self.0.contains(&event)
    }

    /// Their names.
    #[must_use]
    pub fn names(&self) -> &[&'static str] {
        &self.0
    }
}

impl fmt::Display for Subscription {
    /// As it is stored.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.join(","))
    }
}

/// Headers that go with every request to an endpoint. A value may be a credential: it is sealed at rest and never told.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CustomHeaders(HeaderMap);

impl CustomHeaders {
    /// Checks names and values.
    pub fn parse<'a>(given: impl IntoIterator<Item = (&'a str, &'a str)>) -> Result<Self, BadSetting> {
        let mut headers = HeaderMap::new();
        for (name, value) in given {
            if headers.insert(check_name(name)?, check_value(value)?).is_some()
                || headers.len() > MOST_HEADERS
            {
                return Err(BadSetting::TooManyHeaders);
            }
        }
        Ok(Self(headers))
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Their names, in the order of the alphabet.
    #[must_use]
    pub fn names(&self) -> Vec<&str> {
        let mut names: Vec<_> = self.0.keys().map(HeaderName::as_str).collect();
        names.sort_unstable();
        names
    }

    /// Names and values, to be sealed.
    #[must_use]
    pub fn expose(&self) -> BTreeMap<&str, &str> {
        self.0.iter().filter_map(|(name, value)| Some((name.as_str(), value.to_str().ok()?))).collect()
    }

    /// As they are sent.
    #[must_use]
    pub fn map(&self) -> &HeaderMap {
        &self.0
    }
}

fn check_name(name: &str) -> Result<HeaderName, BadSetting> {
    let parsed = HeaderName::from_bytes(name.as_bytes()).map_err(|_| BadSetting::HeaderName)?;
    let lower = parsed.as_str();
    let is_ours =
        RESERVED.contains(&lower) || RESERVED_PREFIXES.iter().any(|prefix| lower.starts_with(prefix));
    if is_ours || lower.len() > MOST_NAME { Err(BadSetting::HeaderName) } else { Ok(parsed) }
}

fn check_value(value: &str) -> Result<HeaderValue, BadSetting> {
    let is_plain = value.bytes().all(|byte| byte == b' ' || byte.is_ascii_graphic());
    if !is_plain || value.trim().is_empty() || value.len() > MOST_VALUE {
        return Err(BadSetting::HeaderValue);
    }
    let mut value = HeaderValue::from_str(value).map_err(|_| BadSetting::HeaderValue)?;
    value.set_sensitive(true);
    Ok(value)
}

/// How often an endpoint is called by one process; 0: as often as it can.
pub fn check_rate(per_second: u32) -> Result<u32, BadSetting> {
    if per_second > MOST_PER_SECOND { Err(BadSetting::Rate) } else { Ok(per_second) }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn an_endpoint_is_told_of_its_licences_and_of_more_if_it_wants() {
        assert_eq!(Subscription::default().names(), [LICENSE_ISSUED]);
        let all = Subscription::parse(&["installation-changed", "license-issued", "license-issued"]).unwrap();
        assert_eq!(all.to_string(), "license-issued,installation-changed");
        assert_eq!(Subscription::stored(&all.to_string()), all);
        assert!(all.has("installation-changed") && !all.has("license-revoked"));
        assert_eq!(Subscription::parse(&["Install"]), Err(BadSetting::Event));
        assert_eq!(Subscription::stored(""), Subscription::NONE);
        assert_eq!(Subscription::stored("license-issued,license-sold"), Subscription::default());
        let told = BadSetting::Event.to_string();
        assert!(EVENTS.iter().all(|event| told.contains(event)));
    }

    #[test]
    fn headers_that_are_ours_or_of_the_connection_are_refused() {
        for name in [
            "Host",
            "CONTENT-TYPE",
            "content-md5",
            "Webhook-Id",
            "x-carpha-signature",
            "Transfer-Encoding",
            "proxy-authorization",
            "User-Agent",
            "traceparent",
            "",
            "a b",
            "na:me",
            "näme",
            ":authority",
        ] {
            assert_eq!(CustomHeaders::parse([(name, "v")]), Err(BadSetting::HeaderName), "{name}");
        }
        for value in ["", " ", "a\r\nx: y", "a\nb", "é", "\u{7f}", &"a".repeat(2_001)] {
            assert_eq!(CustomHeaders::parse([("x-a", value)]), Err(BadSetting::HeaderValue), "{value}");
        }
        let many: Vec<String> = (0..17).map(|number| format!("x-{number}")).collect();
        let given =
            |count: usize| CustomHeaders::parse(many[..count].iter().map(|name| (name.as_str(), "v")));
        assert_eq!(given(16).unwrap().names().len(), 16);
        assert_eq!(given(17), Err(BadSetting::TooManyHeaders));
        assert_eq!(CustomHeaders::parse([("x-a", "1"), ("X-A", "2")]), Err(BadSetting::TooManyHeaders));
    }

    #[test]
    fn a_headers_value_is_shown_to_nobody() {
        let headers = CustomHeaders::parse([("Authorization", "Bearer very-secret"), ("x-a", "b")]).unwrap();
        assert!(!format!("{headers:?}").contains("very-secret"));
        assert_eq!(headers.names(), ["authorization", "x-a"]);
        assert_eq!(headers.expose()["authorization"], "Bearer very-secret");
    }

    #[test]
    fn a_rate_has_a_bound_and_nothing_means_none() {
        assert_eq!((check_rate(0), check_rate(7)), (Ok(0), Ok(7)));
        assert_eq!((check_rate(100_000), check_rate(100_001)), (Ok(100_000), Err(BadSetting::Rate)));
    }

    proptest! {
        #[test]
        fn no_header_can_break_out_of_its_line(name in ".{0,20}", value in ".{0,40}") {
            if let Ok(headers) = CustomHeaders::parse([(name.as_str(), value.as_str())]) {
                let sent = headers.map().iter().next().unwrap();
                prop_assert!(sent.0.as_str().bytes().all(|byte| byte.is_ascii_graphic() && byte != b':'));
                prop_assert!(sent.1.as_bytes().iter().all(|byte| (b' '..=b'~').contains(byte)));
            }
        }
    }
}
