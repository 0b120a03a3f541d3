//! A purchase begins.

use std::{fs, time::Duration};

use futures::future::join_all;
use platform::{AppError, Code, Principal};
use proto::payments as api;
use serde_json::json;

use crate::{
    harness::{APP, EMAIL, GRACE, Marketplace, SESSION, announced_email, purchase, session_event, with_key},
    stripe_front::Mood,
};

over_both!(
    a_purchase_opens_a_page_and_is_announced_when_it_is_paid,
    a_repeated_call_answers_the_same_page_and_other_parameters_are_a_conflict,
    an_open_order_is_answered_again,
    calls_at_once_make_one_order_and_one_page,
    a_key_brought_twice_at_once_with_other_parameters_is_taken_once,
    an_order_whose_answer_was_lost_is_healed_by_the_next_call,
    with_stripe_away_the_order_waits,
    an_order_that_can_no_longer_be_opened_is_replaced,
    what_stripe_refuses_fails_and_frees_the_way,
    a_page_whose_time_is_up_is_not_answered_again,
    while_the_money_is_under_way_nothing_is_bought_twice,
    a_paid_order_is_answered_to_its_own_key_only,
    an_app_is_not_sold_again_while_the_licence_of_its_paid_order_is_on_its_way,
    an_open_order_is_not_answered_once_another_one_has_been_paid,
    calls_at_once_with_the_payment_sell_nothing_twice,
    an_order_is_not_replaced_while_its_payment_may_still_be_told,
    money_that_comes_late_still_pays,
    wrong_callers_and_wrong_data_are_refused_before_stripe_is_asked,
    what_is_private_is_stored_sealed,
);

fn code(answer: Result<api::Session, AppError>) -> Code {
    answer.unwrap_err().code()
}

async fn a_purchase_opens_a_page_and_is_announced_when_it_is_paid(market: Marketplace) {
    let session = market.buy(purchase("inst_1")).await.unwrap();
    let expires = market.clock.now_ms() + i64::try_from(SESSION.as_millis()).unwrap();
    assert_eq!(session.expires_at_ms, expires / 1000 * 1000);
    let order = market.order(&session.order_id).await;
    assert_eq!((order.state.as_str(), order.amount_cents, order.currency.as_str()), ("open", 4900, "eur"));

    market.at_page(&session, "pay").await;
    let told = market.announcement(&session.order_id).await;
    let paid = market.order(&session.order_id).await;
    assert_eq!((paid.state.as_str(), told.state.as_str()), ("paid", "paid"));
    assert_eq!((told.revision, told.amount_cents, told.currency.as_str()), (paid.revision, 4900, "eur"));
    assert_eq!(
        (told.instance_id.as_str(), told.marketplace_id.as_str(), told.version.as_str()),
        ("inst_1", APP, "2.0.0")
    );
    assert_eq!(announced_email(&told), EMAIL);
    assert!(paid.stripe_payment_intent_id.unwrap().starts_with("pi_"));
    assert_eq!(market.announcements(&session.order_id).await, 1);

    let call = &market.stripe.calls()[0];
    assert_eq!(
        (call.idempotency_key.as_str(), call.version.as_str()),
        (session.order_id.as_str(), "2025-09-30.clover")
    );
    for place in ["metadata", "payment_intent_data%5Bmetadata%5D"] {
        assert!(call.form.contains(&format!("&{place}%5Border_id%5D={}", session.order_id)), "{place}");
    }
}

