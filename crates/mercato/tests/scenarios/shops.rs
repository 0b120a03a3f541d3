//! Shops that do not answer as they should, and what operators see of it.

use std::{sync::Arc, time::Duration};

use serde_json::{Value, json};
use testkit::{
    eventually,
    market::{Options, Service, Shop},
    receiver::{Answer, Receiver},
};

use crate::stage::{Outcome, SOON, Stage, assert_refused, text};

/// Two retries after a second each, and a second for an answer.
fn impatient() -> Options {
    Options::default().var(Service::Dispatcher, "MERCATO__DELIVERY__SCHEDULE_SECONDS", "[1, 1]").var(
        Service::Dispatcher,
        "MERCATO__DELIVERY__TIMEOUT_SECONDS",
        "1",
    )
}

scenarios! {
    impatient();
    a_shop_that_fails_once_is_told_again,
    a_shop_that_hangs_is_told_again,
    a_shop_that_breaks_the_connection_is_told_again,
    a_redirect_is_never_followed,
    a_private_address_is_never_called,
    an_answer_without_end_is_cut_off_and_counts,
    a_shop_that_only_fails_is_given_up_until_an_operator_replays,
    a_shop_that_is_gone_is_left_alone_until_it_is_enabled,
    a_busy_shop_is_left_alone_as_long_as_it_asks,
    one_dead_shop_does_not_hold_up_another,
    operators_see_which_deliveries_there_are,
}

/// Buys, and waits for nothing.
async fn buy(stage: &Stage, shop: &Shop) -> anyhow::Result<String> {
    let app = stage.paid_app().await?;
    let order = shop.checkout(&app, "1.0.0").await?;
    stage.market.stripe().pay(&order.session_id).await?;
    Ok(app)
}

/// What each attempt of a delivery came to, once it has come to this end.
async fn attempts(stage: &Stage, shop: &Shop, end: &str) -> anyhow::Result<Vec<(String, Value)>> {
    let told = stage.delivery_to(shop, |delivery| delivery["state"] == end).await?;
    let log = told["attempt_log"].as_array().unwrap();
    assert_eq!(told["attempts"], log.len());
    let numbers: Vec<_> = log.iter().map(|attempt| attempt["number"].as_u64().unwrap()).collect();
    assert_eq!(numbers, (1..=log.len() as u64).collect::<Vec<_>>());
    Ok(log.iter().map(|one| (one["outcome"].as_str().unwrap().to_owned(), one["status"].clone())).collect())
}

fn outcome(name: &str, status: impl Into<Value>) -> (String, Value) {
    (name.to_owned(), status.into())
}

async fn a_shop_that_fails_once_is_told_again(stage: Arc<Stage>) -> Outcome {
    let shop = stage.shop().await?;
    shop.receiver.script([Answer::status(500).body("secret stack trace of the shop")]);
    buy(&stage, &shop).await?;
    let seen = attempts(&stage, &shop, "delivered").await?;
    assert_eq!(seen, [outcome("server_error", 500), outcome("success", 204)]);
    let webhooks = shop.webhooks()?;
    assert_eq!(
        (webhooks.len(), &webhooks[0].delivery_id),
        (2, &webhooks[1].delivery_id),
        "one id for all attempts"
    );
    let told = stage.delivery_to(&shop, |_| true).await?;
    assert!(!told.to_string().contains("stack trace"), "a stranger's answer is not kept");
    Ok(())
}

async fn a_shop_that_hangs_is_told_again(stage: Arc<Stage>) -> Outcome {
    let shop = stage.shop().await?;
    shop.receiver.script([Answer::hang()]);
    buy(&stage, &shop).await?;
    let seen = attempts(&stage, &shop, "delivered").await?;
    assert_eq!(seen, [outcome("timeout", Value::Null), outcome("success", 204)]);
    Ok(())
}

async fn a_shop_that_breaks_the_connection_is_told_again(stage: Arc<Stage>) -> Outcome {
    let shop = stage.shop().await?;
    shop.receiver.script([Answer::reset()]);
    buy(&stage, &shop).await?;
    let seen = attempts(&stage, &shop, "delivered").await?;
    assert_eq!(seen, [outcome("reset", Value::Null), outcome("success", 204)]);
    Ok(())
}

async fn a_redirect_is_never_followed(stage: Arc<Stage>) -> Outcome {
    let (shop, elsewhere) = (stage.shop().await?, Receiver::start().await?);
    shop.receiver.script([Answer::redirect(&elsewhere.url())]);
    buy(&stage, &shop).await?;
    let seen = attempts(&stage, &shop, "delivered").await?;
    assert_eq!(seen, [outcome("redirect", 302), outcome("success", 204)]);
    assert!(elsewhere.requests().is_empty());
    Ok(())
}

async fn a_private_address_is_never_called(stage: Arc<Stage>) -> Outcome {
    let port = Receiver::start().await?.address().port();
    let inside = [
        "http://10.0.0.1".to_owned(),
        "http://169.254.169.254".to_owned(),
        format!("http://[::1]:{port}"),
        format!("http://0.0.0.0:{port}"),
        format!("http://[::ffff:10.0.0.1]:{port}"),
    ];
    for base_url in inside {
        let shop = stage.shop_at(&base_url).await?;
        buy(&stage, &shop).await?;
        let told = stage.delivery_to(&shop, |delivery| delivery["attempt_log"][0].is_object()).await?;
        assert_eq!(told["attempt_log"][0]["outcome"], "forbidden_address", "{base_url}");
    }
    Ok(())
}

