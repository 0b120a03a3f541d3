//! Several versions of a hosted app side by side: consent, updates, and what the vendor sees.

use std::{sync::Arc, time::Duration};

use serde_json::{Value, json};
use testkit::{
    eventually,
    market::{Consent, Options, Service, Shop},
    receiver::Answer,
};
use time::{OffsetDateTime, format_description::well_known::Rfc3339};
use wire::open2b::{
    Callback,
    Operation::{Install, Remove, Update},
};

use crate::{
    app::{HostedApp, READ, WRITE, assert_dead},
    stage::{Outcome, SOON, Stage, assert_refused, now, text},
};

/// A release may be required as soon as it is out.
fn without_notice() -> Options {
    Options::default().var(Service::Catalog, "MERCATO__CATALOG__MINIMUM_NOTICE_DAYS", "0")
}

scenarios! {
    without_notice();
    an_update_that_adds_permissions_needs_a_new_consent,
    an_update_without_new_permissions_is_still_the_shops_decision,
    what_changes_nothing_for_a_shop_comes_by_itself,
    an_update_that_the_app_refuses_leaves_the_shop_where_it_was,
    an_update_is_told_again_until_the_app_takes_it,
    a_newer_update_takes_the_place_of_the_one_under_way,
    an_update_while_the_install_is_under_way_has_to_wait,
    a_removal_ends_an_update_that_is_under_way,
    an_update_goes_forward_only,
    three_versions_run_side_by_side_and_the_vendor_sees_who_is_late,
    a_withdrawn_version_is_offered_to_nobody,
}

async fn pending(shop: &Shop, id: &str) -> anyhow::Result<Value> {
    Ok(shop.installation(id).await?["pending_update"].clone())
}

fn version_and_state(shown: &Value) -> (&str, &str) {
    (shown["version"].as_str().unwrap(), shown["state"].as_str().unwrap())
}

async fn an_update_that_adds_permissions_needs_a_new_consent(stage: Arc<Stage>) -> Outcome {
    let (app, shop) = (stage.hosted_app().await?, stage.shop().await?);
    let installed = app.install_in(&shop).await?;
    assert_eq!(pending(&shop, &installed.id).await?, Value::Null);
    let wider = app.package.clone().version("1.1.0").permissions(&[READ, WRITE]);
    app.publish(&stage, &wider.field("changelog_url", json!("https://vendor.example/changes"))).await?;

    let expected = json!({
        "version": "1.1.0", "changes": ["permissions"], "requires_consent": true, "added_permissions": [WRITE],
        "required_after": null, "security": false, "changelog_url": "https://vendor.example/changes",
    });
    assert_eq!(pending(&shop, &installed.id).await?, expected);
    let offer = shop.updates(&json!({ app.id(): "1.0.0" })).await?.ok()?;
    assert_eq!(
        (&offer["updates"][0]["changes"], &offer["updates"][0]["requires_consent"]),
        (&json!(["permissions"]), &json!(true))
    );

    let without = shop.update(&installed.id, Consent::to(&[READ])).await?;
    assert_refused(&without, 400, "invalid_data", "requires more");
    assert_eq!(version_and_state(&shop.installation(&installed.id).await?), ("1.0.0", "installed"));
    assert_eq!(app.told_by(&shop)?.len(), 1, "the app is told nothing of what was not agreed to");

    let updated = shop.update(&installed.id, Consent::to(&[WRITE, READ])).await?.ok()?;
    assert_eq!(version_and_state(&updated), ("1.1.0", "installed"));
    assert_eq!((&updated["permissions"], &updated["pending_update"]), (&json!([READ, WRITE]), &Value::Null));
    assert_eq!(app.told_by(&shop)?[1].told(), (Update, Some("1.1.0")));
    let live = shop.introspect(&installed.key).await?;
    assert_eq!(
        (&live["version"], &live["permissions"]),
        (&json!("1.1.0"), &json!([READ, WRITE])),
        "the same key, more of it"
    );
    Ok(())
}

/// The app under another name: what a shop must agree to, though it asks for nothing more.
async fn renamed(stage: &Stage, app: &HostedApp, version: &str) -> anyhow::Result<Value> {
    let package = app.package.clone().version(version).field("name", json!(format!("Loyalty {version}")));
    app.publish(stage, &package).await
}

