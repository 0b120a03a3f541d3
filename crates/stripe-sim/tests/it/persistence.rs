//! With a data file, a restart forgets nothing.

use serde_json::{Value, json};
use stripe_sim::{SimConfig, StripeSim};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::support::{PURCHASE, Receiver, Sim};

#[tokio::test]
async fn sessions_keys_and_undelivered_events_survive_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("stripe.json");
    let before = Receiver::start().await;
    let sim = Sim::start_with(|config| {
        config.data = Some(file.clone());
        config.endpoints = vec![before.endpoint()];
    })
    .await;
    sim.control("delivery/pause", json!({})).await;
    let created = sim.post_form("/v1/checkout/sessions", PURCHASE, Some("ord_1")).await.text().await.unwrap();
    let paid = sim.pay().await;
    sim.stop().await;

    // The endpoint has moved meanwhile.
    let mut after = Receiver::start().await;
    let sim = Sim::start_with(|config| {
        config.data = Some(file);
        config.endpoints = vec![after.endpoint()];
    })
    .await;
    let session = sim.json(&format!("/v1/checkout/sessions/{paid}")).await;
    assert_eq!(session["payment_status"], "paid");
    let again = sim.post_form("/v1/checkout/sessions", PURCHASE, Some("ord_1")).await;
    assert_eq!(again.headers()["idempotent-replayed"], "true");
    assert_eq!(again.text().await.unwrap(), created);
    sim.control("delivery/resume", json!({})).await;
    assert_eq!(after.next().await.event()["data"]["object"]["id"], paid.as_str());
    assert!(before.is_empty());
    sim.stop().await;
}

#[tokio::test]
async fn what_was_answered_is_in_the_file_already() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("stripe.json");
    let sim = Sim::start_with(|config| config.data = Some(file.clone())).await;
    let id = sim.create_session().await;
    // Read while it runs: what a crash at this moment would leave.
    assert!(std::fs::read_to_string(&file).unwrap().contains(&id));
}

#[tokio::test]
async fn a_session_whose_time_ran_out_meanwhile_expires() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("stripe.json");
    let mut receiver = Receiver::start().await;
    let sim = Sim::start_with(|config| config.data = Some(file.clone())).await;
    let id = sim.create_session().await;
    sim.stop().await;
    let mut state: Value = serde_json::from_slice(&std::fs::read(&file).unwrap()).unwrap();
    state["sessions"][0]["terms"]["expires_at"] = json!(1);
    std::fs::write(&file, state.to_string()).unwrap();
    let sim = Sim::start_with(|config| {
        config.data = Some(file);
        config.endpoints = vec![receiver.endpoint()];
    })
    .await;
    let event = receiver.next().await.event();
    assert_eq!(event["type"], "checkout.session.expired");
    assert_eq!(event["data"]["object"]["id"], id.as_str());
    assert_eq!(sim.json(&format!("/v1/checkout/sessions/{id}")).await["status"], "expired");
}

#[tokio::test]
async fn a_file_of_something_else_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("notes.json");
    std::fs::write(&file, "[1, 2]").unwrap();
    let mut config = SimConfig::new(TcpListener::bind("127.0.0.1:0").await.unwrap());
    config.data = Some(file);
    let refused = StripeSim::start(config, CancellationToken::new()).await;
    let message = refused.err().unwrap().to_string();
    assert!(message.contains("remove it to start afresh"), "{message}");
}
