//! What payments-svc takes for Stripe's word, and how often.

use std::{collections::BTreeSet, sync::Arc};

use http::Method;
use serde_json::{Value, json};
use testkit::market::{Caller, Options, Order, Reply};
use wire::timed_signature;

use crate::stage::{Outcome, SOON, Stage, assert_refused, now, text};

scenarios! {
    Options::default();
    an_event_that_stripe_did_not_sign_pays_for_nothing,
    an_event_signed_ten_minutes_ago_or_ahead_is_refused,
    a_second_signature_header_is_refused,
    an_event_signed_with_one_of_two_secrets_in_its_header_is_taken,
    a_body_that_is_no_event_is_refused,
    a_body_of_two_megabytes_is_refused,
    an_event_for_an_order_that_is_not_here_is_asked_for_again_and_changes_nothing,
    an_event_of_no_interest_is_taken,
    the_same_event_at_once_issues_one_licence,
    an_event_that_stripe_repeats_issues_one_licence,
    a_late_word_of_expiry_does_not_undo_a_payment,
    another_sum_than_the_price_issues_nothing,
}

/// Stripe, as far as it can be told by a request.
struct Sender<'a> {
    stage: &'a Stage,
    caller: Caller,
}

impl<'a> Sender<'a> {
    fn new(stage: &'a Stage) -> anyhow::Result<Self> {
        Ok(Self { stage, caller: Caller::new(&stage.market.payments_url())? })
    }

    fn sign(&self, t: i64, body: &[u8]) -> String {
        timed_signature::sign(&[&self.stage.market.keys().stripe_webhook_secret], t, body)
    }

    async fn send(&self, event: &Value) -> anyhow::Result<Reply> {
        let body = event.to_string().into_bytes();
        let signature = self.sign(now(), &body);
        self.post(body, &[&signature]).await
    }

    async fn post(&self, body: Vec<u8>, signatures: &[&str]) -> anyhow::Result<Reply> {
        let request =
            self.caller.request(Method::POST, "/stripe/webhook").header("content-type", "application/json");
        let request =
            signatures.iter().fold(request, |request, one| request.header("stripe-signature", *one));
        self.caller.send(request.body(body)).await
    }
}

/// Completed and paid, as Stripe would say it of this order.
fn paid(stage: &Stage, order: &Order) -> Value {
    let session = json!({
        "id": order.session_id, "object": "checkout.session", "payment_status": "paid",
        "amount_subtotal": 4900, "currency": "eur", "metadata": { "order_id": order.id },
    });
    event(stage, "checkout.session.completed", &session)
}

fn event(stage: &Stage, event_type: &str, object: &Value) -> Value {
    let id = format!("evt_{}", stage.name("made").replace('-', ""));
    json!({ "id": id, "object": "event", "type": event_type, "data": { "object": object } })
}

async fn open_order(stage: &Stage) -> anyhow::Result<(testkit::market::Shop, String, Order)> {
    let (shop, app) = (stage.shop().await?, stage.paid_app().await?);
    let order = shop.checkout(&app, "1.0.0").await?;
    Ok((shop, app, order))
}

async fn assert_still_open(stage: &Stage, order: &Order) -> Outcome {
    let seen = stage.admin.caller().get(&format!("/admin/orders/{}", order.id)).await?.ok()?;
    assert_eq!(seen["state"], "open");
    assert!(stage.licenses_of(&order.id).await?.is_empty());
    Ok(())
}

async fn an_event_that_stripe_did_not_sign_pays_for_nothing(stage: Arc<Stage>) -> Outcome {
    let (_, _, order) = open_order(&stage).await?;
    let (sender, body) = (Sender::new(&stage)?, paid(&stage, &order).to_string().into_bytes());
    let of_another_secret = timed_signature::sign(&["whsec_of_somebody_else"], now(), &body);
    let of_other_bytes = sender.sign(now(), b"{}");
    let missing: &[&str] = &[];
    for signatures in [missing, &[&of_another_secret], &[&of_other_bytes], &["t=1"], &["nonsense"], &[""]] {
        let refused = sender.post(body.clone(), signatures).await?;
        assert_refused(&refused, 400, "invalid_data", "ignature");
    }
    assert_still_open(&stage, &order).await
}