async fn an_update_without_new_permissions_is_still_the_shops_decision(stage: Arc<Stage>) -> Outcome {
    let (app, shop) = (stage.hosted_app().await?, stage.shop().await?);
    let installed = app.install_in(&shop).await?;
    renamed(&stage, &app, "1.1.0").await?;
    let waits = pending(&shop, &installed.id).await?;
    assert_eq!((&waits["changes"], &waits["requires_consent"]), (&json!(["name"]), &json!(false)));
    assert_eq!(version_and_state(&shop.installation(&installed.id).await?), ("1.0.0", "installed"));
    let updated = shop.update(&installed.id, Consent::to(&[READ])).await?;
    assert_eq!((updated.status, updated.header("preference-applied")), (202, "wait=30"));
    assert_eq!(updated.header("location"), format!("/store/marketplace/installations/{}", installed.id));
    assert_eq!(version_and_state(&updated.body), ("1.1.0", "installed"));
    let told = app.told_by(&shop)?;
    let Callback::Update { shop: name, api, version, .. } = &told[1].callback else {
        anyhow::bail!("it was told {:?}", told[1].callback);
    };
    assert_eq!((name, api.max_version, version.as_str()), (&shop.registration.shop, 3, "1.1.0"));
    Ok(())
}

async fn what_changes_nothing_for_a_shop_comes_by_itself(stage: Arc<Stage>) -> Outcome {
    let (app, shop) = (stage.hosted_app().await?, stage.shop().await?);
    let installed = app.install_in(&shop).await?;
    app.publish(&stage, &app.package.clone().version("1.0.1").field("description", json!("Mended."))).await?;
    let look = async || {
        let shown = shop.installation(&installed.id).await.ok()?;
        (version_and_state(&shown) == ("1.0.1", "installed")).then_some(shown)
    };
    let shown = eventually("the silent update", SOON, look).await?;
    assert_eq!(shown["pending_update"], Value::Null);
    assert_eq!(app.told_by(&shop)?.len(), 1, "nobody is asked, and nobody told");
    assert_eq!(shop.introspect(&installed.key).await?["version"], "1.0.1");
    Ok(())
}

async fn an_update_that_the_app_refuses_leaves_the_shop_where_it_was(stage: Arc<Stage>) -> Outcome {
    let (app, shop) = (stage.hosted_app().await?, stage.shop().await?);
    let installed = app.install_in(&shop).await?;
    renamed(&stage, &app, "1.1.0").await?;
    app.backend.receiver.answer(Answer::status(204));
    let begun = shop.update(&installed.id, Consent::to(&[READ]).at_once()).await?.ok()?;
    assert_eq!(
        (version_and_state(&begun), &begun["target_version"]),
        (("1.0.0", "updating"), &json!("1.1.0"))
    );
    assert_eq!(begun["pending_update"], Value::Null, "it is being made");
    assert_eq!(shop.introspect(&installed.key).await?["version"], "1.0.0", "meanwhile the app works on");
    // Six attempts in some twenty seconds.
    let back = shop.installation_in(&installed.id, "installed", 2 * SOON).await?;
    assert_eq!((&back["version"], &back["target_version"]), (&json!("1.0.0"), &Value::Null));
    let callback = &back["last_callback"];
    assert_eq!(
        (&callback["outcome"], &callback["status"], &callback["attempts"]),
        (&json!("given_up"), &json!(204), &json!(6))
    );
    assert_eq!(back["pending_update"]["version"], "1.1.0", "and it can be tried again");
    Ok(())
}

async fn an_update_is_told_again_until_the_app_takes_it(stage: Arc<Stage>) -> Outcome {
    let (app, shop) = (stage.hosted_app().await?, stage.shop().await?);
    let installed = app.install_in(&shop).await?;
    renamed(&stage, &app, "1.1.0").await?;
    app.backend.receiver.script([Answer::status(500), Answer::reset()]);
    shop.update(&installed.id, Consent::to(&[READ]).at_once()).await?.ok()?;
    let updated = shop.installation_in(&installed.id, "installed", SOON).await?;
    assert_eq!((&updated["version"], &updated["last_callback"]["attempts"]), (&json!("1.1.0"), &json!(3)));
    let told = app.told_by(&shop)?;
    assert!(told[1..].iter().all(|one| one.told() == (Update, Some("1.1.0"))));
    Ok(())
}

