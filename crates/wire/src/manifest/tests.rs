#![allow(clippy::unwrap_used, clippy::expect_used)]
use proptest::prelude::*;
use serde_json::json;

use super::*;

fn minimal() -> Value {
    json!({
        "id": "seo-essentials", "marketplace_id": "@carphacom/seo-essentials", "name": "SEO Essentials",
        "version": "1.0.0", "type": "admin-extension", "carphacom_min_version": "1.0.0",
        "description": "Titles and sitemaps.", "author": "CarphaCom", "price_eur": 0, "entry": "./index.js"
    })
}

fn with(field: &str, value: Value) -> Value {
    let mut manifest = minimal();
    manifest[field] = value;
    manifest
}

fn problems_of(value: Value) -> Vec<String> {
    let error = Manifest::try_from(value).unwrap_err();
    error.problems().iter().map(|problem| problem.field.clone()).collect()
}

#[test]
fn the_smallest_manifest_is_taken_and_written_again_as_it_was() {
    let manifest = Manifest::from_json(minimal().to_string().as_bytes()).unwrap();
    assert_eq!(manifest.marketplace_id.vendor(), "carphacom");
    assert_eq!(manifest.marketplace_id.name(), "seo-essentials");
    assert_eq!(manifest.entry_path(), "index.js");
    assert_eq!(manifest.app_type, AppType::AdminExtension);
    assert!(manifest.price_eur.is_free() && manifest.permissions().is_empty());
    assert_eq!(serde_json::to_value(&manifest).unwrap(), minimal());
}

#[test]
fn every_optional_field_and_unknown_keys_survive_a_round_trip() {
    let mut full = minimal();
    let optional = json!({
        "author_url": "https://a.example", "icon_url": "https://a.example/i.png",
        "screenshots": ["https://a.example/1.png"], "migrations": true, "auto_restart": false,
        "config_schema": {"key": {"type": "string", "label": "Key", "required": true, "secret": true, "placeholder": "pk", "hint": 1}},
        "menu_items": [{"label": "Settings", "path": "/x", "icon": "Card"}],
        "medusa_provider": {"module": "payment", "resolve": "./p", "id": "p"},
        "permissions": ["api:orders.read"], "keywords": ["seo"], "changelog_url": "https://a.example/c",
        "x-vendor": {"deep": [1, null]}
    });
    for (key, value) in optional.as_object().unwrap() {
        full[key] = value.clone();
    }
    let manifest = Manifest::try_from(full.clone()).unwrap();
    assert_eq!(manifest.extra["x-vendor"], json!({"deep": [1, null]}));
    assert_eq!(serde_json::to_value(&manifest).unwrap(), full);
    assert_eq!(serde_json::from_value::<Manifest>(full).unwrap(), manifest);
}

