//! What an operator does, and how soon shops feel it.

use std::sync::Arc;

use serde_json::{Value, json};
use testkit::{
    eventually,
    market::{Options, Shop},
    receiver::Received,
};
use wire::{keys::SigningKey, timed_signature};

use crate::stage::{Outcome, SOON, Stage, assert_refused, now, text};

scenarios! {
    Options::default();
    a_suspended_licence_is_refused_at_once_and_a_reinstated_one_taken_at_once,
    a_revoked_licence_stays_revoked,
    a_rotated_publishable_key_lives_on_for_the_overlap,
    a_rotated_secret_key_is_dead_at_once_where_no_overlap_was_asked_for,
    webhooks_carry_both_signatures_while_a_secret_is_rotated,
    a_disabled_shop_is_shut_out_and_told_later,
    a_shop_that_moved_is_told_at_its_new_address,
    what_is_not_there_is_said_to_be_not_there,
    a_shop_identifier_belongs_to_one_shop,
}

async fn code(shop: &Shop, key: &str, app: &str) -> anyhow::Result<String> {
    text(&shop.verify(key, app).await?.ok()?, "code")
}

async fn a_suspended_licence_is_refused_at_once_and_a_reinstated_one_taken_at_once(
    stage: Arc<Stage>,
) -> Outcome {
    let (shop, app) = (stage.shop().await?, stage.paid_app().await?);
    let sale = stage.sell(&shop, &app).await?;
    let id = text(&stage.licenses_of(&sale.order.id).await?[0], "id")?;
    // The second answer comes out of the cache, which an operator's act must empty.
    assert_eq!(
        [code(&shop, &sale.key, &app).await?, code(&shop, &sale.key, &app).await?],
        ["VALID", "VALID"]
    );
    for (act, then) in [("suspend", "SUSPENDED"), ("reinstate", "VALID"), ("suspend", "SUSPENDED")] {
        stage.act_on_license(&id, act).await?.ok()?;
        assert_eq!(code(&shop, &sale.key, &app).await?, then, "right after {act}");
    }
    let download = shop.try_download(&app, "1.0.0", Some(&sale.key)).await?;
    assert_refused(&download, 402, "payment_required", "suspended");
    Ok(())
}

async fn a_revoked_licence_stays_revoked(stage: Arc<Stage>) -> Outcome {
    let (shop, app) = (stage.shop().await?, stage.paid_app().await?);
    let sale = stage.sell(&shop, &app).await?;
    let id = text(&stage.licenses_of(&sale.order.id).await?[0], "id")?;
    assert_eq!(code(&shop, &sale.key, &app).await?, "VALID");
    assert_eq!(stage.act_on_license(&id, "revoke").await?.ok()?["status"], "revoked");
    assert_eq!(code(&shop, &sale.key, &app).await?, "REVOKED");
    assert_refused(&stage.act_on_license(&id, "reinstate").await?, 409, "conflict", "final");
    let suspend = format!("/admin/licenses/{id}/suspend");
    let silent = stage.admin.caller().post(&suspend, &json!({ "reason": " " })).await?;
    assert_refused(&silent, 400, "invalid_data", "reason");
    // What is revoked may be bought again.
    let again = stage.sell(&shop, &app).await;
    assert!(again.is_ok(), "{again:?}", again = again.err());
    Ok(())
}

async fn rotate(stage: &Stage, shop: &Shop, what: Value) -> anyhow::Result<Value> {
    stage.admin.caller().post(&format!("/admin/instances/{}/rotate", shop.id()), &what).await?.ok()
}

