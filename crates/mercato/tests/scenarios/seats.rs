//! Who may use a licence: seats, and whose question takes one.

use std::sync::Arc;

use serde_json::{Value, json};
use testkit::market::{Caller, Options, Shop};

use crate::stage::{Outcome, Stage, assert_refused};

scenarios! {
    Options::default();
    a_seat_that_one_shop_gives_back_is_taken_by_another,
    a_question_without_a_key_never_takes_a_seat,
    a_question_under_a_shared_key_never_takes_a_seat,
    a_shared_key_serves_who_names_its_instance,
    a_shop_cannot_speak_for_another,
    only_the_secret_key_gives_a_seat_back,
    a_shop_lists_its_own_licences_with_their_keys,
    racing_questions_never_take_more_seats_than_there_are,
}

const VERIFY: &str = "/store/marketplace/license/verify";

async fn ask(caller: &Caller, shop: &Shop, key: &str, app: &str) -> anyhow::Result<Value> {
    caller.post(VERIFY, &shop.question(key, app)).await?.ok()
}

fn seats_used(answer: &Value) -> u64 {
    answer["license"]["seats_used"].as_u64().unwrap()
}

async fn a_seat_that_one_shop_gives_back_is_taken_by_another(stage: Arc<Stage>) -> Outcome {
    let (first, second) = (stage.shop().await?, stage.shop().await?);
    let app = stage.paid_app().await?;
    let key = stage.sell(&first, &app).await?.key;
    assert_eq!(first.verify(&key, &app).await?.body["code"], "VALID", "issuing seats the buyer");
    let refused = second.verify(&key, &app).await?.ok()?;
    assert_eq!((&refused["valid"], &refused["code"]), (&json!(false), &json!("SEATS_EXHAUSTED")));

    let freed = first.deactivate(&key, &app).await?.ok()?;
    assert_eq!(freed, json!({ "freed": true, "seats": 1, "seats_used": 0 }));
    let taken = second.verify(&key, &app).await?.ok()?;
    assert_eq!((&taken["code"], seats_used(&taken)), (&json!("VALID"), 1));
    assert_eq!(first.verify(&key, &app).await?.body["code"], "SEATS_EXHAUSTED");
    assert_eq!(first.deactivate(&key, &app).await?.ok()?["freed"], false, "it holds none any more");
    Ok(())
}

async fn a_question_without_a_key_never_takes_a_seat(stage: Arc<Stage>) -> Outcome {
    let (buyer, other) = (stage.shop().await?, stage.shop().await?);
    let app = stage.paid_app().await?;
    let key = stage.sell(&buyer, &app).await?.key;
    buyer.deactivate(&key, &app).await?.ok()?;
    let answer = ask(other.anyone(), &other, &key, &app).await?;
    assert_eq!((&answer["code"], seats_used(&answer)), (&json!("VALID"), 0));
    assert_eq!(seats_used(&ask(buyer.reader(), &buyer, &key, &app).await?), 1, "the seat was still free");
    Ok(())
}

async fn shared_key(stage: &Stage) -> anyhow::Result<Caller> {
    let made = stage.admin.caller().post("/admin/shared-keys", &json!({ "label": "central" })).await?.ok()?;
    Ok(stage.anyone()?.with("x-publishable-api-key", made["publishable_key"].as_str().unwrap()))
}

async fn a_question_under_a_shared_key_never_takes_a_seat(stage: Arc<Stage>) -> Outcome {
    let (buyer, other, shared) = (stage.shop().await?, stage.shop().await?, shared_key(&stage).await?);
    let app = stage.paid_app().await?;
    let key = stage.sell(&buyer, &app).await?.key;
    assert_eq!(ask(&shared, &buyer, &key, &app).await?["code"], "VALID");
    buyer.deactivate(&key, &app).await?.ok()?;
    let answer = ask(&shared, &other, &key, &app).await?;
    assert_eq!((&answer["code"], seats_used(&answer)), (&json!("VALID"), 0));
    Ok(())
}