async fn an_answer_without_end_is_cut_off_and_counts(stage: Arc<Stage>) -> Outcome {
    let shop = stage.shop().await?;
    shop.receiver.script([Answer::endless_body()]);
    buy(&stage, &shop).await?;
    assert_eq!(attempts(&stage, &shop, "delivered").await?, [outcome("success", 200)]);
    let told = stage.delivery_to(&shop, |_| true).await?;
    let size = told["attempt_log"][0]["response_size"].as_u64().unwrap();
    assert!(size <= 128 * 1024, "{size} bytes were read");
    Ok(())
}

async fn a_shop_that_only_fails_is_given_up_until_an_operator_replays(stage: Arc<Stage>) -> Outcome {
    let shop = stage.shop().await?;
    shop.receiver.answer(Answer::status(500));
    let app = buy(&stage, &shop).await?;
    assert_eq!(attempts(&stage, &shop, "dead").await?, vec![outcome("server_error", 500); 3]);
    let dead = stage.delivery_to(&shop, |_| true).await?;
    assert_eq!(dead["dead_reason"], "3 attempts failed; the last answer was 500");
    assert!(dead["next_attempt_at"].is_null());
    let listed = stage.admin.list("deliveries", &[("state", "dead"), ("instance_id", shop.id())]).await?;
    assert_eq!(listed.len(), 1);

    shop.receiver.answer(Answer::status(200));
    let replay = format!("/admin/deliveries/{}/replay", text(&dead, "id")?);
    stage.admin.caller().post(&replay, &json!({})).await?.ok()?;
    let seen = attempts(&stage, &shop, "delivered").await?;
    assert_eq!(seen.last(), Some(&outcome("success", 200)));
    let key = shop.wait_for_license(&app, SOON).await?.license_key()?.to_owned();
    assert_eq!(shop.verify(&key, &app).await?.body["code"], "VALID", "the sale itself was never in doubt");
    Ok(())
}

async fn a_shop_that_is_gone_is_left_alone_until_it_is_enabled(stage: Arc<Stage>) -> Outcome {
    let shop = stage.shop().await?;
    shop.receiver.script([Answer::status(410)]);
    buy(&stage, &shop).await?;
    stage.delivery_to(&shop, |delivery| delivery["state"] == "held").await?;
    let endpoints = stage.admin.list("endpoints", &[("instance_id", shop.id())]).await?;
    assert_eq!(endpoints[0]["disabled"], true);
    assert_eq!(endpoints[0]["disabled_reason"], "gone");
    let enable = format!("/admin/endpoints/{}/enable", text(&endpoints[0], "id")?);
    stage.admin.caller().post(&enable, &json!({})).await?.ok()?;
    let seen = attempts(&stage, &shop, "delivered").await?;
    assert_eq!(seen, [outcome("client_error", 410), outcome("success", 204)]);
    Ok(())
}

async fn a_busy_shop_is_left_alone_as_long_as_it_asks(stage: Arc<Stage>) -> Outcome {
    let shop = stage.shop().await?;
    // Of its schedule's second it may ask for two (contracts.md section 3).
    shop.receiver.script([Answer::status(429).header("retry-after", "2")]);
    buy(&stage, &shop).await?;
    let seen = attempts(&stage, &shop, "delivered").await?;
    assert_eq!(seen, [outcome("client_error", 429), outcome("success", 204)]);
    let requests = shop.receiver.requests();
    let waited = requests[1].at.duration_since(requests[0].at)?;
    assert!(waited >= Duration::from_millis(1_500), "{waited:?}");
    Ok(())
}

async fn one_dead_shop_does_not_hold_up_another(stage: Arc<Stage>) -> Outcome {
    let (dead, alive) = (stage.shop().await?, stage.shop().await?);
    dead.receiver.answer(Answer::hang());
    for _ in 0..3 {
        buy(&stage, &dead).await?;
    }
    let app = buy(&stage, &alive).await?;
    alive.wait_for_license(&app, SOON).await?;
    assert_eq!(attempts(&stage, &alive, "delivered").await?, [outcome("success", 204)]);
    Ok(())
}

async fn operators_see_which_deliveries_there_are(stage: Arc<Stage>) -> Outcome {
    let shop = stage.shop().await?;
    for _ in 0..3 {
        buy(&stage, &shop).await?;
    }
    let path = format!("/admin/deliveries?instance_id={}&limit=2", shop.id());
    // A shop is told before its delivery is on record.
    let all = async || {
        let page = stage.admin.caller().get(&path).await.ok()?.ok().ok()?;
        (page["count"] == 3).then_some(page)
    };
    let page = eventually("three deliveries", SOON, all).await?;
    assert_eq!(page["deliveries"].as_array().unwrap().len(), 2);
    assert!(page["deliveries"].as_array().unwrap().iter().all(|one| one["event"] == "license-issued"));
    let wrong = stage.admin.caller().query("/admin/deliveries", &[("state", "lost")]).await?;
    assert_refused(&wrong, 400, "invalid_data", "pending, delivered, dead");
    let malformed = stage.admin.caller().post("/admin/deliveries/1/replay", &json!({})).await?;
    assert_refused(&malformed, 400, "invalid_data", "dly_");
    Ok(())
}
