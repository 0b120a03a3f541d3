use serde_json::{Value, json};

use crate::harness::{ADMIN_KEY, Gateway, SHOP_KEY};

async fn refusal(response: reqwest::Response, status: u16, kind: &str) -> String {
    assert_eq!(response.status(), status);
    let body: Value = response.json().await.unwrap();
    assert_eq!(body["type"], kind, "{body}");
    body["message"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn a_body_with_an_extra_field_is_refused_and_not_echoed() {
    let gateway = Gateway::start().await;
    let body = json!({
        "license_key": "CC-1", "marketplace_id": "@v/app", "instance_id": "inst_1", "customer": "jo@example.com",
    });
    let says = refusal(gateway.verify(Some(SHOP_KEY), body).await, 400, "invalid_data").await;
    assert!(
        says.contains("`license_key`") && !says.contains("jo@example.com") && !says.contains("customer"),
        "{says}"
    );
}

#[tokio::test]
async fn a_query_with_an_extra_field_is_told_what_is_taken_and_not_echoed() {
    let gateway = Gateway::start().await;
    let url = format!("{}/store/marketplace/feed?jo@example.com=1", gateway.url);
    let response = gateway.http.get(url).header("x-publishable-api-key", SHOP_KEY).send().await.unwrap();
    let says = refusal(response, 400, "invalid_data").await;
    assert!(says.contains("not taken here; it takes one of `type`"), "{says}");
    assert!(!says.contains("jo@example.com"), "{says}");
}

#[tokio::test]
async fn a_wrong_content_type_broken_json_and_a_body_over_the_limit_each_say_what_would_be_right() {
    let gateway = Gateway::start().await;
    let url = format!("{}/store/marketplace/license/verify", gateway.url);
    let post = |kind: &'static str, body: String| {
        gateway
            .http
            .post(&url)
            .header("x-publishable-api-key", SHOP_KEY)
            .header("content-type", kind)
            .body(body)
            .send()
    };
    let says = refusal(post("text/plain", "{}".to_owned()).await.unwrap(), 400, "invalid_data").await;
    assert!(says.contains("application/json"), "{says}");
    let says = refusal(post("application/json", "{".to_owned()).await.unwrap(), 400, "invalid_data").await;
    assert!(says.contains("well-formed"), "{says}");
    let large = format!("{{\"license_key\":\"{}\"}}", "x".repeat(20_000));
    refusal(post("application/json", large).await.unwrap(), 413, "too_large").await;
}

#[tokio::test]
async fn wrong_queries_are_refused_before_any_service_is_asked() {
    let gateway = Gateway::start().await;
    let long = "x".repeat(40_000);
    let cases = [
        "feed?page=0".to_owned(),
        "feed?per_page=1000".to_owned(),
        "feed?page=one".to_owned(),
        "feed?type=game".to_owned(),
        "feed?colour=red".to_owned(),
        "feed/no-vendor".to_owned(),
        "updates?versions=no-json".to_owned(),
        format!("updates?versions={long}"),
        "updates?versions={}&platform_version=new".to_owned(),
        "updates".to_owned(),
        "download/@v/app/one".to_owned(),
        "download/%40v%2Fapp/one".to_owned(),
    ];
    for path in cases {
        let url = format!("{}/store/marketplace/{path}", gateway.url);
        let response = gateway.http.get(url).header("x-publishable-api-key", SHOP_KEY).send().await.unwrap();
        refusal(response, 400, "invalid_data").await;
    }
}

#[tokio::test]
async fn a_service_that_is_away_is_unavailable_and_nothing_of_the_inside_is_told() {
    let gateway = Gateway::start().await;
    let orders = gateway.call(reqwest::Method::GET, "/admin/orders", ADMIN_KEY);
    let response = orders.send().await.unwrap();
    assert!(response.headers().contains_key("retry-after"));
    let says = refusal(response, 503, "unavailable").await;
    assert!(!says.contains("127.0.0.1"), "{says}");
}

#[tokio::test]
async fn what_is_not_there_and_a_wrong_method_are_told_in_the_same_form() {
    let gateway = Gateway::start().await;
    refusal(gateway.http.get(format!("{}/nothing", gateway.url)).send().await.unwrap(), 404, "not_found")
        .await;
    let wrong = gateway.http.delete(format!("{}/store/marketplace/feed", gateway.url)).send().await.unwrap();
    assert_eq!(wrong.headers()["allow"], "GET,HEAD");
    refusal(wrong, 405, "invalid_data").await;
}

#[tokio::test]
async fn a_download_link_that_was_changed_or_has_died_is_refused() {
    let gateway = Gateway::start().await;
    let path = format!("/dl/{}/10/v-app-1.0.0.zip", "ab".repeat(32));
    let now = platform::Clock::system().now_secs();
    let get = |link: String| gateway.http.get(format!("{}{link}", gateway.url)).send();
    let dead = wire::download_url::sign(&[7; 32], &path, now - 1);
    let says = refusal(get(dead).await.unwrap(), 403, "not_allowed").await;
    assert!(says.contains("expired"), "{says}");
    let changed = wire::download_url::sign(&[7; 32], &path, now + 60).replace("/10/", "/11/");
    refusal(get(changed).await.unwrap(), 403, "not_allowed").await;
    let good = wire::download_url::sign(&[7; 32], &path, now + 60);
    refusal(get(good).await.unwrap(), 503, "unavailable").await;
}

#[tokio::test]
async fn the_documents_are_served() {
    let gateway = Gateway::start().await;
    let document: Value =
        gateway.http.get(format!("{}/openapi.json", gateway.url)).send().await.unwrap().json().await.unwrap();
    assert_eq!(document["info"]["title"], "Mercato");
    let docs = gateway.http.get(format!("{}/docs/", gateway.url)).send().await.unwrap();
    assert!(docs.text().await.unwrap().contains("swagger-ui"));
}