async fn an_event_signed_ten_minutes_ago_or_ahead_is_refused(stage: Arc<Stage>) -> Outcome {
    let (_, _, order) = open_order(&stage).await?;
    let (sender, body) = (Sender::new(&stage)?, paid(&stage, &order).to_string().into_bytes());
    for off in [-600, 600] {
        let signature = sender.sign(now() + off, &body);
        let refused = sender.post(body.clone(), &[&signature]).await?;
        assert_refused(&refused, 400, "invalid_data", "clock");
    }
    assert_still_open(&stage, &order).await?;
    let within = sender.sign(now() - 240, &body);
    assert_eq!(sender.post(body, &[&within]).await?.status, 200, "four minutes are within the tolerance");
    stage.order_in(&order.id, "paid").await?;
    Ok(())
}

async fn a_second_signature_header_is_refused(stage: Arc<Stage>) -> Outcome {
    let (_, _, order) = open_order(&stage).await?;
    let (sender, body) = (Sender::new(&stage)?, paid(&stage, &order).to_string().into_bytes());
    let signature = sender.sign(now(), &body);
    let refused = sender.post(body, &[&signature, &signature]).await?;
    assert_refused(&refused, 400, "invalid_data", "more than one Stripe-Signature header");
    assert_still_open(&stage, &order).await
}

async fn an_event_signed_with_one_of_two_secrets_in_its_header_is_taken(stage: Arc<Stage>) -> Outcome {
    let (shop, app, order) = open_order(&stage).await?;
    let (sender, body) = (Sender::new(&stage)?, paid(&stage, &order).to_string().into_bytes());
    let ours = &stage.market.keys().stripe_webhook_secret;
    let both = timed_signature::sign(&["whsec_of_the_old_endpoint", ours], now(), &body);
    assert_eq!(sender.post(body, &[&both]).await?.status, 200);
    shop.wait_for_license(&app, SOON).await?;
    Ok(())
}

