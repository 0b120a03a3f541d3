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

fn hosted() -> Value {
    let mut manifest = minimal();
    manifest["entry"] = json!("https://app.example/");
    manifest["hosted"] = json!({
        "installation_url": "https://app.example/install", "code_url": "https://cdn.app.example/1/app.js",
        "api": {"min_version": 1, "max_version": 3}
    });
    manifest
}

fn hosted_with(field: &str, value: Value) -> Value {
    let mut manifest = hosted();
    manifest["hosted"][field] = value;
    manifest
}

#[test]
fn a_hosted_app_has_an_address_and_an_installation_endpoint() {
    let manifest = Manifest::try_from(hosted()).unwrap();
    let place = manifest.hosted.as_ref().unwrap();
    assert_eq!(manifest.entry, "https://app.example/");
    assert_eq!(place.installation_url, "https://app.example/install");
    assert_eq!(place.code_url.as_deref(), Some("https://cdn.app.example/1/app.js"));
    assert_eq!(place.api, Some(ApiRange::new(1, 3)));
    assert_eq!(serde_json::to_value(&manifest).unwrap(), hosted());
    let mut small = minimal();
    small["entry"] = json!("http://app.example");
    small["hosted"] = json!({"installation_url": "http://app.example/install?from=mercato"});
    let manifest = Manifest::try_from(small.clone()).unwrap();
    assert_eq!(manifest.hosted.as_ref().unwrap().api, None);
    assert_eq!(serde_json::to_value(&manifest).unwrap(), small);
}

#[test]
fn unknown_keys_of_a_hosted_app_are_kept_too() {
    let mut full = hosted_with("region", json!("eu"));
    full["hosted"]["api"]["flavour"] = json!(null);
    let manifest = Manifest::try_from(full.clone()).unwrap();
    assert_eq!(serde_json::to_value(&manifest).unwrap(), full);
}

#[test]
fn what_is_wrong_with_a_hosted_app_is_told_by_its_place() {
    for (field, value) in [
        ("installation_url", json!("/install")),
        ("installation_url", json!("ftp://app.example/install")),
        ("installation_url", json!("https://user:pass@app.example/install")),
        ("installation_url", json!("https://app.example/install#top")),
        ("installation_url", json!(null)),
        ("code_url", json!("./app.js")),
        ("api", json!([1, 3])),
    ] {
        assert_eq!(problems_of(hosted_with(field, value)), [format!("hosted.{field}")]);
    }
    for (api, problems) in [
        (json!({"min_version": 3, "max_version": 1}), vec!["hosted.api.max_version"]),
        (
            json!({"min_version": -1, "max_version": 1.5}),
            vec!["hosted.api.min_version", "hosted.api.max_version"],
        ),
        (json!({"max_version": 1_000_001}), vec!["hosted.api.min_version", "hosted.api.max_version"]),
    ] {
        assert_eq!(problems_of(hosted_with("api", api)), problems);
    }
    assert_eq!(problems_of(with("hosted", json!({}))), ["entry", "hosted.installation_url"]);
    assert_eq!(problems_of(with("hosted", json!("yes"))), ["entry", "hosted"]);
    let error = Manifest::try_from(hosted_with("installation_url", json!("s3cret"))).unwrap_err();
    assert_eq!(
        error.to_string(),
        "manifest.json is not valid: `hosted.installation_url` must be a whole URL that begins with https://"
    );
}

#[test]
fn an_address_is_for_hosted_apps_and_a_path_for_the_others() {
    assert_eq!(problems_of(with("entry", json!("https://app.example/"))), ["entry"]);
    let mut path = hosted();
    path["entry"] = json!("./index.js");
    assert_eq!(problems_of(path), ["entry"]);
    assert!(Manifest::try_from(with("hosted", json!(null))).unwrap().hosted.is_none());
}

#[test]
fn api_ranges_overlap_when_one_version_is_in_both() {
    let range = ApiRange::new(2, 4);
    for (min, max, expected) in
        [(1, 1, false), (1, 2, true), (3, 3, true), (1, 9, true), (4, 9, true), (5, 9, false)]
    {
        assert_eq!(range.overlaps(min, max), expected, "{min}..{max}");
    }
}