async fn a_rotated_publishable_key_lives_on_for_the_overlap(stage: Arc<Stage>) -> Outcome {
    let shop = stage.shop().await?;
    shop.feed(&[]).await?.ok()?;
    let rotated = rotate(&stage, &shop, json!({ "publishable_key": true })).await?;
    let second = stage.anyone()?.with("x-publishable-api-key", text(&rotated, "publishable_key")?);
    assert_ne!(rotated["publishable_key"], shop.registration.publishable_key.as_str());
    shop.feed(&[]).await?.ok()?;
    second.get("/store/marketplace/feed").await?.ok()?;

    let again = rotate(&stage, &shop, json!({ "publishable_key": true, "overlap_seconds": 0 })).await?;
    let third = stage.anyone()?.with("x-publishable-api-key", text(&again, "publishable_key")?);
    third.get("/store/marketplace/feed").await?.ok()?;
    let dead = second.get("/store/marketplace/feed").await?;
    assert_refused(&dead, 401, "unauthorized", "not known or no longer valid");
    Ok(())
}

async fn a_rotated_secret_key_is_dead_at_once_where_no_overlap_was_asked_for(stage: Arc<Stage>) -> Outcome {
    let shop = stage.shop().await?;
    shop.licenses().await?;
    let rotated = rotate(&stage, &shop, json!({ "secret_key": true, "overlap_seconds": 0 })).await?;
    let old = shop.administrator().get("/store/marketplace/licenses").await?;
    assert_refused(&old, 401, "unauthorized", "not known or no longer valid");
    let new = shop.reader().bearer(&text(&rotated, "secret_key")?);
    new.get("/store/marketplace/licenses").await?.ok()?;
    let nothing = format!("/admin/instances/{}/rotate", shop.id());
    let nothing = stage.admin.caller().post(&nothing, &json!({})).await?;
    assert_refused(&nothing, 400, "invalid_data", "name what to rotate");
    Ok(())
}

async fn webhooks_carry_both_signatures_while_a_secret_is_rotated(stage: Arc<Stage>) -> Outcome {
    let (shop, app) = (stage.shop().await?, stage.paid_app().await?);
    let sale = stage.sell(&shop, &app).await?;
    let rotated = rotate(&stage, &shop, json!({ "webhook_secret": true })).await?;
    let (old, new) = (&shop.registration.webhook_secret, text(&rotated, "webhook_secret")?);
    let delivery = &sale.webhook.delivery_id;
    // The dispatcher learns of the secret by the bus: told again and again, until both have signed. What is in flight
    // is not replayed, so that each round waits for the end of the one before.
    let both = eventually("a webhook with two signatures", SOON, async || {
        stage.delivery_to(&shop, |delivery| delivery["state"] == "delivered").await.ok()?;
        shop.receiver.clear();
        let replay = format!("/admin/deliveries/{delivery}/replay");
        stage.admin.caller().post(&replay, &json!({})).await.ok()?.ok().ok()?;
        let told = shop.receiver.wait_for("the webhook", SOON, |_| true).await.ok()?;
        (count(&told, "x-carpha-signature", "v1=") == 2).then_some(told)
    });
    let both = both.await?;
    assert_eq!(count(&both, "webhook-signature", "v1,"), 2);
    let header = both.header("x-carpha-signature").unwrap();
    for secret in [old, &new] {
        timed_signature::verify(&[secret.as_str()], header, &both.body, now(), 300)?;
    }
    assert_eq!(both.header("webhook-id"), Some(delivery.as_str()), "the same delivery on every retry");
    Ok(())
}

fn count(received: &Received, header: &str, mark: &str) -> usize {
    received.header(header).unwrap_or_default().matches(mark).count()
}

async fn endpoint_is(stage: &Stage, shop: &Shop, wanted: impl Fn(&Value) -> bool) -> anyhow::Result<Value> {
    let path = format!("/admin/endpoints?instance_id={}", shop.id());
    let found = stage.answer_with(&path, |answer| answer["endpoints"].get(0).is_some_and(&wanted)).await?;
    Ok(found["endpoints"][0].clone())
}

