//! What an operator sees of deliveries and sends again, by HTTP.

use std::sync::Arc;

use http::Method;
use serde_json::{Value, json};
use testkit::{
    market::{Options, Reply, Service},
    receiver::Answer,
};

use crate::stage::{Outcome, SOON, Stage, assert_refused, text};

scenarios! {
    Options::default().var(Service::Dispatcher, "MERCATO__DELIVERY__SCHEDULE_SECONDS", "[1]");
    what_a_shop_was_not_told_is_found_by_its_reason_and_sent_again,
    a_shop_that_lost_everything_is_told_everything_again,
    a_replay_can_be_cancelled_and_is_made_once,
    lists_go_on_by_a_cursor,
    a_message_is_shown_with_its_deliveries_and_never_with_what_it_says,
    bad_questions_say_what_would_be_right,
}

const ULID: &str = "01ARZ3NDEKTSV4RRFFQ69G5FAV";
const LONG_AGO: &str = "2020-01-01T00:00:00Z";

impl Stage {
    async fn ask_replay(&self, key: Option<&str>, what: &Value) -> anyhow::Result<Reply> {
        let caller = self.admin.caller();
        let request = caller.request(Method::POST, "/admin/replays").json(what);
        let request = key.into_iter().fold(request, |request, key| request.header("idempotency-key", key));
        caller.send(request).await
    }

    async fn replayed(&self, what: &Value) -> anyhow::Result<Value> {
        let reply = self.ask_replay(None, what).await?;
        assert_eq!(reply.status, 202, "{}", reply.body);
        let path = format!("/admin/replays/{}", text(&reply.body, "id")?);
        self.answer_with(&path, |replay| replay["state"] == "done").await
    }
}

async fn what_a_shop_was_not_told_is_found_by_its_reason_and_sent_again(stage: Arc<Stage>) -> Outcome {
    let (shop, app) = (stage.shop().await?, stage.paid_app().await?);
    shop.receiver.answer(Answer::status(500));
    let order = shop.checkout(&app, "1.0.0").await?;
    stage.market.stripe().pay(&order.session_id).await?;
    let dead = stage.delivery_to(&shop, |delivery| delivery["state"] == "dead").await?;
    let endpoint = stage.endpoint_of(&shop).await?;
    let asked = |reason| {
        [("state", "dead"), ("endpoint_id", endpoint.as_str()), ("reason", reason), ("since", LONG_AGO)]
    };
    let listed = stage.admin.list("deliveries", &asked("server_error")).await?;
    assert_eq!(
        (listed.len(), &listed[0]["id"], &listed[0]["dead_class"]),
        (1, &dead["id"], &json!("server_error"))
    );
    assert!(stage.admin.list("deliveries", &asked("timeout")).await?.is_empty());
    let failed = [("endpoint_id", endpoint.as_str()), ("outcome", "server_error")];
    let attempts = stage.admin.list("attempts", &failed).await?;
    let numbers: Vec<_> = attempts.iter().map(|attempt| &attempt["number"]).collect();
    assert_eq!(numbers, [&json!(2), &json!(1)]);

    shop.receiver.answer(Answer::status(200));
    let done = stage.replayed(&json!({ "endpoint_id": endpoint, "since": LONG_AGO })).await?;
    assert_eq!(
        (&done["which"], &done["found"], &done["replayed"], &done["skipped"]),
        (&json!("failed"), &json!(1), &json!(1), &json!(0))
    );
    assert_eq!(done["position"], dead["id"]);
    let webhook = shop.wait_for_license(&app, SOON).await?;
    assert_eq!(dead["id"], webhook.delivery_id.as_str());
    Ok(())
}

async fn a_shop_that_lost_everything_is_told_everything_again(stage: Arc<Stage>) -> Outcome {
    let (shop, app) = (stage.shop().await?, stage.paid_app().await?);
    let sale = stage.sell(&shop, &app).await?;
    stage.delivery_to(&shop, |delivery| delivery["state"] == "delivered").await?;
    shop.receiver.clear();
    let endpoint = stage.endpoint_of(&shop).await?;
    let what = json!({ "endpoint_id": endpoint, "since": LONG_AGO, "which": "all", "rate_per_second": 1000 });
    let done = stage.replayed(&what).await?;
    assert_eq!((&done["replayed"], &done["rate_per_second"]), (&json!(1), &json!(1000)));
    let again = shop.wait_for_license(&app, SOON).await?;
    assert_eq!(again.delivery_id, sale.webhook.delivery_id, "by its id the shop knows what it has");
    assert_eq!(again.license_key()?, sale.key);
    Ok(())
}

async fn a_replay_can_be_cancelled_and_is_made_once(stage: Arc<Stage>) -> Outcome {
    let (shop, app) = (stage.shop().await?, stage.paid_app().await?);
    stage.sell(&shop, &app).await?;
    let endpoint = stage.endpoint_of(&shop).await?;
    let what = json!({ "endpoint_id": endpoint, "since": LONG_AGO, "which": "all" });
    let key = stage.name("replay");
    let first = text(&stage.ask_replay(Some(&key), &what).await?.ok()?, "id")?;
    let again = stage.ask_replay(Some(&key), &what).await?.ok()?;
    assert_eq!(again["id"], first.as_str());
    let other = json!({ "since": LONG_AGO });
    assert_refused(&stage.ask_replay(Some(&key), &other).await?, 409, "conflict", "use a new key");
    let path = format!("/admin/replays/{first}");
    stage.answer_with(&path, |replay| replay["state"] == "done").await?;
    let cancel = stage.admin.caller().post(&format!("{path}/cancel"), &json!({})).await?;
    assert_refused(&cancel, 409, "conflict", "nothing left to cancel");
    let listed = stage.admin.list("replays", &[("endpoint_id", &endpoint), ("state", "done")]).await?;
    assert_eq!((listed.len(), &listed[0]["id"]), (1, &json!(first)));
    Ok(())
}