async fn a_newer_update_takes_the_place_of_the_one_under_way(stage: Arc<Stage>) -> Outcome {
    let (app, shop) = (stage.hosted_app().await?, stage.shop().await?);
    let installed = app.install_in(&shop).await?;
    renamed(&stage, &app, "1.1.0").await?;
    app.backend.receiver.answer(Answer::status(500));
    shop.update(&installed.id, Consent::to(&[READ]).at_once()).await?.ok()?;
    let same = shop.update(&installed.id, Consent::to(&[READ]).at_once()).await?.ok()?;
    assert_eq!((version_and_state(&same), &same["target_version"]), (("1.0.0", "updating"), &json!("1.1.0")));
    app.wait_for(&shop, 2).await?;
    renamed(&stage, &app, "1.2.0").await?;
    assert_eq!(pending(&shop, &installed.id).await?["version"], "1.2.0");
    app.backend.receiver.answer(Answer::status(200));
    let newer = shop.update(&installed.id, Consent::to(&[READ])).await?.ok()?;
    assert_eq!(version_and_state(&newer), ("1.2.0", "installed"));
    let last = app.told_by(&shop)?.pop().unwrap();
    assert_eq!(last.told(), (Update, Some("1.2.0")));
    Ok(())
}

async fn an_update_while_the_install_is_under_way_has_to_wait(stage: Arc<Stage>) -> Outcome {
    let (app, shop) = (stage.hosted_app().await?, stage.shop().await?);
    app.backend.receiver.answer(Answer::reset());
    let begun = shop.install(app.id(), Consent::to(&[READ]).at_once()).await?.ok()?;
    let id = text(&begun, "id")?;
    renamed(&stage, &app, "1.1.0").await?;
    let early = shop.update(&id, Consent::to(&[READ])).await?;
    assert_refused(&early, 409, "conflict", "still being installed");
    let another = shop.install(app.id(), Consent::to(&[READ])).await?;
    assert_refused(&another, 409, "conflict", "update it instead");
    app.backend.receiver.answer(Answer::status(200));
    shop.installation_in(&id, "installed", SOON).await?;
    shop.update(&id, Consent::to(&[READ])).await?.ok()?;
    let told = app.told_by(&shop)?;
    let mut told: Vec<_> = told.iter().map(|one| one.told()).collect();
    told.dedup();
    assert_eq!(told, [(Install, Some("1.0.0")), (Update, Some("1.1.0"))]);
    Ok(())
}

async fn a_removal_ends_an_update_that_is_under_way(stage: Arc<Stage>) -> Outcome {
    let (app, shop) = (stage.hosted_app().await?, stage.shop().await?);
    let installed = app.install_in(&shop).await?;
    renamed(&stage, &app, "1.1.0").await?;
    app.backend.receiver.script([Answer::status(200).after(Duration::from_secs(2))]);
    shop.update(&installed.id, Consent::to(&[READ]).at_once()).await?.ok()?;
    app.wait_for(&shop, 2).await?;
    let removing = shop.remove(&installed.id, None).await?.ok()?;
    assert_eq!(version_and_state(&removing), ("1.0.0", "removing"));
    assert_dead(&shop, &installed.key).await?;
    shop.installation_in(&installed.id, "removed", SOON).await?;
    let told: Vec<_> = app.told_by(&shop)?.iter().map(|one| one.callback.operation()).collect();
    assert_eq!(told, [Install, Update, Remove], "one after the other");
    let late = shop.update(&installed.id, Consent::to(&[READ])).await?;
    assert_refused(&late, 409, "conflict", "not in the shop any more");
    Ok(())
}

async fn an_update_goes_forward_only(stage: Arc<Stage>) -> Outcome {
    let (app, shop) = (stage.hosted_app().await?, stage.shop().await?);
    renamed(&stage, &app, "1.1.0").await?;
    let installed = app.install_in(&shop).await?;
    for version in ["1.0.0", "1.1.0"] {
        let back = shop.update(&installed.id, Consent::to(&[READ]).version(version)).await?;
        assert_refused(&back, 409, "conflict", "newer");
    }
    let to_the_same = shop.update(&installed.id, Consent::to(&[READ])).await?;
    assert_refused(&to_the_same, 409, "conflict", "newer");
    let unknown = shop.update(&installed.id, Consent::to(&[READ]).version("9.9.9")).await?;
    assert_refused(&unknown, 404, "not_found", "there is no release");
    assert_eq!(app.told_by(&shop)?.len(), 1);
    Ok(())
}

fn rfc3339(at: i64) -> String {
    OffsetDateTime::from_unix_timestamp(at).unwrap().format(&Rfc3339).unwrap()
}

