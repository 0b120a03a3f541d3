//! Stripe tells.

use std::time::Duration;

use futures::future::join_all;
use platform::{Code, Principal};
use proto::payments as api;
use serde_json::{Value, json};
use wire::timed_signature::sign;

use crate::{
    harness::{GRACE, Marketplace, OLD_SECRET, SECRET, SESSION, purchase, session_event},
    stripe_front::Mood,
};

over_both!(
    a_signature_that_does_not_hold_changes_nothing,
    every_live_secret_is_taken,
    what_is_no_event_is_refused,
    an_event_told_often_and_at_once_has_one_effect,
    different_events_at_once_pay_once,
    late_and_older_events_never_undo_paid,
    nothing_to_pay_counts_as_paid,
    a_session_is_known_by_its_id_too,
    what_is_not_ours_is_answered_and_ignored,
    an_event_for_an_order_that_a_restored_store_lacks_is_asked_for_again,
    money_under_way_for_an_order_that_we_let_go_makes_it_live_again,
    money_under_way_for_an_order_whose_place_is_taken_is_noted,
    a_sum_that_does_not_fit_is_flagged_and_nothing_is_issued,
);

async fn bought(market: &Marketplace) -> String {
    market.buy(purchase("inst_1")).await.unwrap().order_id
}

fn paid(order_id: &str) -> Value {
    session_event("completed", order_id, json!({}))
}

async fn a_signature_that_does_not_hold_changes_nothing(market: Marketplace) {
    let id = bought(&market).await;
    let body = paid(&id).to_string();
    let at = |t: i64| sign(&[SECRET], t, body.as_bytes());
    let now = market.clock.now_secs();
    let (good, wrong) = (at(now), sign(&["whsec_other"], now, body.as_bytes()));
    let (old, future) = (at(now - 301), at(now + 301));
    let other_body = sign(&[SECRET], now, b"{}");
    let twice = format!("{good},t={now}");
    let as_v0 = good.replace("v1=", "v0=");
    for (what, headers) in [
        ("missing", vec![]),
        ("empty", vec![""]),
        ("malformed", vec!["v1=00"]),
        ("of another secret", vec![wrong.as_str()]),
        ("of another body", vec![other_body.as_str()]),
        ("too old", vec![old.as_str()]),
        ("of the future", vec![future.as_str()]),
        ("with two times", vec![twice.as_str()]),
        ("of another scheme", vec![as_v0.as_str()]),
        ("doubled", vec![good.as_str(), good.as_str()]),
    ] {
        let (status, error) = market.post(&body, &headers).await;
        assert_eq!((status, error["type"].as_str()), (400, Some("invalid_data")), "{what}: {error}");
        assert!(error["message"].as_str().unwrap().len() > 20, "{what}: {error}");
    }
    assert_eq!(market.order(&id).await.state, "open");
    assert_eq!(market.post(&body, &[&good]).await.0, 200);
    assert_eq!(market.order(&id).await.state, "paid");
}

async fn every_live_secret_is_taken(market: Marketplace) {
    let id = bought(&market).await;
    let body = paid(&id).to_string();
    let with_old = sign(&["whsec_unknown", OLD_SECRET], market.clock.now_secs() - 299, body.as_bytes());
    assert_eq!(market.post(&body, &[&with_old]).await.0, 200);
    assert_eq!(market.order(&id).await.state, "paid");
}

async fn what_is_no_event_is_refused(market: Marketplace) {
    for body in ["", "not json", "[]", r#"{"id":"evt_1","type":"checkout.session.completed","data":{}}"#] {
        let (status, error) = market.post(body, &[&market.sign(body)]).await;
        assert_eq!((status, error["type"].as_str()), (400, Some("invalid_data")), "{body}");
    }
    let large = " ".repeat((1 << 20) + 1);
    let (status, error) = market.post(&large, &[&market.sign(&large)]).await;
    assert_eq!((status, error["type"].as_str()), (413, Some("too_large")));
    assert_eq!(market.get_webhook().await, 405);
}

