//! What shops are told besides the licences that they buy, if they asked for it.

use std::sync::Arc;

use http::Method;
use serde_json::{Value, json};
use testkit::{
    eventually,
    market::{Options, Package, Shop, Webhook},
};

use crate::stage::{Outcome, SOON, Stage, assert_refused, text};

scenarios! {
    Options::default();
    a_shop_that_asked_for_it_is_told_what_becomes_of_its_licence,
    every_shop_that_asked_for_it_is_told_of_a_release,
    a_shop_that_asked_for_it_is_told_of_its_installations,
    a_shop_that_asked_for_nothing_is_told_of_its_licences_alone,
    an_event_that_there_is_not_cannot_be_asked_for,
}

impl Stage {
    /// Where a shop is told, as the operator names it.
    pub(crate) async fn endpoint_of(&self, shop: &Shop) -> anyhow::Result<String> {
        let query = [("instance_id", shop.id())];
        let known = eventually("the endpoint", SOON, async || {
            self.admin.list("endpoints", &query).await.ok()?.first().cloned()
        });
        text(&known.await?, "id")
    }

    /// The operator has the shop told of these events; what it is told then.
    async fn tell(&self, shop: &Shop, events: &[&str]) -> anyhow::Result<Value> {
        let path = format!("/admin/endpoints/{}", self.endpoint_of(shop).await?);
        let caller = self.admin.caller();
        let asked = caller.request(Method::PATCH, &path).json(&json!({ "events": events }));
        Ok(caller.send(asked).await?.ok()?["events"].clone())
    }
}

/// Everything about this app that the shop was told besides its licences.
fn further(shop: &Shop, app: &str) -> anyhow::Result<Vec<Webhook>> {
    let all = shop.webhooks()?.into_iter();
    Ok(all.filter(|told| told.event != "license-issued" && told.body["marketplace_id"] == app).collect())
}

async fn a_shop_that_asked_for_it_is_told_what_becomes_of_its_licence(stage: Arc<Stage>) -> Outcome {
    let (shop, app) = (stage.shop().await?, stage.paid_app().await?);
    let events = ["license-issued", "license-revoked", "license-suspended", "license-reinstated"];
    assert_eq!(stage.tell(&shop, &events).await?, json!(events));
    let sale = stage.sell(&shop, &app).await?;
    let license = text(&stage.licenses_of(&sale.order.id).await?[0], "id")?;
    for (act, event) in
        [("suspend", "license-suspended"), ("reinstate", "license-reinstated"), ("revoke", "license-revoked")]
    {
        stage.act_on_license(&license, act).await?.ok()?;
        let told = shop.wait_for_webhook(event, &app, SOON).await?;
        let expected = json!({
            "marketplace_id": app, "license_key": sale.key, "reason": "asked for by the buyer",
        });
        assert_eq!(told.body, expected, "{event}");
    }
    assert_eq!(further(&shop, &app)?.len(), 3);
    Ok(())
}

async fn every_shop_that_asked_for_it_is_told_of_a_release(stage: Arc<Stage>) -> Outcome {
    let (vendor, quiet) = (stage.vendor().await?, stage.shop().await?);
    let shops = [stage.shop().await?, stage.shop().await?, stage.shop().await?];
    for shop in &shops {
        stage.tell(shop, &["license-issued", "release-published"]).await?;
    }
    let id = format!("@{}/news", vendor.name);
    let changelog = "https://vendor.example/news/1.1.0";
    let package = Package::new(&id).version("1.1.0").field("changelog_url", json!(changelog));
    stage.admin.import(&vendor, &package).await?;
    let mut delivery_ids = Vec::new();
    for shop in &shops {
        let told = shop.wait_for_webhook("release-published", &id, SOON).await?;
        let expected = json!({
            "marketplace_id": id, "version": "1.1.0", "changelog_url": changelog, "security": false,
        });
        assert_eq!(told.body, expected);
        delivery_ids.push(told.delivery_id);
    }
    delivery_ids.sort_unstable();
    delivery_ids.dedup();
    assert_eq!(delivery_ids.len(), 3, "each shop has a delivery of its own");
    for shop in &shops {
        let query = [("instance_id", shop.id()), ("event", "release-published"), ("state", "delivered")];
        let recorded =
            async || (!stage.admin.list("deliveries", &query).await.ok()?.is_empty()).then_some(());
        eventually("its record", SOON, recorded).await?;
    }
    assert!(quiet.receiver.requests().is_empty(), "who did not ask is told nothing");
    Ok(())
}

async fn a_shop_that_asked_for_it_is_told_of_its_installations(stage: Arc<Stage>) -> Outcome {
    let (app, shop, other) = (stage.hosted_app().await?, stage.shop().await?, stage.shop().await?);
    for shop in [&shop, &other] {
        stage.tell(shop, &["license-issued", "installation-changed"]).await?;
    }
    let installed = app.install_in(&shop).await?;
    let is_installed = |told: &Webhook| told.body["state"] == "installed";
    let told = eventually("the installation's change", SOON, async || {
        further(&shop, app.id()).ok()?.into_iter().find(is_installed)
    });
    let expected = json!({
        "installation_id": installed.id, "marketplace_id": app.id(), "version": "1.0.0", "state": "installed",
    });
    assert_eq!(told.await?.body, expected);
    assert!(other.receiver.requests().is_empty(), "another shop's installation");
    Ok(())
}

async fn a_shop_that_asked_for_nothing_is_told_of_its_licences_alone(stage: Arc<Stage>) -> Outcome {
    let (vendor, quiet, asked) = (stage.vendor().await?, stage.shop().await?, stage.shop().await?);
    stage.tell(&asked, &["license-issued", "license-revoked", "release-published"]).await?;
    let id = format!("@{}/labels", vendor.name);
    stage.admin.import(&vendor, &Package::new(&id).price_cents(4900)).await?;
    let licenses = [stage.sell(&quiet, &id).await?, stage.sell(&asked, &id).await?];
    for sale in &licenses {
        let license = text(&stage.licenses_of(&sale.order.id).await?[0], "id")?;
        stage.act_on_license(&license, "revoke").await?.ok()?;
    }
    stage.admin.import(&vendor, &Package::new(&id).price_cents(4900).version("1.1.0")).await?;
    // Who asked is told of what came after what the other was not told of.
    asked.wait_for_webhook("license-revoked", &id, SOON).await?;
    let newest = |told: &Webhook| told.event == "release-published" && told.body["version"] == "1.1.0";
    eventually("the release", SOON, async || further(&asked, &id).ok()?.into_iter().find(newest)).await?;
    let told: Vec<String> = quiet.webhooks()?.into_iter().map(|told| told.event).collect();
    assert_eq!(told, ["license-issued"]);
    let deliveries = stage.admin.list("deliveries", &[("instance_id", quiet.id())]).await?;
    assert_eq!(deliveries.len(), 1, "nothing is kept for it either");
    Ok(())
}

async fn an_event_that_there_is_not_cannot_be_asked_for(stage: Arc<Stage>) -> Outcome {
    let shop = stage.shop().await?;
    let path = format!("/admin/endpoints/{}", stage.endpoint_of(&shop).await?);
    let caller = stage.admin.caller();
    let asked = caller.request(Method::PATCH, &path).json(&json!({ "events": ["license-lent"] }));
    assert_refused(&caller.send(asked).await?, 400, "invalid_data", "release-published");
    Ok(())
}
