//! What happens to hosted and static apps once they are in a shop: removal, licences, and all that comes at once.

use std::{sync::Arc, time::Duration};

use serde_json::{Value, json};
use testkit::{
    market::{Consent, Options, Package, Service},
    receiver::Answer,
};
use wire::open2b::Operation::{self, Install, Remove, Update};

use crate::{
    app::{HostedApp, READ, assert_dead, key_becomes},
    stage::{Outcome, SOON, Stage, assert_refused, text},
};

/// Installs are given up after ten seconds without an answer.
fn hasty() -> Options {
    let install = |name: &str, value| {
        (Service::Dispatcher, format!("MERCATO__DELIVERY__INSTALL_{name}"), String::from(value))
    };
    let vars = vec![install("SCHEDULE_SECONDS", "[1]"), install("GIVE_UP_SECONDS", "10")];
    Options { vars, ..Options::default() }
}

scenarios! {
    hasty();
    a_removed_app_is_told_and_its_key_is_dead,
    a_removal_counts_at_once_though_the_app_is_down,
    an_app_that_never_hears_of_its_removal_is_removed_all_the_same,
    a_removal_ends_an_install_that_is_under_way,
    an_app_that_is_removed_and_installed_at_once_is_installed,
    an_install_without_any_answer_is_cancelled_and_the_app_told_to_forget,
    an_install_refused_after_a_silent_attempt_is_followed_by_a_remove,
    a_static_app_is_installed_by_the_shop_alone,
    a_paid_app_is_not_installed_without_a_licence,
    a_licence_that_is_suspended_or_revoked_takes_the_access_with_it,
    a_disabled_shop_has_no_live_keys,
}

/// The operations that an app was told by a shop, in their order.
fn operations(told: &[testkit::market::Arrived]) -> Vec<Operation> {
    told.iter().map(|arrived| arrived.callback.operation()).collect()
}

async fn a_removed_app_is_told_and_its_key_is_dead(stage: Arc<Stage>) -> Outcome {
    let (app, shop) = (stage.hosted_app().await?, stage.shop().await?);
    let installed = app.install_in(&shop).await?;
    assert_eq!(shop.introspect(&installed.key).await?["active"], true);
    let reply = shop.remove(&installed.id, Some(30)).await?;
    assert_eq!((reply.status, reply.header("preference-applied")), (202, "wait=30"));
    assert_eq!((&reply.body["state"], &reply.body["access"]), (&json!("removed"), &json!("ended")));
    assert_eq!(
        (&reply.body["last_callback"]["operation"], &reply.body["last_callback"]["status"]),
        (&json!("Remove"), &json!(200))
    );
    assert_dead(&shop, &installed.key).await?;
    assert_eq!(operations(&app.told_by(&shop)?), [Install, Remove]);
    let again = shop.remove(&installed.id, None).await?.ok()?;
    assert_eq!(again["state"], "removed", "to remove what is removed changes nothing");
    assert_eq!(operations(&app.told_by(&shop)?), [Install, Remove]);
    Ok(())
}

async fn a_removal_counts_at_once_though_the_app_is_down(stage: Arc<Stage>) -> Outcome {
    let (mut app, shop) = (stage.hosted_app().await?, stage.shop().await?);
    let installed = app.install_in(&shop).await?;
    assert_eq!(shop.introspect(&installed.key).await?["active"], true);
    let down = app.backend.stop();
    let reply = shop.remove(&installed.id, None).await?.ok()?;
    assert_eq!((&reply["state"], &reply["access"]), (&json!("removing"), &json!("ended")));
    assert_dead(&shop, &installed.key).await?;
    app.backend = down.start().await?;
    let told = app.backend.wait_for(&shop.registration.shop, 1, SOON).await?;
    assert_eq!(operations(&told), [Remove]);
    shop.installation_in(&installed.id, "removed", SOON).await?;
    Ok(())
}

async fn an_app_that_never_hears_of_its_removal_is_removed_all_the_same(stage: Arc<Stage>) -> Outcome {
    let (app, shop) = (stage.hosted_app().await?, stage.shop().await?);
    let installed = app.install_in(&shop).await?;
    app.backend.receiver.answer(Answer::status(500));
    let reply = shop.remove(&installed.id, None).await?.ok()?;
    assert_eq!(reply["state"], "removing");
    // Six attempts in some twenty seconds.
    let removed = shop.installation_in(&installed.id, "removed", 2 * SOON).await?;
    let callback = &removed["last_callback"];
    assert_eq!(
        (&callback["outcome"], &callback["status"], &callback["attempts"]),
        (&json!("given_up"), &json!(500), &json!(6))
    );
    assert_dead(&shop, &installed.key).await
}

