use std::path::Path;

/// `cargo run -p gateway --example openapi > docs/openapi.json` writes it anew.
#[test]
fn the_committed_document_says_what_the_code_does() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/openapi.json");
    let committed = std::fs::read_to_string(path).expect("docs/openapi.json is committed");
    let same = committed == gateway::openapi::json();
    assert!(
        same,
        "docs/openapi.json is behind; write it with: cargo run -p gateway --example openapi > docs/openapi.json"
    );
}

#[test]
fn every_call_of_a_shop_is_documented_with_its_credential() {
    let document: serde_json::Value = serde_json::from_str(&gateway::openapi::json()).unwrap();
    let paths = document["paths"].as_object().unwrap();
    for path in [
        "/store/marketplace/feed",
        "/store/marketplace/feed/{marketplaceId}",
        "/store/marketplace/updates",
        "/store/marketplace/download/{marketplaceId}/{version}",
        "/store/marketplace/checkout/session",
        "/store/marketplace/license/verify",
        "/store/marketplace/license/deactivate",
        "/store/marketplace/licenses",
        "/store/marketplace/installations",
        "/store/marketplace/installations/{id}",
        "/store/marketplace/installations/{id}/update",
        "/store/marketplace/installations/introspect",
        "/.well-known/mercato.json",
    ] {
        assert!(paths.contains_key(path), "{path} is missing");
    }
    for (path, calls) in
        paths.iter().filter(|(path, _)| ["/admin", "/store", "/vendor"].iter().any(|of| path.starts_with(of)))
    {
        for (method, call) in calls.as_object().unwrap() {
            assert!(call["security"].is_array(), "{method} {path} names no credential");
        }
    }
}