async fn a_disabled_shop_is_shut_out_and_told_later(stage: Arc<Stage>) -> Outcome {
    let (shop, app) = (stage.shop().await?, stage.paid_app().await?);
    let order = shop.checkout(&app, "1.0.0").await?;
    let instance = format!("/admin/instances/{}", shop.id());
    stage.admin.caller().post(&format!("{instance}/disable"), &json!({})).await?.ok()?;
    assert_refused(&shop.feed(&[]).await?, 401, "unauthorized", "no longer valid");
    endpoint_is(&stage, &shop, |endpoint| endpoint["disabled"] == true).await?;

    stage.market.stripe().pay(&order.session_id).await?;
    stage.delivery_to(&shop, |delivery| delivery["state"] == "held").await?;
    assert!(shop.receiver.requests().is_empty(), "held, not told");
    stage.admin.caller().post(&format!("{instance}/enable"), &json!({})).await?.ok()?;
    let key = shop.wait_for_license(&app, SOON).await?.license_key()?.to_owned();
    assert_eq!(code(&shop, &key, &app).await?, "VALID");
    Ok(())
}

async fn a_shop_that_moved_is_told_at_its_new_address(stage: Arc<Stage>) -> Outcome {
    let (shop, app) = (stage.shop_at("http://127.0.0.1:9").await?, stage.paid_app().await?);
    let change = json!({ "base_url": shop.receiver.url() });
    let request =
        stage.admin.caller().request(http::Method::PATCH, &format!("/admin/instances/{}", shop.id()));
    stage.admin.caller().send(request.json(&change)).await?.ok()?;
    endpoint_is(&stage, &shop, |endpoint| endpoint["base_url"] == shop.receiver.url().as_str()).await?;
    stage.sell(&shop, &app).await?;
    Ok(())
}

async fn what_is_not_there_is_said_to_be_not_there(stage: Arc<Stage>) -> Outcome {
    const ULID: &str = "01ARZ3NDEKTSV4RRFFQ69G5FAV";
    let admin = stage.admin.caller();
    for (collection, prefix) in
        [("instances", "inst"), ("licenses", "lic"), ("orders", "ord"), ("deliveries", "dly")]
    {
        let unknown = admin.get(&format!("/admin/{collection}/{prefix}_{ULID}")).await?;
        assert_refused(&unknown, 404, "not_found", "there is no");
        let malformed = admin.get(&format!("/admin/{collection}/{prefix}_1")).await?;
        assert_refused(&malformed, 400, "invalid_data", prefix);
    }
    let reason = json!({ "reason": "It is not." });
    let yank = admin.post("/admin/releases/@nobody/nothing/1.0.0/yank", &reason).await?;
    assert_refused(&yank, 404, "not_found", "there is no release");
    let key = json!({ "public_key": SigningKey::from_seed(&[1; 32]).verifying_key().to_string() });
    let vendor = admin.post(&format!("/admin/vendors/vnd_{ULID}/keys"), &key).await?;
    assert_refused(&vendor, 404, "not_found", "there is no vendor");
    Ok(())
}

async fn a_shop_identifier_belongs_to_one_shop(stage: Arc<Stage>) -> Outcome {
    let registration = |shop: &str| {
        let api = json!({ "base_url": "https://shop.example/api", "min_version": 1, "max_version": 3 });
        json!({ "base_url": "https://shop.example", "shop": shop, "site_url": "https://shop.example", "api": api })
    };
    let name = stage.name("twice");
    stage.admin.caller().post("/admin/instances", &registration(&name)).await?.ok()?;
    let again = stage.admin.caller().post("/admin/instances", &registration(&name)).await?;
    assert_refused(&again, 409, "conflict", "shop");
    let mut bad = registration(&stage.name("bad"));
    bad["base_url"] = json!("ftp://user:hunter2@shop.example");
    let bad = stage.admin.caller().post("/admin/instances", &bad).await?;
    assert_refused(&bad, 400, "invalid_data", "base_url must be an absolute http or https URL");
    assert!(!bad.message().contains("hunter2"));
    Ok(())
}
