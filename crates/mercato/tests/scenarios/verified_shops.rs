//! Shops that have to show that they are there before they are told of anything, by HTTP.

use std::sync::Arc;

use http::Method;
use serde_json::{Value, json};
use testkit::{
    market::{Options, Service, Shop, Webhook},
    receiver::{Answer, Received, Receiver},
};

use crate::stage::{Outcome, SOON, Stage, text};

scenarios! {
    Options::default()
        .var(Service::Dispatcher, "MERCATO__DELIVERY__VERIFY_ENDPOINTS", "true")
        .var(Service::Dispatcher, "MERCATO__DELIVERY__SCHEDULE_SECONDS", "[1]");
    a_shop_that_is_not_there_yet_is_told_of_its_licence_once_it_is_verified,
    a_shop_that_knows_no_verification_is_told_when_the_operator_says_so,
}

const VERIFICATION: &str = "endpoint-verification";

fn is_verification(received: &Received) -> bool {
    received.header("x-carpha-event") == Some(VERIFICATION)
}

impl Stage {
    async fn endpoint_in(&self, shop: &Shop, state: &str) -> anyhow::Result<Value> {
        let path = format!("/admin/endpoints?instance_id={}", shop.id());
        let all = self.answer_with(&path, |all| all["endpoints"][0]["state"] == state).await?;
        Ok(all["endpoints"][0].clone())
    }

    /// The only delivery of this event to the shop, once it is in this state.
    async fn delivery_of(&self, shop: &Shop, event: &str, state: &str) -> anyhow::Result<Value> {
        let path = format!("/admin/deliveries?instance_id={}&event={event}", shop.id());
        let all = self.answer_with(&path, |all| all["deliveries"][0]["state"] == state).await?;
        assert_eq!(all["count"], 1);
        Ok(all["deliveries"][0].clone())
    }
}

async fn a_shop_that_is_not_there_yet_is_told_of_its_licence_once_it_is_verified(
    stage: Arc<Stage>,
) -> Outcome {
    // At an address where nobody listens before the sale.
    let shop = stage.shop_at("http://127.0.0.1:9").await?;
    let app = stage.paid_app().await?;
    let order = shop.checkout(&app, "1.0.0").await?;
    stage.market.stripe().pay(&order.session_id).await?;
    let dead = stage.delivery_of(&shop, VERIFICATION, "dead").await?;
    assert_eq!((&dead["dead_class"], &dead["kind"]), (&json!("refused"), &json!("webhook")));
    let held = stage.delivery_of(&shop, "license-issued", "held").await?;
    let unverified = stage.endpoint_in(&shop, "unverified").await?;
    assert!(unverified["unverified_since"].is_string() && unverified["verified_at"].is_null());
    assert_eq!(unverified["disabled"], false);

    let moved = json!({ "base_url": shop.receiver.url() });
    let caller = stage.admin.caller();
    let path = format!("/admin/instances/{}", shop.id());
    caller.send(caller.request(Method::PATCH, &path).json(&moved)).await?.ok()?;
    let webhook = shop.wait_for_license(&app, SOON).await?;
    assert_eq!(held["id"], webhook.delivery_id.as_str());
    let verified = stage.endpoint_in(&shop, "active").await?;
    assert!(verified["verified_at"].is_string() && verified["unverified_since"].is_null());
    let told: Vec<Webhook> = shop.webhooks()?;
    let events: Vec<&str> = told.iter().map(|one| one.event.as_str()).collect();
    assert_eq!(events, [VERIFICATION, "license-issued"]);
    assert_eq!(told[0].body, json!({ "endpoint_id": verified["id"] }));
    Ok(())
}

async fn a_shop_that_knows_no_verification_is_told_when_the_operator_says_so(stage: Arc<Stage>) -> Outcome {
    // It is asked as soon as it is registered.
    let receiver = Receiver::start().await?;
    receiver.decide(|asked| is_verification(asked).then(|| Answer::status(404)));
    let registration = stage.admin.register(&stage.name("shop"), &receiver.url()).await?;
    let shop = Shop::new(&stage.market.gateway_url(), registration, receiver)?;
    let app = stage.paid_app().await?;
    let order = shop.checkout(&app, "1.0.0").await?;
    stage.market.stripe().pay(&order.session_id).await?;
    stage.delivery_of(&shop, "license-issued", "held").await?;
    let dead = stage.delivery_of(&shop, VERIFICATION, "dead").await?;
    assert_eq!(dead["dead_class"], "client_error");
    let endpoint = text(&stage.endpoint_in(&shop, "unverified").await?, "id")?;
    stage.admin.caller().post(&format!("/admin/endpoints/{endpoint}/enable"), &json!({})).await?.ok()?;
    shop.wait_for_license(&app, SOON).await?;
    let active = stage.endpoint_in(&shop, "active").await?;
    assert!(active["verified_at"].is_null() && active["unverified_since"].is_null());

    // It learns of the event later, and is asked again.
    shop.receiver.decide(|_| None);
    let replay = format!("/admin/deliveries/{}/replay", text(&dead, "id")?);
    stage.admin.caller().post(&replay, &json!({})).await?.ok()?;
    let path = format!("/admin/endpoints?instance_id={}", shop.id());
    stage.answer_with(&path, |all| all["endpoints"][0]["verified_at"].is_string()).await?;
    Ok(())
}
