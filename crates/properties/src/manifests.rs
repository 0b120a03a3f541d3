//! The manifest, `manifest.json`.

use serde_json::Value;
use wire::manifest::{MAX_BYTES, Manifest, ManifestError, Price};

/// The fields that may be left out, and so may be `null`.
const OPTIONAL: [&str; 12] = [
    "author_url",
    "icon_url",
    "screenshots",
    "migrations",
    "auto_restart",
    "config_schema",
    "menu_items",
    "medusa_provider",
    "permissions",
    "keywords",
    "changelog_url",
    "hosted",
];
/// The same under `hosted`.
const OPTIONAL_HOSTED: [&str; 2] = ["code_url", "api"];
/// More than an author can mend in one go.
const LONGEST_ERROR: usize = 256 * 1024;

/// The bytes of a manifest.
///
/// Its canonical form is that of the author's own bytes without optional fields that are `null`, is read again, and is
/// then the same; what is refused is told within bounds.
pub fn manifest(input: &[u8]) {
    let manifest = match Manifest::from_json(input) {
        Ok(manifest) => manifest,
        Err(error) => return is_told_within_bounds(&error),
    };
    assert!(input.len() <= MAX_BYTES);
    let canonical = manifest.canonical();
    assert_eq!(canonical, canonical_of(input), "not the author's own bytes");
    let again = Manifest::from_json(&canonical).expect("a canonical manifest");
    assert_eq!(again.canonical(), canonical);
    let price = serde_json::to_value(manifest.price_eur).expect("a price");
    assert_eq!(price.as_number().and_then(Price::from_json), Some(manifest.price_eur));
    assert_eq!(manifest.marketplace_id.to_string().parse(), Ok(manifest.marketplace_id.clone()));
}

fn is_told_within_bounds(error: &ManifestError) {
    assert!(error.to_string().len() <= LONGEST_ERROR);
    if let ManifestError::Invalid(_) = error {
        assert!(!error.problems().is_empty(), "refused without a problem");
    }
}

fn canonical_of(input: &[u8]) -> Vec<u8> {
    let text = input.strip_prefix(b"\xef\xbb\xbf").unwrap_or(input);
    let mut value: Value = serde_json::from_slice(text).expect("JSON that was read before");
    without_nulls(&mut value, &OPTIONAL);
    if let Some(hosted) = value.get_mut("hosted") {
        without_nulls(hosted, &OPTIONAL_HOSTED);
    }
    serde_json_canonicalizer::to_vec(&value).expect("JSON that was read before")
}

fn without_nulls(value: &mut Value, optional: &[&str]) {
    if let Some(object) = value.as_object_mut() {
        object.retain(|field, value| !(value.is_null() && optional.contains(&field.as_str())));
    }
}
