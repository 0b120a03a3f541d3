use url::Url;

use super::Invalid;

const MAX_LEN: usize = 2048;

/// An address that we publish or that our dispatcher calls: absolute, http(s), and free of what does not belong
/// into one that paths are added to.
pub(crate) fn web_url(text: &str) -> Result<&str, Invalid> {
    let wrong = Invalid(
        "must be an absolute http or https URL without user, query or fragment, such as https://shop.example",
    );
    let url = Url::parse(text).map_err(|_| wrong)?;
    let plain = url.username().is_empty() && url.password().is_none();
    let bare = url.query().is_none() && url.fragment().is_none();
    if text.len() <= MAX_LEN && matches!(url.scheme(), "http" | "https") && url.has_host() && plain && bare {
        return Ok(text);
    }
    Err(wrong)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_absolute_http_addresses_are_taken() {
        for good in ["https://shop.example", "http://127.0.0.1:9000/base/", "https://[::1]/"] {
            assert!(web_url(good).is_ok(), "{good}");
        }
        let bad = [
            "",
            "shop.example",
            "/admin",
            "ftp://shop.example",
            "file:///etc/passwd",
            "https://",
            "https://user:pass@shop.example",
            "https://shop.example/?a=b",
            "https://shop.example/#top",
        ];
        for bad in bad {
            assert!(web_url(bad).is_err(), "{bad}");
        }
        assert!(web_url(&format!("https://shop.example/{}", "a".repeat(2048))).is_err());
    }
}
