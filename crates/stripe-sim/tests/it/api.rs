//! The calls, and Stripe's answers to wrong ones.

use serde_json::Value;

use crate::support::{PURCHASE, Sim};

async fn error_of(answer: reqwest::Response, status: u16) -> Value {
    assert_eq!(answer.status(), status);
    assert!(answer.headers()["request-id"].to_str().unwrap().starts_with("req_"));
    answer.json::<Value>().await.unwrap()["error"].clone()
}

#[tokio::test]
async fn a_created_session_can_be_read_again() {
    let sim = Sim::start().await;
    let created = sim.post_form("/v1/checkout/sessions", PURCHASE, None).await;
    assert!(created.headers().contains_key("request-id"));
    assert_eq!(created.headers()["stripe-version"], "2025-09-30.clover");
    let created: Value = created.json().await.unwrap();
    assert_eq!(created["object"], "checkout.session");
    assert_eq!((&created["status"], &created["payment_status"]), (&"open".into(), &"unpaid".into()));
    assert_eq!((&created["amount_total"], &created["currency"]), (&4900.into(), &"eur".into()));
    assert_eq!(created["metadata"]["order"], "ord_1");
    assert_eq!(created["client_reference_id"], "ord_1");
    let id = created["id"].as_str().unwrap();
    assert_eq!(created["url"], format!("{}/pay/{id}", sim.url));
    assert_eq!(sim.json(&format!("/v1/checkout/sessions/{id}")).await, created);
}

#[tokio::test]
async fn calls_without_the_right_key_are_refused() {
    let sim = Sim::start().await;
    let url = format!("{}/v1/events", sim.url);
    let none = error_of(sim.client.get(&url).send().await.unwrap(), 401).await;
    assert!(none["message"].as_str().unwrap().starts_with("You did not provide an API key."));
    let wrong =
        error_of(sim.client.get(&url).bearer_auth("sk_test_0123456789").send().await.unwrap(), 401).await;
    assert_eq!(wrong["message"], "Invalid API Key provided: sk_test_******6789");
    assert_eq!(wrong["type"], "invalid_request_error");
    let basic = sim.client.get(&url).basic_auth("sk_test_mercato", Some("")).send().await.unwrap();
    assert_eq!(basic.status(), 200);
}

#[tokio::test]
async fn unknown_and_missing_parameters_are_named() {
    let sim = Sim::start().await;
    let unknown = [PURCHASE, &[("colour", "red")]].concat();
    let unknown = error_of(sim.post_form("/v1/checkout/sessions", &unknown, None).await, 400).await;
    assert_eq!((&unknown["code"], &unknown["param"]), (&"parameter_unknown".into(), &"colour".into()));
    assert!(unknown["request_log_url"].as_str().unwrap().contains("/req_"));
    let missing = error_of(sim.post_form("/v1/checkout/sessions", &PURCHASE[1..], None).await, 400).await;
    assert_eq!((&missing["code"], &missing["param"]), (&"parameter_missing".into(), &"mode".into()));
    let listing = error_of(sim.get("/v1/events?colour=red").await, 400).await;
    assert_eq!(listing["code"], "parameter_unknown");
}

#[tokio::test]
async fn a_body_that_is_no_form_is_refused() {
    let sim = Sim::start().await;
    let request = sim.client.post(format!("{}/v1/checkout/sessions", sim.url)).bearer_auth("sk_test_mercato");
    let error =
        error_of(request.json(&serde_json::json!({ "mode": "payment" })).send().await.unwrap(), 400).await;
    assert!(error["message"].as_str().unwrap().contains("application/x-www-form-urlencoded"));
}

#[tokio::test]
async fn what_is_not_there_is_a_404() {
    let sim = Sim::start().await;
    for path in ["checkout/sessions/cs_test_none", "payment_intents/pi_none", "events/evt_none"] {
        let error = error_of(sim.get(&format!("/v1/{path}")).await, 404).await;
        assert_eq!(error["code"], "resource_missing", "{path}");
    }
    let error = error_of(sim.get("/v1/unicorns").await, 404).await;
    assert!(error["message"].as_str().unwrap().starts_with("Unrecognized request URL (GET: /v1/unicorns)"));
    let error = error_of(sim.post_form("/v1/events", &[], None).await, 404).await;
    assert!(error["message"].as_str().unwrap().starts_with("Unrecognized request URL (POST: /v1/events)"));
}