async fn a_removal_ends_an_install_that_is_under_way(stage: Arc<Stage>) -> Outcome {
    let (app, shop) = (stage.hosted_app().await?, stage.shop().await?);
    app.backend.receiver.script([Answer::status(200).after(Duration::from_secs(2))]);
    let begun = shop.install(app.id(), Consent::to(&[READ]).at_once()).await?.ok()?;
    let told = app.wait_for(&shop, 1).await?;
    let key = told[0].api_key()?;
    assert_eq!(shop.introspect(key).await?["active"], true, "the app may call while it is being installed");
    let removing = shop.remove(&text(&begun, "id")?, None).await?.ok()?;
    assert_eq!(removing["state"], "removing");
    assert_dead(&shop, key).await?;
    shop.installation_in(&text(&begun, "id")?, "removed", SOON).await?;
    assert_eq!(
        operations(&app.told_by(&shop)?),
        [Install, Remove],
        "what it may have taken it is told to forget"
    );
    assert_dead(&shop, key).await
}

async fn an_app_that_is_removed_and_installed_at_once_is_installed(stage: Arc<Stage>) -> Outcome {
    let (app, shop) = (stage.hosted_app().await?, stage.shop().await?);
    let first = app.install_in(&shop).await?;
    // The Remove is on its way when the new Install is asked for.
    app.backend.receiver.script([Answer::status(500)]);
    let removing = shop.remove(&first.id, None).await?.ok()?;
    assert_eq!(removing["state"], "removing");
    let begun = shop.install(app.id(), Consent::to(&[READ])).await?.ok()?;
    let second = text(&begun, "id")?;
    assert_ne!(second, first.id);
    shop.installation_in(&second, "installed", SOON).await?;
    assert_eq!(shop.installation(&first.id).await?["state"], "removed");
    let told = app.told_by(&shop)?;
    let last = told.last().unwrap();
    assert_eq!(last.callback.operation(), Install, "the app's last word is that it is installed");
    assert_eq!(shop.introspect(last.api_key()?).await?["active"], true);
    assert_dead(&shop, &first.key).await
}

async fn an_install_without_any_answer_is_cancelled_and_the_app_told_to_forget(stage: Arc<Stage>) -> Outcome {
    let (app, shop) = (stage.hosted_app().await?, stage.shop().await?);
    app.backend.receiver.decide(|_| Some(Answer::reset()));
    let begun = shop.install(app.id(), Consent::to(&[READ]).at_once()).await?.ok()?;
    let cancelled = shop.installation_in(&text(&begun, "id")?, "cancelled", 2 * SOON).await?;
    let callback = &cancelled["last_callback"];
    assert_eq!((&callback["outcome"], &callback["status"]), (&json!("unanswered"), &Value::Null));
    assert!(callback["attempts"].as_u64().unwrap() > 1);
    app.backend.receiver.decide(|_| None);
    let is_told =
        async || Some(app.told_by(&shop).ok()?.last()?.callback.operation() == Remove).filter(|it| *it);
    testkit::eventually("the app to be told to forget", SOON, is_told).await?;
    let told = app.told_by(&shop)?;
    assert!(told.iter().all(
        |one| one.callback.operation() == Remove || one.api_key().unwrap() == told[0].api_key().unwrap()
    ));
    assert_dead(&shop, told[0].api_key()?).await
}

async fn an_install_refused_after_a_silent_attempt_is_followed_by_a_remove(stage: Arc<Stage>) -> Outcome {
    let (app, shop) = (stage.hosted_app().await?, stage.shop().await?);
    app.backend.receiver.script([Answer::reset(), Answer::status(500)]);
    let settled = shop.install(app.id(), Consent::to(&[READ])).await?.ok()?;
    assert_eq!((&settled["state"], &settled["last_callback"]["attempts"]), (&json!("cancelled"), &json!(2)));
    let told = app.wait_for(&shop, 3).await?;
    assert_eq!(operations(&told), [Install, Install, Remove]);
    assert_dead(&shop, told[0].api_key()?).await
}

