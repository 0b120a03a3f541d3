//! The `versions` of an updates question: what a shop has installed (contracts.md section 2).

use std::collections::BTreeMap;

use semver::Version;
use thiserror::Error;
use wire::manifest::MarketplaceId;

/// Ids in one question at most.
pub(crate) const IDS_AT_MOST: usize = 200;
/// Longer than two hundred of the longest ids and versions.
pub(crate) const BYTES_AT_MOST: usize = 32 * 1024;

/// Why a text is not what a shop has installed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub(crate) enum BadVersions {
    #[error("versions is too long; ask for at most 200 ids at a time")]
    TooLong,
    #[error(r#"versions must be a JSON object such as {{"@vendor/app":"1.0.0"}}"#)]
    NoObject,
    #[error("versions names more than 200 ids; ask in several questions")]
    TooMany,
    #[error("versions has a key that is no marketplace id of the form @vendor/app")]
    Id,
    #[error("versions has a value that is no semantic version such as 1.0.0")]
    Version,
}

/// Reads `{"@v/p":"1.0.0",…}`.
pub(crate) fn parse(versions: &str) -> Result<BTreeMap<String, String>, BadVersions> {
    if versions.len() > BYTES_AT_MOST {
        return Err(BadVersions::TooLong);
    }
    let installed: BTreeMap<String, String> =
        serde_json::from_str(versions).map_err(|_| BadVersions::NoObject)?;
    if installed.len() > IDS_AT_MOST {
        return Err(BadVersions::TooMany);
    }
    if installed.keys().any(|id| id.parse::<MarketplaceId>().is_err()) {
        return Err(BadVersions::Id);
    }
    if installed.values().any(|version| Version::parse(version).is_err()) {
        return Err(BadVersions::Version);
    }
    Ok(installed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_shop_has_installed_is_read() {
        let installed = parse(r#"{"@carphacom/seo-essentials":"1.0.0"}"#).unwrap();
        assert_eq!(installed["@carphacom/seo-essentials"], "1.0.0");
    }

    #[test]
    fn each_wrong_form_is_told_apart_and_never_echoed() {
        let many: BTreeMap<_, _> = (0..201).map(|n| (format!("@v/p{n}"), "1.0.0")).collect();
        let cases = [
            ("buyer@shop.com".to_owned(), "JSON object"),
            (r#"["@v/p"]"#.to_owned(), "JSON object"),
            (serde_json::to_string(&many).unwrap(), "more than 200"),
            ("x".repeat(40_000), "too long"),
            (r#"{"buyer@shop.com":"1.0.0"}"#.to_owned(), "no marketplace id"),
            (r#"{"@v/p":"one"}"#.to_owned(), "no semantic version"),
        ];
        for (versions, says) in cases {
            let error = parse(&versions).unwrap_err();
            assert!(error.to_string().contains(says), "{error:?}");
            assert!(!error.to_string().contains("buyer@shop.com"));
        }
    }
}
