use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};

use crate::harness::{ADMIN_KEY, Gateway, SHOP_KEY};

const RELEASES: &str = "/admin/vendors/vnd_01ARZ3NDEKTSV4RRFFQ69G5FAV/releases";

fn import(gateway: &Gateway, query: &str, content_type: &str) -> RequestBuilder {
    let call = gateway.call(Method::POST, &format!("{RELEASES}?{query}"), ADMIN_KEY);
    call.header("content-type", content_type).header("x-vendor-signature", "c2lnbmF0dXJl")
}

#[tokio::test]
async fn a_hosted_release_is_its_manifest_and_the_apps_secret_is_shown_once() {
    let gateway = Gateway::start().await;
    let manifest = r#"{"marketplace_id":"@acme/hosted"}"#;
    let call = import(
        &gateway,
        "kind=hosted&required_after=2030-01-02T03:04:05Z",
        "application/json; charset=utf-8",
    );
    let answer = call.body(manifest).send().await.unwrap();
    assert_eq!(answer.status(), 201);
    let body: Value = answer.json().await.unwrap();
    assert_eq!((&body["sha256"], &body["app_secret"]), (&Value::Null, &json!("shown this once")));
    let (header, bytes) = gateway.catalog.imported.lock().unwrap().take().unwrap();
    assert_eq!((header.kind.as_str(), header.required_after_ms), ("hosted", Some(1_893_553_445_000)));
    assert_eq!(bytes, manifest.as_bytes());
}

#[tokio::test]
async fn a_kind_that_is_none_a_body_of_the_other_form_and_a_deadline_that_is_no_time_are_refused() {
    let gateway = Gateway::start().await;
    let cases = [
        ("kind=hosted", "application/zip", "manifest.json"),
        ("kind=plugin", "application/json", "ZIP"),
        ("kind=static", "application/json", "ZIP"),
        ("kind=template", "application/json", "kind must be one of"),
        ("kind=template", "application/zip", "kind must be one of"),
        ("kind=hosted&required_after=tomorrow", "application/json", "RFC 3339"),
        ("kind=hosted&deadline=2030-01-01T00:00:00Z", "application/json", "required_after"),
    ];
    for (query, content_type, says) in cases {
        let refused = import(&gateway, query, content_type).body("{}").send().await.unwrap();
        assert_eq!(refused.status(), 400, "{query}");
        let told: Value = refused.json().await.unwrap();
        assert!(told["message"].as_str().unwrap().contains(says), "{told}");
    }
    assert!(gateway.catalog.imported.lock().unwrap().is_none());
}

#[tokio::test]
async fn a_secret_is_replaced_with_a_day_of_overlap_unless_the_operator_says_otherwise() {
    let gateway = Gateway::start().await;
    for (body, overlap) in [(json!({}), 86_400), (json!({ "overlap_seconds": 0 }), 0)] {
        let call = gateway.call(Method::POST, "/admin/apps/@acme/hosted/secret", ADMIN_KEY).json(&body);
        let answer: Value = call.send().await.unwrap().json().await.unwrap();
        let expected = json!({
            "marketplace_id": "@acme/hosted", "secret": "the new one", "previous_until": "2012-05-02T06:10:07Z",
        });
        assert_eq!(answer, expected);
        let asked = gateway.catalog.rotated.lock().unwrap().take().unwrap();
        assert_eq!((asked.marketplace_id.as_str(), asked.overlap_seconds), ("@acme/hosted", overlap));
    }
}

#[tokio::test]
async fn a_hosted_app_has_nothing_to_download_and_says_so() {
    let gateway = Gateway::start().await;
    let get = async |path: &str| {
        let url = format!("{}/store/marketplace/{path}", gateway.url);
        gateway.http.get(url).header("x-publishable-api-key", SHOP_KEY).send().await.unwrap()
    };
    let feed: Value = get("feed").await.json().await.unwrap();
    let product = &feed["products"][0];
    assert_eq!(
        (&product["kind"], &product["download_url"], &product["sha256"]),
        (&json!("hosted"), &Value::Null, &Value::Null)
    );
    let refused = get("download/@acme/hosted/2.0.0").await;
    assert_eq!(refused.status(), 404);
    assert!(
        refused.json::<Value>().await.unwrap()["message"].as_str().unwrap().contains("install it instead")
    );
    let updates: Value = get("updates?versions={\"@acme/hosted\":\"1.0.0\"}").await.json().await.unwrap();
    assert_eq!(updates["updates"][0]["changes"], json!(["permissions"]));
}
