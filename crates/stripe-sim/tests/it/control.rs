//! What a test asks of the stand-in.

use serde_json::{Value, json};

use crate::support::{Receiver, SECRET, Sim};

#[tokio::test]
async fn an_event_can_come_many_times_at_once_and_again() {
    let mut receiver = Receiver::start().await;
    let sim = Sim::start_for(&receiver).await;
    sim.pay().await;
    let id = receiver.next().await.event()["id"].as_str().unwrap().to_owned();
    receiver.answers(&[500]);
    let sent: Value =
        sim.control(&format!("events/{id}/deliver"), json!({ "times": 5 })).await.json().await.unwrap();
    let statuses: Vec<u64> =
        sent["answers"].as_array().unwrap().iter().map(|one| one["status"].as_u64().unwrap()).collect();
    assert_eq!((statuses.len(), statuses.iter().filter(|status| **status == 500).count()), (5, 1));
    for _ in 0..5 {
        assert_eq!(receiver.next().await.event()["id"], id.as_str());
    }
    assert_eq!(sim.control(&format!("events/{id}/redeliver"), json!({})).await.status(), 202);
    assert_eq!(receiver.next().await.event()["id"], id.as_str());
}

#[tokio::test]
async fn a_made_up_event_is_recorded_and_told() {
    let mut receiver = Receiver::start().await;
    let sim = Sim::start_for(&receiver).await;
    let event = json!({ "type": "checkout.session.completed", "id": "evt_mine", "created": 5, "data": { "object": { "id": "cs_none" } } });
    assert_eq!(sim.control("events", event.clone()).await.status(), 200);
    let told = receiver.next().await.event();
    assert_eq!((&told["id"], &told["created"]), (&"evt_mine".into(), &5.into()));
    assert_eq!(told["data"]["object"]["id"], "cs_none");
    assert_eq!(sim.control("events", event).await.status(), 400);
    assert_eq!(sim.json("/v1/events/evt_mine").await["type"], "checkout.session.completed");
}

#[tokio::test]
async fn any_bytes_can_be_sent_signed() {
    let mut receiver = Receiver::start().await;
    let sim = Sim::start_for(&receiver).await;
    let answer = sim.client.post(format!("{}/sim/send", sim.url)).body("not json").send().await.unwrap();
    assert_eq!(answer.json::<Value>().await.unwrap()["answers"][0]["status"], 200);
    let told = receiver.next().await;
    assert_eq!(&told.body[..], b"not json");
    assert!(told.is_signed_by(SECRET));
}

#[tokio::test]
async fn refunds_and_disputes_are_told_with_their_charge() {
    let mut receiver = Receiver::start().await;
    let sim = Sim::start_for(&receiver).await;
    let id = sim.pay().await;
    let intent = receiver.next().await.event()["data"]["object"]["payment_intent"].clone();
    for (act, body, kind, field, value) in [
        ("refund", json!({ "amount": 900 }), "charge.refunded", "amount_refunded", json!(900)),
        ("refund", json!({}), "charge.refunded", "refunded", json!(true)),
        ("dispute", json!({}), "charge.dispute.created", "status", json!("needs_response")),
        ("close_dispute", json!({ "status": "lost" }), "charge.dispute.closed", "status", json!("lost")),
    ] {
        assert_eq!(sim.control(&format!("sessions/{id}/{act}"), body).await.status(), 200, "{act}");
        let event = receiver.next().await.event();
        assert_eq!((&event["type"], &event["data"]["object"][field]), (&kind.into(), &value));
        assert_eq!(event["data"]["object"]["payment_intent"], intent);
    }
}

#[tokio::test]
async fn endpoints_come_and_go() {
    let mut receiver = Receiver::start().await;
    let sim = Sim::start().await;
    let endpoint = receiver.endpoint();
    let body = json!({ "url": endpoint.url, "secret": endpoint.secret, "enabled_events": ["checkout.session.expired"] });
    let created: Value = sim.control("endpoints", body).await.json().await.unwrap();
    let first = sim.pay().await;
    let second = sim.create_session().await;
    sim.control(&format!("sessions/{second}/expire"), json!({})).await;
    let told = receiver.next().await.event();
    assert_eq!(told["data"]["object"]["id"], second.as_str());
    assert_ne!(first, second);
    let url = format!("{}/sim/endpoints/{}", sim.url, created["id"].as_str().unwrap());
    assert_eq!(sim.client.delete(&url).send().await.unwrap().status(), 200);
    assert_eq!(sim.client.delete(&url).send().await.unwrap().status(), 404);
    assert_eq!(sim.json("/sim/endpoints").await["endpoints"], json!([]));
}

#[tokio::test]
async fn it_tells_what_can_be_asked() {
    let sim = Sim::start().await;
    for path in ["/sim", "/sim/"] {
        let guide = sim.get(path).await.text().await.unwrap();
        assert!(guide.contains("POST /sim/sessions/{id}/pay"), "{path}");
    }
}

#[tokio::test]
async fn what_cannot_be_done_is_explained() {
    let sim = Sim::start().await;
    let id = sim.create_session().await;
    for (path, body, status) in [
        (format!("sessions/{id}/dance"), json!({}), 404),
        (format!("sessions/{id}/settle"), json!({}), 400),
        (format!("sessions/{id}/refund"), json!({ "sum": 1 }), 400),
        (format!("sessions/{id}/close_dispute"), json!({ "status": "tied" }), 400),
        ("sessions/cs_none/pay".into(), json!({}), 404),
        ("events/evt_none/deliver".into(), json!({}), 404),
        ("endpoints".into(), json!({ "url": "nowhere", "secret": "whsec_1" }), 400),
    ] {
        let answer = sim.control(&path, body).await;
        assert_eq!(answer.status(), status, "{path}");
        let answer: Value = answer.json().await.unwrap();
        assert!(!answer["error"]["message"].as_str().unwrap().is_empty());
    }
}
