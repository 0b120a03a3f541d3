//! The URL of an endpoint, and what a request to it needs.

use std::{fmt, sync::Arc};

use http::uri::{Authority, PathAndQuery};
use url::{Host, Url};

use super::address::Scheme;

/// With whom a connection is made: what it is good for, and for nobody else.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Origin {
    /// In clear text, or over TLS.
    pub scheme: Scheme,
    /// A name, or an address in its plain form, however oddly it was written.
    pub host: Host,
    /// The port, also where the URL leaves it out.
    pub port: u16,
    /// Both as a request names them.
    pub authority: Authority,
}

impl Origin {
    fn of(url: &Url) -> Option<Self> {
        let scheme = scheme(url)?;
        let (host, port) = (url.host()?.to_owned(), url.port_or_known_default()?);
        let authority = match url.port() {
            Some(port) => format!("{host}:{port}"),
            None => host.to_string(),
        };
        Some(Self { scheme, host, port, authority: authority.try_into().ok()? })
    }
}

/// Where a request goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// With whom the connection is made.
    pub origin: Arc<Origin>,
    /// What is asked for there.
    pub path: PathAndQuery,
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}{}", self.origin.scheme.as_str(), self.origin.authority, self.path)
    }
}

/// Why a base URL cannot be an endpoint's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "the base URL of an instance must be http or https with a host and without credentials, query or fragment"
)]
pub struct BadBaseUrl;

/// An instance's base URL, checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BaseUrl {
    text: String,
    origin: Arc<Origin>,
    /// Without a slash at its end.
    path: String,
}

impl BaseUrl {
    /// Checks the text; a slash at its end is forgiven.
    pub fn parse(text: &str) -> Result<Self, BadBaseUrl> {
        let url = Url::parse(text).map_err(|_| BadBaseUrl)?;
        let bare = url.username().is_empty() && url.password().is_none();
        let plain = url.query().is_none() && url.fragment().is_none();
        let origin = Origin::of(&url).filter(|_| bare && plain).ok_or(BadBaseUrl)?;
        let [text, path] = [url.as_str(), url.path()].map(|text| text.trim_end_matches('/').to_owned());
        Ok(Self { text, origin: Arc::new(origin), path })
    }

    /// As it is stored.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Where an event is told: `{base}/admin/marketplace/{event}` (contracts.md section 3).
    pub fn of_event(&self, event: &str) -> Result<Target, BadBaseUrl> {
        let path = [&self.path, "/admin/marketplace/", event].concat();
        let path = PathAndQuery::from_maybe_shared(path).map_err(|_| BadBaseUrl)?;
        Ok(Target { origin: Arc::clone(&self.origin), path })
    }
}

/// Why a URL cannot be an app's installation endpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "the installation URL of an app must be http or https with a host and without credentials or fragment"
)]
pub struct BadCallbackUrl;

/// Where a hosted app takes its callbacks: a whole URL, checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CallbackUrl {
    url: Url,
    target: Target,
}

impl CallbackUrl {
    /// Checks the text.
    pub fn parse(text: &str) -> Result<Self, BadCallbackUrl> {
        let url = Url::parse(text).map_err(|_| BadCallbackUrl)?;
        let bare = url.username().is_empty() && url.password().is_none() && url.fragment().is_none();
        let origin = Origin::of(&url).filter(|_| bare).ok_or(BadCallbackUrl)?;
        let query = url.query().map_or(String::new(), |query| format!("?{query}"));
        let path = format!("{}{query}", url.path()).try_into().map_err(|_| BadCallbackUrl)?;
        Ok(Self { url, target: Target { origin: Arc::new(origin), path } })
    }

    /// As it is stored.
    #[must_use]
    pub fn as_str(&self) -> &str {
        self.url.as_str()
    }

    /// As it is called.
    #[must_use]
    pub fn target(&self) -> &Target {
        &self.target
    }
}

/// How a URL is called; `None` for what is not called at all.
fn scheme(url: &Url) -> Option<Scheme> {
    match url.scheme() {
        "http" => Some(Scheme::Http),
        "https" => Some(Scheme::Https),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn a_base_with_a_path_and_a_slash_keeps_its_path() {
        for base in ["https://shop.example/eu", "https://shop.example/eu/"] {
            let url = BaseUrl::parse(base).unwrap().of_event("license-issued").unwrap();
            assert_eq!(url.to_string(), "https://shop.example/eu/admin/marketplace/license-issued");
        }
    }

    #[test]
    fn one_origin_is_one_however_it_is_written() {
        let origin = |base: &str| BaseUrl::parse(base).unwrap().origin;
        let same = [
            ("https://Shop.Example", "https://shop.example:443/eu"),
            ("http://127.0.0.1", "http://0x7f.1:80"),
            ("https://[::1]:9", "https://[0:0::1]:9/a"),
        ];
        for (one, other) in same {
            assert_eq!(origin(one), origin(other), "{one} {other}");
        }
        assert_eq!(origin("https://shop.example:8443").authority, "shop.example:8443");
        assert_ne!(origin("https://shop.example"), origin("http://shop.example:443"));
    }

    #[test]
    fn a_callback_url_is_whole() {
        let url = CallbackUrl::parse("https://app.example/hooks/install?v=1").unwrap();
        assert_eq!(url.as_str(), "https://app.example/hooks/install?v=1");
        assert_eq!(url.target().to_string(), url.as_str());
        assert_eq!(CallbackUrl::parse(url.as_str()), Ok(url));
        for bad in ["", "/install", "ftp://app.example", "https://u:p@app.example/", "https://app.example/#f"]
        {
            assert_eq!(CallbackUrl::parse(bad), Err(BadCallbackUrl), "{bad}");
        }
    }

    #[test]
    fn what_is_no_base_is_refused() {
        for base in [
            "",
            "shop.example",
            "ftp://shop.example",
            "https://u:p@shop.example",
            "https://a.b/?q",
            "https://a.b/#f",
        ] {
            assert_eq!(BaseUrl::parse(base), Err(BadBaseUrl), "{base}");
        }
    }
}
