#![allow(clippy::unwrap_used)]

use proptest::prelude::*;
use serde_json::json;
use wire::{
    manifest::Manifest,
    release::{ArtifactDigest, ReleaseSignature},
};

use super::*;
use crate::domain::{Artifact, Content, ReleaseState};

struct Entry {
    id: &'static str,
    name: &'static str,
    description: &'static str,
    keywords: &'static [&'static str],
    app_type: &'static str,
    published_at_ms: i64,
}

const ENTRIES: [Entry; 5] = [
    Entry {
        id: "@carphacom/seo-essentials",
        name: "SEO Essentials",
        description: "Titles, sitemaps and redirects",
        keywords: &["google"],
        app_type: "admin-extension",
        published_at_ms: 1,
    },
    Entry {
        id: "@acme/stripe-plus",
        name: "Card payments",
        description: "Takes cards; tells the search engines nothing",
        keywords: &["stripe", "visa"],
        app_type: "payment",
        published_at_ms: 2,
    },
    Entry {
        id: "@acme/parcel",
        name: "Parcel warehouse",
        description: "Labels for parcels",
        keywords: &[],
        app_type: "fulfillment",
        published_at_ms: 3,
    },
    Entry {
        id: "@acme/cafe",
        name: "Café theme",
        description: "A warm look for payments and more",
        keywords: &["seo"],
        app_type: "storefront-template",
        published_at_ms: 4,
    },
    Entry {
        id: "@acme/cafe-two",
        name: "Café theme",
        description: "Another warm look",
        keywords: &[],
        app_type: "storefront-template",
        published_at_ms: 5,
    },
];

fn product(entry: &Entry) -> Arc<Product> {
    let manifest = json!({
        "id": "app", "marketplace_id": entry.id, "name": entry.name, "version": "1.0.0", "type": entry.app_type,
        "carphacom_min_version": "1.0.0", "description": entry.description, "author": "Somebody",
        "price_eur": 0, "entry": "index.js", "keywords": entry.keywords,
    });
    let manifest = Manifest::try_from(manifest).unwrap();
    let signature = ReleaseSignature { key_id: "k".into(), value: "s".into() };
    let (id, app_type) = (manifest.marketplace_id.clone(), manifest.app_type);
    let release = Release {
        id: "rel_1".into(),
        product_id: "ccmp_1".into(),
        manifest,
        manifest_json: String::new(),
        content: Content::Plugin(Artifact { sha256: ArtifactDigest::of(b""), size: 0 }),
        signature: signature.clone(),
        vendor_signature: signature,
        security: false,
        required_after_ms: None,
        published_at_ms: entry.published_at_ms,
        state: ReleaseState::Published,
    };
    Arc::new(Product::new("ccmp_1".into(), id, app_type, ("Vendor Ltd".into(), Vec::new()), vec![release]))
}

fn searching() -> Searching {
    SearchIndex::new().unwrap().apply(&ENTRIES.iter().map(product).collect::<Vec<_>>()).unwrap()
}

fn found(text: &str) -> Vec<String> {
    searching().find(text, None, Page::new(0, 0).unwrap()).unwrap().0
}

#[test]
fn a_name_counts_more_than_a_keyword_and_a_keyword_more_than_a_description() {
    assert_eq!(found("seo"), ["@carphacom/seo-essentials", "@acme/cafe"]);
    assert_eq!(found("payments"), ["@acme/stripe-plus", "@acme/cafe"]);
    assert_eq!(found("search"), ["@acme/stripe-plus"]);
}

#[test]
fn what_is_still_being_typed_or_mistyped_is_found() {
    assert_eq!(found("wareh"), ["@acme/parcel"]);
    assert_eq!(found("essentails"), ["@carphacom/seo-essentials"]);
    assert_eq!(found("stirpe"), ["@acme/stripe-plus"]);
    assert_eq!(found("warehousr"), ["@acme/parcel"]);
    assert_eq!(found("vsa"), [""; 0], "a short word with a slip is another word");
}

#[test]
fn accents_and_case_make_no_difference_and_equal_matches_stand_newest_first() {
    assert_eq!(found("CAFE"), ["@acme/cafe-two", "@acme/cafe"]);
    assert_eq!(found("café"), found("cafe"));
}

#[test]
fn an_id_and_a_vendor_are_found() {
    assert_eq!(found("@carphacom/seo-essentials"), ["@carphacom/seo-essentials"]);
    assert_eq!(found("carphacom"), ["@carphacom/seo-essentials"]);
    assert_eq!(found("vendor ltd").len(), 5);
}

#[test]
fn every_word_must_be_found() {
    assert_eq!(found("warm payments"), ["@acme/cafe"]);
    assert_eq!(found("warm nonsense"), [""; 0]);
}

#[test]
fn a_type_narrows_and_pages_add_up() {
    let searching = searching();
    let of_type = Some(AppType::StorefrontTemplate);
    let page = |limit, offset| searching.find("acme", of_type, Page::new(limit, offset).unwrap()).unwrap();
    assert_eq!(page(1, 0), (vec!["@acme/cafe-two".to_owned()], 2));
    assert_eq!(page(1, 1), (vec!["@acme/cafe".to_owned()], 2));
    assert_eq!(page(100, u32::MAX), (vec![], 2));
}

#[test]
fn a_changed_app_is_found_by_its_new_words_only() {
    let searching = searching();
    let renamed = Entry { name: "Depot", description: "Labels", ..ENTRIES[2] };
    let searching = searching.index().apply(&[product(&renamed)]).unwrap();
    let find = |text| searching.find(text, None, Page::new(0, 0).unwrap()).unwrap().1;
    assert_eq!((find("depot"), find("warehouse")), (1, 0));
}

#[test]
fn what_has_no_word_in_it_finds_nothing() {
    for odd in ["???", "\"", "AND OR (", "name:", "*", "-", "🦀", "~5 ^2 \\", &"x".repeat(10_000)] {
        assert_eq!(found(odd), [""; 0], "{odd}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn nothing_typed_is_an_error(text in any::<String>()) {
        prop_assert!(searching().find(&text, Some(AppType::Payment), Page::new(0, 0).unwrap()).is_ok());
    }
}