async fn a_body_that_is_no_event_is_refused(stage: Arc<Stage>) -> Outcome {
    let sender = Sender::new(&stage)?;
    for body in
        ["", "{}", "[]", "merchant@shop.example", r#"{"id":"evt_1","type":"checkout.session.completed"}"#]
    {
        let signature = sender.sign(now(), body.as_bytes());
        let refused = sender.post(body.into(), &[&signature]).await?;
        assert_refused(&refused, 400, "invalid_data", "event");
        assert!(!refused.message().contains("merchant"), "{}", refused.message());
    }
    Ok(())
}

async fn a_body_of_two_megabytes_is_refused(stage: Arc<Stage>) -> Outcome {
    let (sender, body) = (Sender::new(&stage)?, vec![b' '; 2 << 20]);
    let signature = sender.sign(now(), &body);
    assert_refused(&sender.post(body, &[&signature]).await?, 413, "too_large", "larger than is taken");
    Ok(())
}

async fn an_event_for_an_order_that_is_not_here_is_asked_for_again_and_changes_nothing(
    stage: Arc<Stage>,
) -> Outcome {
    let order = Order {
        id: "ord_01ARZ3NDEKTSV4RRFFQ69G5FAV".to_owned(),
        session_id: "cs_test_of_nobody".to_owned(),
        url: String::new(),
    };
    // Stripe sends it again for three days, in which the order may come back with the store.
    let refused = Sender::new(&stage)?.send(&paid(&stage, &order)).await?;
    assert_refused(&refused, 503, "unavailable", "send the event again");
    assert!(stage.licenses_of(&order.id).await?.is_empty());
    Ok(())
}

async fn an_event_of_no_interest_is_taken(stage: Arc<Stage>) -> Outcome {
    let other = event(&stage, "customer.created", &json!({ "id": "cus_1" }));
    assert_eq!(Sender::new(&stage)?.send(&other).await?.status, 200);
    Ok(())
}

async fn the_same_event_at_once_issues_one_licence(stage: Arc<Stage>) -> Outcome {
    let (shop, app, order) = open_order(&stage).await?;
    let (sender, event) = (Sender::new(&stage)?, paid(&stage, &order));
    let answers = futures::future::try_join_all((0..8).map(|_| sender.send(&event))).await?;
    assert!(answers.iter().all(|answer| answer.status == 200), "{answers:?}");
    shop.wait_for_license(&app, SOON).await?;
    assert_told_once(&stage, &shop, &order).await
}

/// Whatever was repeated has been looked at by now: a second sale, made later, has come through.
async fn assert_told_once(stage: &Stage, shop: &testkit::market::Shop, order: &Order) -> Outcome {
    let later = stage.paid_app().await?;
    stage.sell(shop, &later).await?;
    assert_eq!(stage.licenses_of(&order.id).await?.len(), 1);
    let webhooks = shop.webhooks()?;
    let deliveries: BTreeSet<_> = webhooks.iter().map(|webhook| &webhook.delivery_id).collect();
    assert_eq!(deliveries.len(), 2, "one for each sale: {webhooks:?}");
    Ok(())
}

async fn an_event_that_stripe_repeats_issues_one_licence(stage: Arc<Stage>) -> Outcome {
    let (shop, app, order) = open_order(&stage).await?;
    let stripe = stage.market.stripe();
    stripe.pay(&order.session_id).await?;
    shop.wait_for_license(&app, SOON).await?;
    let events = stripe.events("checkout.session.completed").await?;
    let about_it = |event: &&Value| event["data"]["object"]["metadata"]["order_id"] == order.id.as_str();
    let event = text(events.iter().find(about_it).unwrap(), "id")?;
    assert_eq!(stripe.deliver(&event, 5).await?, [200; 5]);
    assert_told_once(&stage, &shop, &order).await
}

async fn a_late_word_of_expiry_does_not_undo_a_payment(stage: Arc<Stage>) -> Outcome {
    let (shop, app, order) = open_order(&stage).await?;
    stage.market.stripe().pay(&order.session_id).await?;
    let key = shop.wait_for_license(&app, SOON).await?.license_key()?.to_owned();
    let session = json!({ "id": order.session_id, "metadata": { "order_id": order.id } });
    let expired = event(&stage, "checkout.session.expired", &session);
    assert_eq!(Sender::new(&stage)?.send(&expired).await?.status, 200);
    assert_eq!(stage.order_in(&order.id, "paid").await?["state"], "paid");
    assert_eq!(shop.verify(&key, &app).await?.body["code"], "VALID");
    Ok(())
}

async fn another_sum_than_the_price_issues_nothing(stage: Arc<Stage>) -> Outcome {
    for (field, value) in [("amount_subtotal", json!(1)), ("currency", json!("huf"))] {
        let (_, _, order) = open_order(&stage).await?;
        let mut event = paid(&stage, &order);
        event["data"]["object"][field] = value;
        assert_eq!(Sender::new(&stage)?.send(&event).await?.status, 200);
        let seen = stage.admin.caller().get(&format!("/admin/orders/{}", order.id)).await?.ok()?;
        assert_eq!(seen["mismatch"]["stripe_event_id"], event["id"], "{seen}");
        assert!(seen["state"] != "paid" && stage.licenses_of(&order.id).await?.is_empty(), "{seen}");
        let mismatched = stage.admin.list("orders", &[("mismatched", "true")]).await?;
        assert!(mismatched.iter().any(|one| one["id"] == order.id.as_str()));
    }
    Ok(())
}