async fn an_event_told_often_and_at_once_has_one_effect(market: Marketplace) {
    let id = bought(&market).await;
    let event = paid(&id);
    let answers = join_all((0..8).map(|_| market.tell(&event))).await;
    assert!(answers.iter().all(|(status, _)| *status == 200), "{answers:?}");
    market.clock.advance(Duration::from_hours(1));
    assert_eq!(market.tell(&event).await.0, 200, "Stripe's retry of hours later");
    assert_eq!(market.order(&id).await.revision, 3);
    assert_eq!(market.announcements(&id).await, 1);
}

async fn different_events_at_once_pay_once(market: Marketplace) {
    let id = bought(&market).await;
    let unpaid = session_event("completed", &id, json!({ "payment_status": "unpaid" }));
    let events =
        [unpaid, session_event("async_payment_succeeded", &id, json!({})), renamed(paid(&id), "evt_other")];
    let answers = join_all(events.iter().map(|event| market.tell(event))).await;
    assert!(answers.iter().all(|(status, _)| *status == 200), "{answers:?}");
    assert_eq!(market.order(&id).await.state, "paid");
    assert_eq!(market.announcements(&id).await, 1);
}

fn renamed(mut event: Value, id: &str) -> Value {
    event["id"] = id.into();
    event
}

async fn late_and_older_events_never_undo_paid(market: Marketplace) {
    let id = bought(&market).await;
    let unpaid = json!({ "payment_status": "unpaid" });
    for (event, state) in [
        (session_event("completed", &id, unpaid.clone()), "processing"),
        (session_event("async_payment_succeeded", &id, json!({})), "paid"),
        (session_event("async_payment_failed", &id, unpaid.clone()), "paid"),
        (session_event("expired", &id, unpaid.clone()), "paid"),
        (renamed(session_event("completed", &id, unpaid), "evt_late"), "paid"),
    ] {
        assert_eq!(market.tell(&event).await.0, 200);
        assert_eq!(market.order(&id).await.state, state, "{}", event["type"]);
    }
    assert_eq!(market.order(&id).await.revision, 4);
    assert_eq!(market.announcements(&id).await, 1);
}

async fn nothing_to_pay_counts_as_paid(market: Marketplace) {
    let id = bought(&market).await;
    let free = json!({ "payment_status": "no_payment_required", "amount_total": 0, "payment_intent": null });
    assert_eq!(market.tell(&session_event("completed", &id, free)).await.0, 200);
    assert_eq!(market.announcement(&id).await.amount_cents, 4900);
}

async fn a_session_is_known_by_its_id_too(market: Marketplace) {
    let id = bought(&market).await;
    let session_id = market.order(&id).await.stripe_session_id.unwrap();
    let event = session_event("completed", "none", json!({ "id": session_id, "metadata": {} }));
    assert_eq!(market.tell(&event).await.0, 200);
    assert_eq!(market.announcement(&id).await.state, "paid");
}