#[tokio::test]
async fn an_unknown_version_is_refused_and_a_known_one_echoed() {
    let sim = Sim::start().await;
    let get = |version: &str| {
        let request = sim.client.get(format!("{}/v1/events", sim.url)).bearer_auth("sk_test_mercato");
        request.header("Stripe-Version", version).send()
    };
    assert_eq!(get("2024-06-20").await.unwrap().headers()["stripe-version"], "2024-06-20");
    assert_eq!(get("newest").await.unwrap().status(), 400);
}

#[tokio::test]
async fn the_same_key_gives_the_same_answer() {
    let sim = Sim::start().await;
    let first = sim.post_form("/v1/checkout/sessions", PURCHASE, Some("ord_1")).await;
    assert!(!first.headers().contains_key("idempotent-replayed"));
    let request_id = first.headers()["request-id"].clone();
    let first = first.text().await.unwrap();
    let again = sim.post_form("/v1/checkout/sessions", PURCHASE, Some("ord_1")).await;
    assert_eq!(again.headers()["idempotent-replayed"], "true");
    assert_eq!(again.headers()["original-request"], request_id);
    assert_eq!(again.text().await.unwrap(), first);
    let other = [PURCHASE, &[("locale", "fr")]].concat();
    let error = error_of(sim.post_form("/v1/checkout/sessions", &other, Some("ord_1")).await, 400).await;
    assert_eq!(error["type"], "idempotency_error");
}

#[tokio::test]
async fn racing_calls_of_one_key_create_one_session() {
    let sim = Sim::start().await;
    let call = || async {
        let answer = sim.post_form("/v1/checkout/sessions", PURCHASE, Some("ord_1")).await;
        answer.json::<Value>().await.unwrap()["id"].clone()
    };
    let (a, b, c, d) = tokio::join!(call(), call(), call(), call());
    assert!(a == b && b == c && c == d);
    assert_eq!(sim.json("/v1/checkout/sessions").await["data"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn a_refused_call_leaves_its_key_free() {
    let sim = Sim::start().await;
    assert_eq!(sim.post_form("/v1/checkout/sessions", &[], Some("ord_1")).await.status(), 400);
    assert_eq!(sim.post_form("/v1/checkout/sessions", PURCHASE, Some("ord_1")).await.status(), 200);
}

#[tokio::test]
async fn a_session_is_expired_once() {
    let sim = Sim::start().await;
    let id = sim.create_session().await;
    let path = format!("/v1/checkout/sessions/{id}/expire");
    let expired: Value = sim.post_form(&path, &[], None).await.json().await.unwrap();
    assert_eq!((&expired["status"], &expired["url"]), (&"expired".into(), &Value::Null));
    let error = error_of(sim.post_form(&path, &[], None).await, 400).await;
    assert!(error["message"].as_str().unwrap().contains("This Session has a status of expired."));
    let event = &sim.json("/v1/events").await["data"][0];
    assert_eq!(event["type"], "checkout.session.expired");
    assert!(event["request"]["id"].as_str().unwrap().starts_with("req_"));
}

#[tokio::test]
async fn a_payment_leaves_its_intent_and_events_newest_first() {
    let sim = Sim::start().await;
    let id = sim.pay().await;
    let session = sim.json(&format!("/v1/checkout/sessions/{id}")).await;
    let intent = session["payment_intent"].as_str().unwrap();
    let intent = sim.json(&format!("/v1/payment_intents/{intent}")).await;
    assert_eq!((&intent["status"], &intent["amount_received"]), (&"succeeded".into(), &4900.into()));
    assert_eq!(intent["metadata"]["order"], "ord_1");
    let page = sim.json("/v1/events?limit=1").await;
    assert_eq!((&page["object"], &page["has_more"]), (&"list".into(), &true.into()));
    assert_eq!(page["data"][0]["type"], "checkout.session.completed");
    let newest = page["data"][0]["id"].as_str().unwrap();
    assert_eq!(sim.json(&format!("/v1/events/{newest}")).await, page["data"][0]);
    let rest = sim.json(&format!("/v1/events?starting_after={newest}")).await;
    assert_eq!((rest["data"].as_array().unwrap().len(), &rest["has_more"]), (3, &false.into()));
    let of_type = sim.json("/v1/events?types[]=charge.*&created[gte]=1").await;
    assert_eq!(of_type["data"][0]["type"], "charge.succeeded");
}
