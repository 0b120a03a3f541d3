//! A shop that federates with this marketplace (contracts.md section 1).

use super::{Invalid, web_url};

const MAX_SHOP: usize = 64;

/// The shop's own API, as a hosted app is told of it (contracts.md section 4).
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ShopApi {
    pub(crate) base_url: String,
    pub(crate) min_version: i32,
    pub(crate) max_version: i32,
}

impl ShopApi {
    /// Checked.
    pub(crate) fn new(base_url: &str, min_version: u32, max_version: u32) -> Result<Self, Invalid> {
        let base_url = web_url(base_url)
            .map_err(|_| Invalid("api.base_url must be an absolute http or https URL without query"))?;
        let versions = (i32::try_from(min_version), i32::try_from(max_version));
        match versions {
            (Ok(min_version), Ok(max_version)) if min_version <= max_version => {
                Ok(Self { base_url: base_url.to_owned(), min_version, max_version })
            }
            _ => Err(Invalid("api.min_version must not be above api.max_version")),
        }
    }
}

/// The base URL to which `/admin/marketplace/…` is added; its trailing slashes are dropped.
pub(crate) fn base_url(text: &str) -> Result<String, Invalid> {
    let wrong = Invalid("base_url must be an absolute http or https URL without user, query or fragment");
    web_url(text).map(|url| url.trim_end_matches('/').to_owned()).map_err(|_| wrong)
}

/// The address of the shop's site, kept as it was given.
pub(crate) fn site_url(text: &str) -> Result<String, Invalid> {
    let wrong = Invalid("site_url must be an absolute http or https URL without user, query or fragment");
    web_url(text).map(str::to_owned).map_err(|_| wrong)
}

/// The shop's own identifier, such as `TN81S9AUB1`.
pub(crate) fn shop(text: &str) -> Result<String, Invalid> {
    let visible = |byte: u8| byte.is_ascii_graphic();
    if text.is_empty() || text.len() > MAX_SHOP || !text.bytes().all(visible) {
        return Err(Invalid("shop must be 1 to 64 visible ASCII characters without spaces"));
    }
    Ok(text.to_owned())
}

/// A registered shop.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Instance {
    pub(crate) id: String,
    pub(crate) base_url: String,
    pub(crate) shop: String,
    pub(crate) site_url: String,
    pub(crate) api: ShopApi,
    pub(crate) publishable_key: String,
    pub(crate) disabled: bool,
    /// Grows with each change, so that who follows can tell the newer state (contracts.md section 7).
    pub(crate) revision: i32,
    pub(crate) created_at_ms: i64,
}

/// What an operator changes of a shop; what is absent stays.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Changes {
    pub(crate) base_url: Option<String>,
    pub(crate) site_url: Option<String>,
    pub(crate) api: Option<ShopApi>,
    pub(crate) disabled: Option<bool>,
    pub(crate) publishable_key: Option<String>,
}

impl Instance {
    /// The shop after the changes, one revision later.
    pub(crate) fn changed(self, changes: Changes) -> Self {
        Self {
            base_url: changes.base_url.unwrap_or(self.base_url),
            site_url: changes.site_url.unwrap_or(self.site_url),
            api: changes.api.unwrap_or(self.api),
            disabled: changes.disabled.unwrap_or(self.disabled),
            publishable_key: changes.publishable_key.unwrap_or(self.publishable_key),
            revision: self.revision.saturating_add(1),
            ..self
        }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    pub(crate) fn instance() -> Instance {
        Instance {
            id: "inst_1".into(),
            base_url: "https://shop.example".into(),
            shop: "TN81S9AUB1".into(),
            site_url: "https://www.shop.example/".into(),
            api: ShopApi::new("https://shop.example/api/", 1, 3).unwrap(),
            publishable_key: "pk_1".into(),
            disabled: false,
            revision: 1,
            created_at_ms: 0,
        }
    }

    #[test]
    fn an_api_has_a_range_of_versions() {
        assert!(ShopApi::new("https://shop.example/api/", 3, 3).is_ok());
        assert!(ShopApi::new("https://shop.example/api/", 4, 3).is_err());
        assert!(ShopApi::new("https://shop.example/api/", 1, u32::MAX).is_err());
        assert!(ShopApi::new("shop.example", 1, 3).is_err());
    }

    #[test]
    fn a_shop_identifier_is_short_and_visible() {
        assert!(shop("TN81S9AUB1").is_ok());
        for bad in ["", "a b", "caf\u{e9}", "a\n", &"a".repeat(65)] {
            assert!(shop(bad).is_err());
        }
    }

    #[test]
    fn a_base_url_takes_a_path_after_it() {
        assert_eq!(base_url("https://shop.example/store//").unwrap(), "https://shop.example/store");
        assert_eq!(site_url("https://www.shop.example/").unwrap(), "https://www.shop.example/");
    }

    #[test]
    fn a_change_counts_and_leaves_the_rest() {
        let disabled = instance().changed(Changes { disabled: Some(true), ..Changes::default() });
        assert_eq!(disabled, Instance { disabled: true, revision: 2, ..instance() });
        let changes = Changes { base_url: Some("https://new.example".into()), ..Changes::default() };
        assert_eq!(instance().changed(changes).base_url, "https://new.example");
    }
}