async fn what_is_not_ours_is_answered_and_ignored(market: Marketplace) {
    let charge =
        json!({ "id": "evt_charge", "type": "charge.updated", "data": { "object": { "id": "ch_1" } } });
    assert_eq!(market.tell(&charge).await.0, 200);
    for metadata in [json!({}), json!({ "order_id": "1234" }), json!(null)] {
        let of_another = session_event("completed", "none", json!({ "metadata": metadata }));
        assert_eq!(market.tell(&of_another).await.0, 200);
    }
    let all = market.orders(&Principal::Operator, api::ListOrdersRequest::default()).await.unwrap();
    assert_eq!(all.count, 0);

    // An event that came before its session was known has its effect when it is sent again.
    market
        .stripe
        .next([Mood::Answer(200, r#"{"id":"cs_restored","url":"https://pay/1","expires_at":4102444800}"#)]);
    let early = session_event("completed", "none", json!({ "id": "cs_restored", "metadata": {} }));
    assert_eq!(market.tell(&early).await.0, 200);
    let id = bought(&market).await;
    assert_eq!(market.tell(&early).await.0, 200);
    assert_eq!(market.announcement(&id).await.state, "paid");
}

async fn an_event_for_an_order_that_a_restored_store_lacks_is_asked_for_again(market: Marketplace) {
    // Stripe has the call, and the event, of an order that this store does not have any more.
    let lost = "ord_01ARZ3NDEKTSV4RRFFQ69G5FAV";
    let event = session_event("completed", lost, json!({ "id": "cs_lost" }));
    for _ in 0..2 {
        let (status, error) = market.tell(&event).await;
        assert_eq!((status, error["type"].as_str()), (503, Some("unavailable")), "{error}");
    }
    let page = r#"{"id":"cs_lost","url":"https://pay/1","expires_at":4102444800}"#;
    market.stripe.next([Mood::Answer(200, page)]);
    let id = bought(&market).await;
    assert_eq!(market.tell(&event).await.0, 200, "the refusals were not noted as taken");
    assert_eq!(market.announcement(&id).await.state, "paid");
}

/// An order of which nothing was heard until it was let go for another one, and that other one.
async fn let_go(market: &Marketplace) -> (String, String) {
    let first = bought(market).await;
    market.clock.advance(SESSION + GRACE);
    let page = r#"{"id":"cs_second","url":"https://pay/2","expires_at":4102444800}"#;
    market.stripe.next([Mood::Answer(200, page)]);
    let second = bought(market).await;
    assert_eq!(market.order(&first).await.state, "expired");
    (first, second)
}

fn under_way(order_id: &str) -> Value {
    let later = json!({ "payment_status": "unpaid", "payment_intent": "pi_late" });
    renamed(session_event("completed", order_id, later), "evt_under_way")
}

async fn money_under_way_for_an_order_that_we_let_go_makes_it_live_again(market: Marketplace) {
    let (first, second) = let_go(&market).await;
    assert_eq!(market.tell(&session_event("expired", &second, json!({}))).await.0, 200);
    assert_eq!(market.tell(&under_way(&first)).await.0, 200);
    assert_eq!(market.order(&first).await.state, "processing");
    assert_eq!(market.buy(purchase("inst_1")).await.unwrap_err().code(), Code::Conflict);
    assert_eq!(market.tell(&session_event("async_payment_succeeded", &first, json!({}))).await.0, 200);
    assert_eq!(market.announcement(&first).await.state, "paid");
}

async fn money_under_way_for_an_order_whose_place_is_taken_is_noted(market: Marketplace) {
    let (first, second) = let_go(&market).await;
    for _ in 0..2 {
        assert_eq!(market.tell(&under_way(&first)).await.0, 200);
    }
    let noted = market.order(&first).await;
    assert_eq!(
        (noted.state.as_str(), noted.stripe_payment_intent_id.as_deref()),
        ("expired", Some("pi_late"))
    );
    assert_eq!(market.order(&second).await.state, "open");
    assert_eq!(market.tell(&session_event("async_payment_succeeded", &first, json!({}))).await.0, 200);
    assert_eq!(market.announcement(&first).await.state, "paid");
    assert_eq!(market.buy(purchase("inst_1")).await.unwrap_err().code(), Code::Conflict);
}

async fn a_sum_that_does_not_fit_is_flagged_and_nothing_is_issued(market: Marketplace) {
    let id = bought(&market).await;
    let cents =
        session_event("completed", &id, json!({ "amount_subtotal": 49, "payment_intent": "pi_wrong" }));
    assert_eq!(market.tell(&cents).await.0, 200);
    let dollars = session_event("async_payment_succeeded", &id, json!({ "currency": "usd" }));
    assert_eq!(market.tell(&dollars).await.0, 200);
    assert_eq!(market.tell(&cents).await.0, 200);

    let order = market.order(&id).await;
    assert_eq!((order.state.as_str(), order.revision), ("open", 3));
    assert_eq!(order.stripe_payment_intent_id.as_deref(), Some("pi_wrong"));
    let mismatch = order.mismatch.unwrap();
    assert_eq!((mismatch.amount_cents, mismatch.currency.as_deref()), (Some(49), Some("eur")));
    assert_eq!(mismatch.stripe_event_id, cents["id"].as_str().unwrap());
    let flagged = api::ListOrdersRequest { mismatched: true, ..Default::default() };
    let flagged = market.orders(&Principal::Operator, flagged).await.unwrap();
    assert_eq!((flagged.count, flagged.orders[0].order_id.as_str()), (1, id.as_str()));

    let again = market.buy(purchase("inst_1")).await.unwrap();
    assert_ne!(again.order_id, id, "the page of that order is used up");
    assert_eq!(market.announcements(&id).await, 0);
}