async fn three_versions_run_side_by_side_and_the_vendor_sees_who_is_late(stage: Arc<Stage>) -> Outcome {
    let app = stage.hosted_app().await?;
    let (old, middle, new) = (stage.shop().await?, stage.shop().await?, stage.shop().await?);
    let first = app.install_version_in(&old, None, &[READ]).await?;
    renamed(&stage, &app, "1.1.0").await?;
    app.install_version_in(&middle, None, &[READ]).await?;
    let deadline = rfc3339(now() + 5);
    let package = app.package.clone().version("2.0.0").permissions(&[READ, WRITE]);
    let required = [("required_after", deadline.as_str())];
    let release = stage.admin.try_import_hosted(&app.vendor, &package, &required).await?.ok()?;
    assert_eq!(release["required_after"], json!(deadline));
    app.install_version_in(&new, None, &[READ, WRITE]).await?;

    for (shop, version) in [(&old, "1.0.0"), (&middle, "1.1.0"), (&new, "2.0.0")] {
        assert_eq!(
            app.told_by(shop)?[0].told(),
            (Install, Some(version)),
            "each callback carries its own version"
        );
    }
    assert_eq!(pending(&old, &first.id).await?["required_after"], json!(deadline));
    vendor_sees(&stage, &app, &deadline, [&old, &middle]).await?;
    assert_eq!(old.introspect(&first.key).await?["active"], true, "who is late is not cut off");

    let step = old.update(&first.id, Consent::to(&[READ]).version("1.1.0")).await?.ok()?;
    assert_eq!(
        version_and_state(&step),
        ("1.1.0", "installed"),
        "one step at a time, and while there is a newer one"
    );
    assert_eq!(app.told_by(&old)?[1].told(), (Update, Some("1.1.0")));
    let versions = stage.vendors_view(&app, "versions", &[]).await?.ok()?;
    let counts: Vec<&Value> =
        versions["versions"].as_array().unwrap().iter().map(|one| &one["installations"]).collect();
    assert_eq!(counts, [1, 2, 0]);
    Ok(())
}

/// One shop on each version, the older two past the deadline once that has come.
async fn vendor_sees(stage: &Stage, app: &HostedApp, deadline: &str, late: [&Shop; 2]) -> Outcome {
    let row = |version: &str, deadline: Value, past: bool| json!({ "version": version, "installations": 1, "deadline": deadline, "past_deadline": past });
    let expected = |past| {
        json!([
            row("2.0.0", Value::Null, false),
            row("1.1.0", json!(deadline), past),
            row("1.0.0", json!(deadline), past)
        ])
    };
    let look = async || {
        let view = stage.vendors_view(app, "versions", &[]).await.ok()?.body["versions"].clone();
        assert!(view == expected(false) || view == expected(true), "{view}");
        (view == expected(true)).then_some(())
    };
    eventually("the deadline to have come", SOON, look).await?;
    let view = stage.vendors_view(app, "installations", &[("past_deadline", "true")]).await?.ok()?;
    let mut shops: Vec<&str> =
        view["installations"].as_array().unwrap().iter().map(|it| it["shop"].as_str().unwrap()).collect();
    shops.sort_unstable();
    let mut expected = late.map(|shop| shop.registration.shop.as_str());
    expected.sort_unstable();
    assert_eq!((shops.as_slice(), &view["count"]), (expected.as_slice(), &json!(2)));
    assert!(late.iter().all(|shop| !view.to_string().contains(shop.id())), "no more than the app is told");
    Ok(())
}

async fn a_withdrawn_version_is_offered_to_nobody(stage: Arc<Stage>) -> Outcome {
    let (app, shop) = (stage.hosted_app().await?, stage.shop().await?);
    renamed(&stage, &app, "1.1.0").await?;
    let yank = format!("/admin/releases/{}/1.1.0/yank", app.id());
    stage.admin.caller().post(&yank, &json!({ "reason": "loses points" })).await?.ok()?;
    let refused = shop.install(app.id(), Consent::to(&[READ]).version("1.1.0")).await?;
    assert_refused(&refused, 409, "conflict", "withdrawn");
    let installed = app.install_in(&shop).await?;
    let shown = shop.installation(&installed.id).await?;
    assert_eq!((&shown["version"], &shown["pending_update"]), (&json!("1.0.0"), &Value::Null));
    Ok(())
}
