//! The URL of an endpoint.

use url::Url;

use super::address::Scheme;

/// Why a base URL cannot be an endpoint's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "the base URL of an instance must be http or https with a host and without credentials, query or fragment"
)]
pub struct BadBaseUrl;

/// An instance's base URL, checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BaseUrl(String);

impl BaseUrl {
    /// Checks the text; a slash at its end is forgiven.
    pub fn parse(text: &str) -> Result<Self, BadBaseUrl> {
        let url = Url::parse(text).map_err(|_| BadBaseUrl)?;
        let bare = url.username().is_empty() && url.password().is_none();
        let plain = url.query().is_none() && url.fragment().is_none();
        if scheme(&url).is_none() || !url.has_host() || !bare || !plain {
            return Err(BadBaseUrl);
        }
        Ok(Self(url.as_str().trim_end_matches('/').to_owned()))
    }

    /// As it is stored.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Where an event is told: `{base}/admin/marketplace/{event}` (contracts.md section 3).
    pub fn of_event(&self, event: &str) -> Result<Url, BadBaseUrl> {
        Url::parse(&format!("{}/admin/marketplace/{event}", self.0)).map_err(|_| BadBaseUrl)
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
pub struct CallbackUrl(Url);

impl CallbackUrl {
    /// Checks the text.
    pub fn parse(text: &str) -> Result<Self, BadCallbackUrl> {
        let url = Url::parse(text).map_err(|_| BadCallbackUrl)?;
        let bare = url.username().is_empty() && url.password().is_none() && url.fragment().is_none();
        if scheme(&url).is_none() || !url.has_host() || !bare {
            return Err(BadCallbackUrl);
        }
        Ok(Self(url))
    }

    /// As it is stored.
    #[must_use]
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }

    /// As it is called.
    #[must_use]
    pub fn to_url(&self) -> Url {
        self.0.clone()
    }
}

/// How a URL is called; `None` for what is not called at all.
#[must_use]
pub fn scheme(url: &Url) -> Option<Scheme> {
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
            assert_eq!(url.as_str(), "https://shop.example/eu/admin/marketplace/license-issued");
        }
    }

    #[test]
    fn a_callback_url_is_whole() {
        let url = CallbackUrl::parse("https://app.example/hooks/install?v=1").unwrap();
        assert_eq!(url.as_str(), "https://app.example/hooks/install?v=1");
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