/// Three of them, and nothing changes any more.
fn is_settled(answer: &Value) -> bool {
    answer["count"] == 3 && !answer.to_string().contains("pending")
}

async fn lists_go_on_by_a_cursor(stage: Arc<Stage>) -> Outcome {
    let shop = stage.shop().await?;
    for _ in 0..3 {
        let app = stage.paid_app().await?;
        stage.sell(&shop, &app).await?;
    }
    for collection in ["deliveries", "messages", "attempts"] {
        let all = format!("/admin/{collection}?instance_id={}", shop.id());
        let all = stage.answer_with(&all, is_settled).await?;
        assert_eq!((&all["count_is_exact"], &all["next"]), (&json!(true), &Value::Null), "{collection}");
        let (mut seen, mut query) =
            (Vec::new(), vec![("instance_id", shop.id().to_owned()), ("limit", "1".to_owned())]);
        loop {
            let asked: Vec<_> = query.iter().map(|(name, value)| (*name, value.as_str())).collect();
            let part = stage.admin.caller().query(&format!("/admin/{collection}"), &asked).await?.ok()?;
            seen.extend(part[collection].as_array().unwrap().clone());
            let Some(next) = part["next"].as_str() else { break };
            query.truncate(2);
            query.push(("after", next.to_owned()));
        }
        assert_eq!(Value::from(seen), all[collection], "{collection}");
    }
    Ok(())
}

async fn a_message_is_shown_with_its_deliveries_and_never_with_what_it_says(stage: Arc<Stage>) -> Outcome {
    let (shop, app) = (stage.shop().await?, stage.paid_app().await?);
    let sale = stage.sell(&shop, &app).await?;
    let delivery = stage.delivery_to(&shop, |delivery| delivery["state"] == "delivered").await?;
    let path = format!("/admin/messages/{}", text(&delivery, "message_id")?);
    let message = stage.admin.caller().get(&path).await?.ok()?;
    assert_eq!((&message["event"], &message["has_body"]), (&json!("license-issued"), &json!(true)));
    assert_eq!(message["deliveries"][0]["id"], delivery["id"]);
    assert_eq!((&message["deliveries_count"], &message["deliveries_next"]), (&json!(1), &Value::Null));
    let shown = message.to_string();
    assert!(!shown.contains(&sale.key) && !shown.contains('@'), "{shown}");
    Ok(())
}

async fn bad_questions_say_what_would_be_right(stage: Arc<Stage>) -> Outcome {
    let admin = stage.admin.caller();
    let questions = [
        ("deliveries?after=page-2", "the next of an earlier answer"),
        ("deliveries?since=yesterday", "since must be a time such as 2026-01-31T12:00:00Z"),
        ("deliveries?since=2026-01-02T00:00:00Z&until=2026-01-01T00:00:00Z", "since must be before until"),
        ("deliveries?state=dead&reason=boredom", "reason must be one of"),
        ("deliveries?reason=timeout", "ask for it with state dead"),
        ("deliveries?endpoint_id=7", "endpoint_id must have the form ep_"),
        ("deliveries?offset=10001", "go on with after"),
        ("attempts?outcome=sadness", "outcome must be one of success"),
        ("attempts?offset=1", "it takes"),
        ("messages?event=party", "event must be one of license-issued"),
        ("replays?state=asleep", "running, done, cancelled"),
    ];
    for (question, right) in questions {
        let refused = admin.get(&format!("/admin/{question}")).await?;
        assert_refused(&refused, 400, "invalid_data", right);
        for value in ["yesterday", "boredom", "sadness", "party", "asleep"] {
            assert!(!refused.message().contains(value), "{}", refused.message());
        }
    }
    let replays = [
        (json!({}), "lacks the field `since`"),
        (json!({ "since": "soon" }), "since must be a time"),
        (json!({ "since": "2999-01-01T00:00:00Z" }), "in the past"),
        (json!({ "since": LONG_AGO, "which": "some" }), "which must be failed (the dead ones) or all"),
        (json!({ "since": LONG_AGO, "rate_per_second": 5000 }), "from 1 to 1000"),
        (json!({ "since": LONG_AGO, "endpoint": "ep_1" }), "it takes"),
    ];
    for (what, right) in replays {
        assert_refused(&stage.ask_replay(None, &what).await?, 400, "invalid_data", right);
    }
    for (unknown, says) in [
        (format!("messages/msg_{ULID}"), "there is no message"),
        (format!("replays/rpl_{ULID}"), "there is no replay"),
        (format!("deliveries?endpoint_id=ep_{ULID}"), "there is no endpoint"),
    ] {
        assert_refused(&admin.get(&format!("/admin/{unknown}")).await?, 404, "not_found", says);
    }
    Ok(())
}