#[test]
fn all_problems_are_told_at_once_with_what_would_be_right() {
    let error = Manifest::from_json(br#"{"id":"Bad Id","version":"1.0","price_eur":-1}"#).unwrap_err();
    let text = error.to_string();
    for field in ["marketplace_id", "name", "type", "carphacom_min_version", "description", "author", "entry"]
    {
        assert!(text.contains(&format!("`{field}` is missing")), "{text}");
    }
    assert!(text.contains("`id` must be lower-case letters"), "{text}");
    assert!(text.contains("`version` must be a semantic version"), "{text}");
    assert!(text.contains("`price_eur` must be a number from 0"), "{text}");
    assert_eq!(error.problems().len(), 10);
}

#[test]
fn each_field_has_its_bounds() {
    for (field, value) in [
        ("id", json!("SEO")),
        ("id", json!("-a")),
        ("marketplace_id", json!("carphacom/seo")),
        ("name", json!("  ")),
        ("name", json!("x".repeat(121))),
        ("name", json!("a\u{0}b")),
        ("version", json!("1")),
        ("version", json!(1)),
        ("type", json!("theme")),
        ("description", json!(null)),
        ("entry", json!("/etc/passwd")),
        ("entry", json!("../index.js")),
        ("author_url", json!("javascript:alert(1)")),
        ("icon_url", json!("/icon.png")),
        ("screenshots", json!("https://a.example")),
        ("migrations", json!("yes")),
        ("config_schema", json!([])),
        ("permissions", json!(["api:a", "api:a"])),
        ("keywords", json!(vec!["k"; 101])),
    ] {
        assert_eq!(problems_of(with(field, value)), [field]);
    }
}

#[test]
fn problems_inside_lists_and_settings_name_their_place() {
    assert_eq!(problems_of(with("screenshots", json!(["https://a.example", "ftp://a"]))), ["screenshots[1]"]);
    assert_eq!(problems_of(with("permissions", json!(["Api Orders"]))), ["permissions[0]"]);
    assert_eq!(problems_of(with("menu_items", json!([{"label": "x"}]))), ["menu_items[0].path"]);
    assert_eq!(
        problems_of(with("medusa_provider", json!({"module": "m", "id": "i"}))),
        ["medusa_provider.resolve"]
    );
    let schema = json!({"a b": {"type": "string", "label": "x"}, "key": {"type": "string", "label": "Key", "secret": "yes"}});
    assert_eq!(problems_of(with("config_schema", schema)), ["config_schema[0]", "config_schema.key.secret"]);
}

#[test]
fn no_value_is_repeated_in_an_error() {
    let error = Manifest::try_from(with("author_url", json!("s3cret-value"))).unwrap_err();
    assert!(!error.to_string().contains("s3cret"));
    let error = Manifest::from_json(b"{\"name\": s3cret}").unwrap_err();
    assert!(!error.to_string().contains("s3cret"));
}

#[test]
fn what_is_no_json_object_is_told() {
    assert_eq!(Manifest::from_json(b"{,}"), Err(ManifestError::NotJson { line: 1, column: 2 }));
    assert_eq!(Manifest::from_json(b"[]"), Err(ManifestError::NotAnObject));
    assert_eq!(Manifest::from_json(&vec![b' '; MAX_BYTES + 1]), Err(ManifestError::TooLarge));
    let deep = "[".repeat(10_000);
    assert!(matches!(Manifest::from_json(deep.as_bytes()), Err(ManifestError::NotJson { .. })));
}

#[test]
fn a_price_is_read_to_the_cent() {
    for (text, cents) in
        [("0", 0), ("0.0", 0), ("19.99", 1999), ("5.5", 550), ("999999.99", 99_999_999), ("0.07", 7)]
    {
        let price: Price = serde_json::from_str(text).unwrap();
        assert_eq!(price.cents(), cents, "{text}");
    }
    for text in ["-1", "-0.01", "19.999", "1000000", "1e400", "0.1000001", "\"5\"", "1e-7", "4294967296"] {
        assert!(serde_json::from_str::<Price>(text).is_err(), "{text}");
    }
}

#[test]
fn an_app_type_has_one_text() {
    for app_type in AppType::ALL {
        assert_eq!(app_type.as_str().parse(), Ok(app_type));
        assert_eq!(serde_json::to_value(app_type).unwrap(), json!(app_type.as_str()));
    }
    assert_eq!("Payment".parse::<AppType>(), Err(ParseAppTypeError));
}

proptest! {
    #[test]
    fn every_price_reads_back(cents in 0..=Price::MAX_CENTS) {
        let price = Price::from_cents(cents).unwrap();
        let json = serde_json::to_string(&price).unwrap();
        prop_assert_eq!(serde_json::from_str::<Price>(&json).unwrap(), price);
    }

    #[test]
    fn a_marketplace_id_reads_back(vendor in "[a-z0-9]([a-z0-9-]{0,20}[a-z0-9])?", name in "[a-z0-9]([a-z0-9-]{0,20}[a-z0-9])?") {
        let text = format!("@{vendor}/{name}");
        let id: MarketplaceId = text.parse().unwrap();
        prop_assert_eq!((id.vendor(), id.name(), id.as_str()), (vendor.as_str(), name.as_str(), text.as_str()));
    }

    #[test]
    fn no_text_makes_a_bad_marketplace_id(text in "[@/a-zA-Z. \n-]{0,20}") {
        if let Ok(id) = text.parse::<MarketplaceId>() {
            prop_assert!(!id.as_str().contains(['\n', ' ', '.']) && id.as_str().matches('/').count() == 1);
        }
    }

    #[test]
    fn no_bytes_panic(bytes: Vec<u8>) {
        prop_assert!(Manifest::from_json(&bytes).is_err());
    }
}