async fn a_shared_key_serves_who_names_its_instance(stage: Arc<Stage>) -> Outcome {
    let (shop, shared) = (stage.shop().await?, shared_key(&stage).await?);
    let app = stage.paid_app().await?;
    let key = stage.sell(&shop, &app).await?.key;
    shared.get("/store/marketplace/feed").await?.ok()?;
    let path = format!("/store/marketplace/download/{app}/1.0.0");
    let licensed = shared.with("x-carpha-license", &key);
    assert_refused(&licensed.get(&path).await?, 400, "invalid_data", "x-carpha-instance");
    licensed.with("x-carpha-instance", shop.id()).get(&path).await?.ok()?;
    assert_refused(&shared.get("/store/marketplace/licenses").await?, 401, "unauthorized", "sk_");
    Ok(())
}

async fn a_shop_cannot_speak_for_another(stage: Arc<Stage>) -> Outcome {
    let (one, other) = (stage.shop().await?, stage.shop().await?);
    let app = stage.paid_app().await?;
    let key = stage.sell(&other, &app).await?.key;
    ask(other.reader(), &other, &key, &app).await?;
    let verify = one.reader().post(VERIFY, &other.question(&key, &app)).await?;
    assert_refused(&verify, 403, "not_allowed", "instance");
    let order = json!({
        "marketplace_id": app, "version": "1.0.0",
        "customer_email": "merchant@shop.example", "instance_id": other.id(),
    });
    let checkout = one.reader().post("/store/marketplace/checkout/session", &order).await?;
    assert_refused(&checkout, 403, "not_allowed", "instance");
    let both = one.reader().bearer(&other.registration.secret_key);
    assert_refused(&both.get("/store/marketplace/licenses").await?, 403, "not_allowed", "instance");
    let question = other.question(&key, &app);
    let deactivate = one.administrator().post("/store/marketplace/license/deactivate", &question).await?;
    assert_refused(&deactivate, 403, "not_allowed", "instance");
    assert_eq!(other.verify(&key, &app).await?.body["code"], "VALID");
    Ok(())
}

async fn only_the_secret_key_gives_a_seat_back(stage: Arc<Stage>) -> Outcome {
    let (shop, app) = (stage.shop().await?, stage.paid_app().await?);
    let key = stage.sell(&shop, &app).await?.key;
    let (path, question) = ("/store/marketplace/license/deactivate", shop.question(&key, &app));
    for caller in [shop.reader(), shop.anyone(), stage.admin.caller()] {
        assert_refused(&caller.post(path, &question).await?, 401, "unauthorized", "sk_");
    }
    assert_eq!(seats_used(&ask(shop.reader(), &shop, &key, &app).await?), 1);
    Ok(())
}

async fn a_shop_lists_its_own_licences_with_their_keys(stage: Arc<Stage>) -> Outcome {
    let (shop, other) = (stage.shop().await?, stage.shop().await?);
    let (first, second) = (stage.paid_app().await?, stage.paid_app().await?);
    let mut keys = [stage.sell(&shop, &first).await?.key, stage.sell(&shop, &second).await?.key];
    let listed = shop.licenses().await?;
    let mut told: Vec<_> = listed.iter().map(|one| one["license_key"].as_str().unwrap()).collect();
    told.sort_unstable();
    keys.sort();
    assert_eq!(told, keys);
    assert!(listed.iter().all(|one| one["status"] == "active" && one["version"] == "1.0.0"), "{listed:?}");
    assert!(other.licenses().await?.is_empty());
    let seen_by_operator = stage.admin.list("licenses", &[("instance_id", shop.id())]).await?;
    assert!(seen_by_operator.iter().all(|one| one["license_key"].is_null()), "operators see no keys");
    Ok(())
}

async fn racing_questions_never_take_more_seats_than_there_are(stage: Arc<Stage>) -> Outcome {
    let (buyer, app) = (stage.shop().await?, stage.paid_app().await?);
    let key = stage.sell(&buyer, &app).await?.key;
    let mut rivals = Vec::new();
    for _ in 0..6 {
        rivals.push(stage.shop().await?);
    }
    buyer.deactivate(&key, &app).await?.ok()?;
    let answers = futures::future::try_join_all(rivals.iter().map(|rival| rival.verify(&key, &app))).await?;
    let valid = answers.iter().filter(|answer| answer.body["code"] == "VALID").count();
    assert_eq!(valid, 1, "one seat, one winner");
    assert!(answers.iter().all(|answer| answer.status == 200));
    Ok(())
}
