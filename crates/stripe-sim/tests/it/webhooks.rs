//! Events reach their endpoints, signed, until they are taken.

use serde_json::{Value, json};

use crate::support::{Receiver, SECRET, Sim};

#[tokio::test]
async fn a_payment_is_told_in_a_signed_event() {
    let mut receiver = Receiver::start().await;
    let sim = Sim::start_for(&receiver).await;
    let session = sim.pay().await;
    let told = receiver.next().await;
    assert!(told.is_signed_by(SECRET));
    assert!(!told.is_signed_by("whsec_other"));
    let event = told.event();
    assert_eq!((&event["object"], &event["type"]), (&"event".into(), &"checkout.session.completed".into()));
    let object = &event["data"]["object"];
    assert_eq!((&object["id"], &object["payment_status"]), (&session.into(), &"paid".into()));
    assert_eq!(object["customer_details"]["email"], "ada@shop.example");
}

#[tokio::test]
async fn a_refused_event_comes_again_until_it_is_taken() {
    let mut receiver = Receiver::start().await;
    receiver.answers(&[500, 302, 200]);
    let sim = Sim::start_for(&receiver).await;
    sim.pay().await;
    let ids = [receiver.next().await, receiver.next().await, receiver.next().await]
        .map(|one| one.event()["id"].clone());
    assert!(ids[0] == ids[1] && ids[1] == ids[2]);
    // A later event is told after the first was settled, so nothing more came of that one.
    sim.pay().await;
    assert_ne!(receiver.next().await.event()["id"], ids[0]);
    let path = format!("/sim/deliveries?event={}", ids[0].as_str().unwrap());
    let settled = sim.json_when(&path, |list| list["deliveries"][0]["status"] == "succeeded").await;
    assert_eq!(settled["deliveries"][0]["attempts"], 3);
}

#[tokio::test]
async fn what_was_not_delivered_can_be_listed() {
    let mut receiver = Receiver::start().await;
    let sim = Sim::start_for(&receiver).await;
    sim.control("delivery/pause", json!({})).await;
    sim.pay().await;
    let undelivered = sim.json("/v1/events?delivery_success=false").await;
    let event = &undelivered["data"][0];
    assert_eq!(undelivered["data"].as_array().unwrap().len(), 1);
    assert_eq!(
        (&event["type"], &event["pending_webhooks"]),
        (&"checkout.session.completed".into(), &1.into())
    );
    assert!(receiver.is_empty());
    // Sent by hand and taken, it counts as delivered.
    let id = event["id"].as_str().unwrap();
    let sent: Value = sim.control(&format!("events/{id}/deliver"), json!({})).await.json().await.unwrap();
    assert_eq!(sent["answers"][0]["status"], 200);
    receiver.next().await;
    let undelivered = sim.json("/v1/events?delivery_success=false").await;
    assert_eq!(undelivered["data"], json!([]));
    // The one held back is sent when delivery resumes.
    sim.control("delivery/resume", json!({})).await;
    assert_eq!(receiver.next().await.event()["id"], id);
}

#[tokio::test]
async fn a_buyer_who_pays_later_is_told_of_twice() {
    let mut receiver = Receiver::start().await;
    let sim = Sim::start_for(&receiver).await;
    let id = sim.create_session().await;
    sim.control(&format!("sessions/{id}/pay_later"), json!({})).await;
    let first = receiver.next().await.event();
    assert_eq!(first["type"], "checkout.session.completed");
    assert_eq!(first["data"]["object"]["payment_status"], "unpaid");
    sim.control(&format!("sessions/{id}/settle"), json!({})).await;
    let second = receiver.next().await.event();
    assert_eq!(second["type"], "checkout.session.async_payment_succeeded");
    assert_eq!(second["data"]["object"]["payment_status"], "paid");
}