/// The examples of RFC 8785, sections 3.2.2 and 3.2.3.
#[test]
fn the_canonical_form_is_that_of_rfc_8785() {
    let text = r#"{
        "numbers": [333333333.33333329, 1E30, 4.50, 2e-3, 0.000000000000000000000000001],
        "string": "\u20ac$\u000F\u000aA'\u0042\u0022\u005c\\\"\/", "literals": [null, true, false],
        "order": {"\u20ac": "Euro Sign", "\r": "Carriage Return", "\ufb33": "Hebrew Letter Dalet With Dagesh",
                  "1": "One", "\ud83d\ude00": "Emoji: Grinning Face", "\u0080": "Control", "\u00f6": "O"}
    }"#;
    let manifest = Manifest::try_from(with("x", serde_json::from_str(text).unwrap())).unwrap();
    let canonical = String::from_utf8(manifest.canonical()).unwrap();
    for part in [
        r#""numbers":[333333333.3333333,1e+30,4.5,0.002,1e-27]"#,
        r#""string":"€$\u000f\nA'B\"\\\\\"/""#,
        r#""literals":[null,true,false]"#,
        "\"order\":{\"\\r\":\"Carriage Return\",\"1\":\"One\",\"\u{80}\":\"Control\",\"ö\":\"O\",\"€\":\"Euro Sign\",\"😀\":\"Emoji: Grinning Face\",\"\u{fb33}\":\"Hebrew Letter Dalet With Dagesh\"}",
    ] {
        assert!(canonical.contains(part), "{part} in {canonical}");
    }
    assert!(canonical.starts_with(r#"{"author":"CarphaCom","carphacom_min_version":"1.0.0","description":"#));
}

#[test]
fn the_canonical_form_leaves_out_nothing_but_absent_fields() {
    let manifest = Manifest::try_from(with("icon_url", json!(null))).unwrap();
    assert_eq!(manifest.canonical(), Manifest::try_from(minimal()).unwrap().canonical());
    let manifest = Manifest::try_from(hosted()).unwrap();
    assert_eq!(manifest.canonical(), serde_json_canonicalizer::to_vec(&hosted()).unwrap());
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

fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<f64>().prop_filter("JSON has no infinity", |number| number.is_finite()).prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<String>().prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 20, 5, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
            prop::collection::btree_map(any::<String>(), inner, 0..5)
                .prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

/// The same JSON as another tool might write it: keys the other way round, and spaces.
fn written_otherwise(value: &Value) -> String {
    match value {
        Value::Object(map) => {
            let mut keys: Vec<_> = map.keys().collect();
            keys.sort_unstable_by(|a, b| b.cmp(a));
            let members =
                keys.iter().map(|key| format!("{} : {}", json!(key), written_otherwise(&map[*key])));
            format!("{{ {} }}", members.collect::<Vec<_>>().join(" ,\n"))
        }
        Value::Array(items) => {
            format!("[\t{} ]", items.iter().map(written_otherwise).collect::<Vec<_>>().join(" , "))
        }
        other => other.to_string(),
    }
}

proptest! {
    #[test]
    fn the_canonical_form_is_one_for_all_ways_to_write_it(extra in any_json(), inner in any_json(), cents in 0..=Price::MAX_CENTS) {
        let mut value = hosted_with("x-inner", inner);
        value["x-extra"] = extra;
        value["price_eur"] = serde_json::to_value(Price::from_cents(cents).unwrap()).unwrap();
        let canonical = Manifest::try_from(value.clone()).unwrap().canonical();
        let otherwise = Manifest::from_json(written_otherwise(&value).as_bytes()).unwrap();
        prop_assert_eq!(&otherwise.canonical(), &canonical);
        let again = Manifest::from_json(&canonical).unwrap();
        prop_assert_eq!(&again.canonical(), &canonical);
        prop_assert_eq!(serde_json_canonicalizer::to_vec(&value).unwrap(), canonical);
    }

    #[test]
    fn two_manifests_have_two_canonical_forms(a in "[a-z]{1,9}", b in "[a-z]{1,9}") {
        let form = |code: &str| Manifest::try_from(hosted_with("code_url", json!(format!("https://a.example/{code}")))).unwrap().canonical();
        prop_assert_eq!(form(&a) == form(&b), a == b);
    }

    #[test]
    fn overlap_is_having_a_version_in_common(a in 0..20_u32, b in 0..20_u32, c in 0..20_u32, d in 0..20_u32) {
        let ((a, b), (c, d)) = ((a.min(b), a.max(b)), (c.min(d), c.max(d)));
        prop_assert_eq!(ApiRange::new(a, b).overlaps(c, d), (a..=b).any(|version| (c..=d).contains(&version)));
    }

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