async fn a_repeated_call_answers_the_same_page_and_other_parameters_are_a_conflict(market: Marketplace) {
    let first = market.buy(with_key("inst_1", "k")).await.unwrap();
    assert_eq!(market.buy(with_key("inst_1", "k")).await.unwrap(), first);
    let version = api::CreateSessionRequest { version: "2.0.1".into(), ..with_key("inst_1", "k") };
    let email =
        api::CreateSessionRequest { customer_email: "other@shop.example".into(), ..with_key("inst_1", "k") };
    let app = api::CreateSessionRequest { marketplace_id: "@acme/other".into(), ..with_key("inst_1", "k") };
    for other in [version, email, app] {
        assert_eq!(code(market.buy(other).await), Code::Conflict);
    }
    let of_another = market.buy(with_key("inst_2", "k")).await.unwrap();
    assert_ne!(of_another.order_id, first.order_id, "a key belongs to its instance");

    market.clock.advance(Duration::from_hours(24));
    let forgotten = api::CreateSessionRequest { version: "2.0.1".into(), ..with_key("inst_1", "k") };
    market
        .stripe
        .next([Mood::Answer(200, r#"{"id":"cs_later","url":"https://pay/later","expires_at":4102444800}"#)]);
    assert_ne!(market.buy(forgotten).await.unwrap().order_id, first.order_id);
}

async fn an_open_order_is_answered_again(market: Marketplace) {
    let first = market.buy(purchase("inst_1")).await.unwrap();
    let again =
        api::CreateSessionRequest { version: "2.1.0".into(), price_cents: 5900, ..with_key("inst_1", "k") };
    assert_eq!(market.buy(again.clone()).await.unwrap(), first);
    assert_eq!(market.buy(again).await.unwrap(), first, "the key is kept with what it was answered");
    let other = api::CreateSessionRequest { marketplace_id: "@acme/other".into(), ..purchase("inst_1") };
    assert_ne!(market.buy(other).await.unwrap().order_id, first.order_id);
    assert_eq!(market.pages().await, 2);
}

async fn calls_at_once_make_one_order_and_one_page(market: Marketplace) {
    let with_and_without_key = [with_key("inst_1", "k"), purchase("inst_1")];
    let calls = with_and_without_key.iter().cycle().take(8);
    let answers = join_all(calls.map(|request| market.buy(request.clone()))).await;
    let first = answers[0].clone().unwrap();
    for other in answers {
        assert_eq!(other.unwrap(), first);
    }
    assert_eq!(market.pages().await, 1);
    let all = market.orders(&Principal::Operator, api::ListOrdersRequest::default()).await.unwrap();
    assert_eq!(all.count, 1);
}

async fn a_key_brought_twice_at_once_with_other_parameters_is_taken_once(market: Marketplace) {
    let other = api::CreateSessionRequest { marketplace_id: "@acme/other".into(), ..with_key("inst_1", "k") };
    let (one, two) = tokio::join!(market.buy(with_key("inst_1", "k")), market.buy(other));
    let (won, lost) = if one.is_ok() { (one, two) } else { (two, one) };
    assert!(won.is_ok());
    assert_eq!(code(lost), Code::Conflict);
    let all = market.orders(&Principal::Operator, api::ListOrdersRequest::default()).await.unwrap();
    assert_eq!(all.count, 1, "the refused call leaves no order");
}

async fn an_order_whose_answer_was_lost_is_healed_by_the_next_call(market: Marketplace) {
    market.stripe.next([Mood::LoseAnswer]);
    assert_eq!(code(market.buy(purchase("inst_1")).await), Code::Unavailable);
    market.clock.advance(Duration::from_mins(45));
    let session = market.buy(purchase("inst_1")).await.unwrap();
    assert_eq!(market.pages().await, 1, "Stripe answered the page of the first call");
    let calls = market.stripe.calls();
    assert_eq!((calls.len(), &calls[0].idempotency_key), (2, &session.order_id));
    assert_eq!(calls[0].form, calls[1].form);
}

async fn with_stripe_away_the_order_waits(market: Marketplace) {
    market.stripe.next([
        Mood::LoseCall,
        Mood::Answer(429, "{}"),
        Mood::Answer(401, r#"{"error":{"type":"invalid_request_error"}}"#),
        Mood::Answer(409, r#"{"error":{"type":"idempotency_error","code":"idempotency_key_in_use"}}"#),
        Mood::Answer(200, r#"{"id":"cs_1"}"#),
    ]);
    for _ in 0..5 {
        assert_eq!(code(market.buy(with_key("inst_1", "k")).await), Code::Unavailable);
    }
    let session = market.buy(with_key("inst_1", "k")).await.unwrap();
    let order = market.order(&session.order_id).await;
    assert_eq!((order.state.as_str(), order.revision), ("open", 2));
    let keys: Vec<String> = market.stripe.calls().into_iter().map(|call| call.idempotency_key).collect();
    assert_eq!(keys, vec![session.order_id; 6], "always the same order");
}

async fn an_order_that_can_no_longer_be_opened_is_replaced(market: Marketplace) {
    let too_near = r#"{"error":{"type":"invalid_request_error","param":"expires_at"}}"#;
    market.stripe.next([Mood::LoseCall, Mood::Answer(400, too_near)]);
    assert_eq!(code(market.buy(with_key("inst_1", "k")).await), Code::Unavailable);
    let session = market.buy(with_key("inst_1", "k")).await.unwrap();
    let calls = market.stripe.calls();
    assert_eq!(calls[0].idempotency_key, calls[1].idempotency_key);
    assert_eq!(calls[2].idempotency_key, session.order_id);
    assert_eq!(market.order(&calls[0].idempotency_key).await.state, "failed");
    assert_eq!(market.order(&session.order_id).await.state, "open");
}

async fn what_stripe_refuses_fails_and_frees_the_way(market: Marketplace) {
    let cheap = api::CreateSessionRequest { price_cents: 10, ..with_key("inst_1", "k") };
    let refused = market.buy(cheap).await.unwrap_err();
    assert_eq!(refused.code(), Code::NotAllowed, "{refused:?}");
    let all = market.orders(&Principal::Operator, api::ListOrdersRequest::default()).await.unwrap();
    assert_eq!((all.orders[0].state.as_str(), all.orders[0].revision), ("failed", 2));
    assert_eq!(
        market.buy(with_key("inst_1", "k")).await.unwrap().order_id,
        market.stripe.calls()[1].idempotency_key
    );

    let bad_email = r#"{"error":{"type":"invalid_request_error","code":"email_invalid","param":"customer_email","message":"merchant@shop.example"}}"#;
    market.stripe.next([Mood::Answer(400, bad_email), Mood::Answer(400, "{}")]);
    let refused = market.buy(purchase("inst_2")).await.unwrap_err();
    assert_eq!(refused.code(), Code::InvalidData);
    assert!(!refused.message().contains("merchant"), "{refused}");
    assert_eq!(code(market.buy(purchase("inst_2")).await), Code::Unexpected);
}

async fn a_page_whose_time_is_up_is_not_answered_again(market: Marketplace) {
    let first = market.buy(with_key("inst_1", "k")).await.unwrap();
    market.clock.advance(SESSION + GRACE);
    let second = market.buy(with_key("inst_1", "k")).await.unwrap();
    assert_ne!(second.order_id, first.order_id);
    assert_eq!(market.order(&first.order_id).await.state, "expired");
    assert_eq!(market.buy(purchase("inst_1")).await.unwrap(), second);
}

async fn while_the_money_is_under_way_nothing_is_bought_twice(market: Marketplace) {
    let session = market.buy(with_key("inst_1", "k")).await.unwrap();
    market.at_page(&session, "pay_later").await;
    market.reaches(&session.order_id, "processing").await;
    assert_eq!(code(market.buy(purchase("inst_1")).await), Code::Conflict);
    assert_eq!(market.buy(with_key("inst_1", "k")).await.unwrap(), session);
    market.at_page(&session, "fail").await;
    market.reaches(&session.order_id, "failed").await;
    let second = market.buy(with_key("inst_1", "k")).await.unwrap();
    assert_ne!(second.order_id, session.order_id);
    market.at_page(&second, "pay_later").await;
    market.at_page(&second, "settle").await;
    assert_eq!(market.announcement(&second.order_id).await.state, "paid");
}

async fn a_paid_order_is_answered_to_its_own_key_only(market: Marketplace) {
    let session = market.buy(with_key("inst_1", "k")).await.unwrap();
    market.at_page(&session, "pay").await;
    market.reaches(&session.order_id, "paid").await;
    market.clock.advance(SESSION);
    assert_eq!(market.buy(with_key("inst_1", "k")).await.unwrap(), session, "a blind retry never pays twice");
    let again = market.buy(licensed(purchase("inst_1"), &[&session])).await.unwrap();
    assert_ne!(again.order_id, session.order_id);
}

/// The same, asked when the licences of these orders have been issued.
fn licensed(request: api::CreateSessionRequest, sessions: &[&api::Session]) -> api::CreateSessionRequest {
    let licensed_order_ids = sessions.iter().map(|session| session.order_id.clone()).collect();
    api::CreateSessionRequest { licensed_order_ids, ..request }
}

async fn an_app_is_not_sold_again_while_the_licence_of_its_paid_order_is_on_its_way(market: Marketplace) {
    let first = market.buy(with_key("inst_1", "first")).await.unwrap();
    market.at_page(&first, "pay").await;
    market.reaches(&first.order_id, "paid").await;
    for request in [with_key("inst_1", "fresh"), purchase("inst_1")] {
        let refused = market.buy(request).await.unwrap_err();
        assert_eq!(refused.code(), Code::Conflict);
        assert!(refused.message().contains("licence is on its way"), "{refused}");
    }
    let all = market.orders(&Principal::Operator, api::ListOrdersRequest::default()).await.unwrap();
    assert_eq!((all.count, market.pages().await), (1, 1), "the refused calls leave nothing");
    let other = api::CreateSessionRequest { marketplace_id: "@acme/other".into(), ..purchase("inst_1") };
    assert!(market.buy(other).await.is_ok() && market.buy(purchase("inst_2")).await.is_ok());

    // Its licence has been issued, and has ended since: license-svc was asked whether there is a live one.
    let second = market.buy(licensed(with_key("inst_1", "fresh"), &[&first])).await.unwrap();
    assert_ne!(second.order_id, first.order_id);
    market.at_page(&second, "pay").await;
    market.reaches(&second.order_id, "paid").await;
    assert_eq!(code(market.buy(licensed(purchase("inst_1"), &[&first])).await), Code::Conflict);
    assert!(market.buy(licensed(purchase("inst_1"), &[&first, &second])).await.is_ok());
}

async fn an_open_order_is_not_answered_once_another_one_has_been_paid(market: Marketplace) {
    let first = market.buy(purchase("inst_1")).await.unwrap();
    market.clock.advance(SESSION + GRACE);
    let later = r#"{"id":"cs_later","url":"https://pay/later","expires_at":4102444800}"#;
    market.stripe.next([Mood::Answer(200, later)]);
    let second = market.buy(with_key("inst_1", "k")).await.unwrap();
    assert_ne!(second.order_id, first.order_id);
    assert_eq!(market.tell(&session_event("completed", &first.order_id, json!({}))).await.0, 200);
    assert_eq!(code(market.buy(purchase("inst_1")).await), Code::Conflict);
    assert_eq!(code(market.buy(with_key("inst_1", "k")).await), Code::Conflict);
}

async fn calls_at_once_with_the_payment_sell_nothing_twice(market: Marketplace) {
    for round in 0..8 {
        let instance = format!("inst_{round}");
        let first = market.buy(purchase(&instance)).await.unwrap();
        let paid = session_event("completed", &first.order_id, json!({}));
        let calls = join_all((0..6).map(|call| market.buy(with_key(&instance, &format!("key {call}")))));
        let ((status, _), answers) = tokio::join!(market.tell(&paid), calls);
        assert_eq!(status, 200);
        for answer in answers {
            match answer {
                Ok(session) => assert_eq!(session, first, "the page from before the payment"),
                Err(refused) => assert_eq!(refused.code(), Code::Conflict, "{refused}"),
            }
        }
        let own = api::ListOrdersRequest { instance_id: Some(instance), ..Default::default() };
        assert_eq!(market.orders(&Principal::Operator, own).await.unwrap().count, 1);
    }
}

async fn an_order_is_not_replaced_while_its_payment_may_still_be_told(market: Marketplace) {
    let session = market.buy(with_key("inst_1", "k")).await.unwrap();
    for minutes in [60, 9] {
        market.clock.advance(Duration::from_mins(minutes));
        for request in [with_key("inst_1", "k"), purchase("inst_1")] {
            let refused = market.buy(request).await.unwrap_err();
            assert_eq!(refused.code(), Code::Conflict);
            assert!(refused.message().contains("has just ended"), "{refused}");
        }
    }
    assert_eq!(market.order(&session.order_id).await.state, "open");
    assert_eq!(market.tell(&session_event("completed", &session.order_id, json!({}))).await.0, 200);
    assert_eq!(market.order(&session.order_id).await.state, "paid");
    assert_eq!(market.buy(with_key("inst_1", "k")).await.unwrap(), session);
}

async fn money_that_comes_late_still_pays(market: Marketplace) {
    market.stripe.next([Mood::LoseAnswer]);
    assert_eq!(code(market.buy(purchase("inst_1")).await), Code::Unavailable);
    let id = market.stripe.calls()[0].idempotency_key.clone();
    assert_eq!(market.order(&id).await.state, "created");
    assert_eq!(market.tell(&session_event("expired", &id, json!({}))).await.0, 200);
    assert_eq!(market.order(&id).await.state, "expired");
    assert_eq!(market.tell(&session_event("completed", &id, json!({}))).await.0, 200);
    assert_eq!(market.announcement(&id).await.revision, 3);
}

async fn wrong_callers_and_wrong_data_are_refused_before_stripe_is_asked(market: Marketplace) {
    for (principal, expected) in [
        (Principal::Anonymous, Code::Unauthorized),
        (Principal::Vendor("vnd_1".into()), Code::NotAllowed),
        (Principal::Instance("inst_2".into()), Code::NotAllowed),
        (Principal::InstanceAdmin("inst_2".into()), Code::NotAllowed),
    ] {
        assert_eq!(code(market.buy_as(&principal, purchase("inst_1")).await), expected, "{principal}");
    }
    let free = api::CreateSessionRequest { price_cents: 0, ..purchase("inst_1") };
    assert_eq!(code(market.buy(free).await), Code::NotAllowed);
    let email = api::CreateSessionRequest { customer_email: "me at home".into(), ..purchase("inst_1") };
    let refused = market.buy(email).await.unwrap_err();
    assert_eq!(refused.code(), Code::InvalidData);
    assert!(!refused.message().contains("me at home"));
    assert_eq!(code(market.buy(with_key("inst_1", &"k".repeat(256))).await), Code::InvalidData);
    assert!(market.stripe.calls().is_empty());
    let all = market.orders(&Principal::Operator, api::ListOrdersRequest::default()).await.unwrap();
    assert_eq!(all.count, 0);
    assert!(market.buy_as(&Principal::Shared, purchase("inst_1")).await.is_ok());
}

async fn what_is_private_is_stored_sealed(market: Marketplace) {
    let session = market.buy(with_key("inst_1", "my-own-key")).await.unwrap();
    market.at_page(&session, "pay").await;
    let told = market.announcement(&session.order_id).await;
    assert_eq!(announced_email(&told), EMAIL);
    let mut read = 0;
    for file in fs::read_dir(market.folder.path()).unwrap() {
        let bytes = fs::read(file.unwrap().path()).unwrap();
        read += bytes.len();
        for private in [EMAIL, "my-own-key"] {
            assert!(!bytes.windows(private.len()).any(|window| window == private.as_bytes()), "{private}");
        }
    }
    // PostgreSQL keeps its files elsewhere; the bytes it is sent are the same.
    let embedded = market.folder.path().join("payments.db").exists();
    assert_eq!(embedded, read > 0);
}