async fn a_static_app_is_installed_by_the_shop_alone(stage: Arc<Stage>) -> Outcome {
    let (vendor, shop) = (stage.vendor().await?, stage.shop().await?);
    let package = Package::new(&format!("@{}/banner", vendor.name)).permissions(&[READ]);
    stage.admin.import_static(&vendor, &package).await?;
    let app = package.marketplace_id();
    let reply = shop.install(app, Consent::to(&[READ]).at_once()).await?;
    assert_eq!(
        (reply.status, &reply.body["state"], &reply.body["kind"]),
        (202, &json!("installed"), &json!("static"))
    );
    assert_eq!((&reply.body["access"], &reply.body["last_callback"]), (&json!("live"), &Value::Null));
    assert_eq!(
        shop.download(app, "1.0.0", None).await?,
        package.build()?,
        "the shop fetches its files itself"
    );
    let id = text(&reply.body, "id")?;

    let newer = package.clone().version("1.1.0").file("more.js", "more();\n");
    stage.admin.import_static(&vendor, &newer).await?;
    let pending = shop.installation(&id).await?["pending_update"].clone();
    assert_eq!((&pending["version"], &pending["changes"]), (&json!("1.1.0"), &json!(["code"])));
    let updated = shop.update(&id, Consent::to(&[READ]).at_once()).await?.ok()?;
    assert_eq!((&updated["state"], &updated["version"]), (&json!("installed"), &json!("1.1.0")));
    assert_eq!(updated["pending_update"], Value::Null);
    let removed = shop.remove(&id, None).await?.ok()?;
    assert_eq!(removed["state"], "removed");
    let deliveries = stage.admin.list("deliveries", &[("marketplace_id", app)]).await?;
    assert!(deliveries.is_empty(), "nobody is called");
    Ok(())
}

/// A hosted app that costs 49 euro.
async fn paid(stage: &Stage) -> anyhow::Result<HostedApp> {
    stage.hosted_app_as(|package| package.price_cents(4900)).await
}

async fn a_paid_app_is_not_installed_without_a_licence(stage: Arc<Stage>) -> Outcome {
    let (app, buyer, stranger) = (paid(&stage).await?, stage.shop().await?, stage.shop().await?);
    let sale = stage.sell(&buyer, app.id()).await?;
    let refused = stranger.install(app.id(), Consent::to(&[READ])).await?;
    assert_refused(&refused, 402, "payment_required", "buy it first");
    assert!(stranger.installations(&[]).await?.is_empty() && app.told_by(&stranger)?.is_empty());
    let installed = app.install_in(&buyer).await?;
    assert_eq!(buyer.introspect(&installed.key).await?["active"], true);
    // The only seat is the buyer's: with its key alone another shop gets none.
    assert_eq!(stranger.verify(&sale.key, app.id()).await?.ok()?["code"], "SEATS_EXHAUSTED");
    let refused = stranger.install(app.id(), Consent::to(&[READ])).await?;
    assert_refused(&refused, 402, "payment_required", "seat");
    Ok(())
}

async fn a_licence_that_is_suspended_or_revoked_takes_the_access_with_it(stage: Arc<Stage>) -> Outcome {
    let (app, shop) = (paid(&stage).await?, stage.shop().await?);
    let sale = stage.sell(&shop, app.id()).await?;
    let license = text(&stage.licenses_of(&sale.order.id).await?[0], "id")?;
    let installed = app.install_in(&shop).await?;
    for (act, active, access) in
        [("suspend", false, "suspended"), ("reinstate", true, "live"), ("revoke", false, "suspended")]
    {
        // Asked before, so that the cache knows the answer that is about to be wrong.
        shop.introspect(&installed.key).await?;
        stage.act_on_license(&license, act).await?.ok()?;
        assert_eq!(shop.introspect(&installed.key).await?["active"], active, "right after {act}");
        let shown = shop.installation(&installed.id).await?;
        assert_eq!((&shown["state"], &shown["access"]), (&json!("installed"), &json!(access)), "after {act}");
    }
    assert_dead(&shop, &installed.key).await?;
    assert_eq!(operations(&app.told_by(&shop)?), [Install], "the shop decides what becomes of the app");
    stage.sell(&shop, app.id()).await?;
    key_becomes(&shop, &installed.key, true).await
}

async fn a_disabled_shop_has_no_live_keys(stage: Arc<Stage>) -> Outcome {
    let (app, shop) = (stage.hosted_app().await?, stage.shop().await?);
    let installed = app.install_in(&shop).await?;
    assert_eq!(shop.introspect(&installed.key).await?["active"], true);
    let disable = format!("/admin/instances/{}/disable", shop.id());
    stage.admin.caller().post(&disable, &json!({})).await?.ok()?;
    assert!(shop.introspect(&installed.key).await.is_err(), "its own key is not taken any more");
    let enable = format!("/admin/instances/{}/enable", shop.id());
    stage.admin.caller().post(&enable, &json!({})).await?.ok()?;
    key_becomes(&shop, &installed.key, true).await?;
    assert!(!operations(&app.told_by(&shop)?).contains(&Update));
    Ok(())
}
