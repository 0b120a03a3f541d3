//! Installs of hosted apps: what each answer of the app makes of them, and what none does.

use std::{sync::Arc, time::Duration};

use serde_json::{Value, json};
use testkit::{
    market::{Arrived, Consent, Options, Shop},
    receiver::{Answer, Receiver},
};
use wire::open2b::{Callback, Operation};

use crate::{
    app::{HostedApp, READ, assert_dead},
    stage::{Outcome, SOON, Stage, assert_refused, text},
};

scenarios! {
    Options::default();
    an_app_that_answers_200_is_installed,
    the_install_says_what_was_agreed_and_nothing_else,
    any_answer_but_200_cancels_at_once_and_the_key_dies,
    what_was_cancelled_can_be_installed_again,
    a_body_of_any_size_changes_nothing,
    an_app_that_says_nothing_is_asked_again_with_the_same_key,
    an_app_that_answers_half_is_asked_again,
    an_app_that_was_down_for_two_minutes_is_installed_when_it_is_back,
    two_installs_at_once_make_one,
    a_new_secret_signs_when_the_old_one_has_ended,
}

async fn an_app_that_answers_200_is_installed(stage: Arc<Stage>) -> Outcome {
    let (app, shop) = (stage.hosted_app().await?, stage.shop().await?);
    let reply = shop.install(app.id(), Consent::to(&[READ])).await?;
    assert_eq!((reply.status, reply.header("preference-applied")), (202, "wait=30"), "{}", reply.body);
    let id = text(&reply.body, "id")?;
    assert!(id.starts_with("itn_"));
    assert_eq!(reply.header("location"), format!("/store/marketplace/installations/{id}"));
    let shown = shop.installation(&id).await?;
    assert_eq!(reply.body, shown, "the answer was held until it had settled");
    assert_eq!(
        (&shown["state"], &shown["access"], &shown["version"]),
        (&json!("installed"), &json!("live"), &json!("1.0.0"))
    );
    assert_eq!((&shown["kind"], &shown["permissions"]), (&json!("hosted"), &json!([READ])));
    let callback = &shown["last_callback"];
    let expected = (&json!("Install"), &json!("delivered"), &json!(200), &json!(1));
    assert_eq!(
        (&callback["operation"], &callback["outcome"], &callback["status"], &callback["attempts"]),
        expected
    );

    let told = app.told_by(&shop)?;
    assert_eq!(told.len(), 1);
    let live = shop.introspect(told[0].api_key()?).await?;
    let expected = json!({
        "active": true, "installation_id": id, "marketplace_id": app.id(), "version": "1.0.0", "permissions": [READ],
    });
    assert_eq!(live, expected);
    let listed = shop.installations(&[("state", "installed"), ("marketplace_id", app.id())]).await?;
    assert_eq!(listed, [shown]);
    operators_see_it(&stage, &app, &shop, &id).await
}

async fn operators_see_it(stage: &Stage, app: &HostedApp, shop: &Shop, id: &str) -> Outcome {
    let query = [("kind", "callback"), ("marketplace_id", app.id())];
    let deliveries = stage.admin.list("deliveries", &query).await?;
    assert_eq!(deliveries.len(), 1);
    let delivery = &deliveries[0];
    assert_eq!((&delivery["event"], &delivery["state"]), (&json!("Install"), &json!("delivered")));
    assert_eq!((&delivery["installation_id"], &delivery["instance_id"]), (&json!(id), &json!(shop.id())));
    let endpoints = stage.admin.list("endpoints", &query).await?;
    assert_eq!((endpoints.len(), &endpoints[0]["kind"]), (1, &json!("callback")));
    let installations = stage.admin.list("installations", &[("instance_id", shop.id())]).await?;
    assert_eq!(
        (&installations[0]["id"], &installations[0]["shop"]),
        (&json!(id), &json!(shop.registration.shop))
    );
    Ok(())
}

async fn the_install_says_what_was_agreed_and_nothing_else(stage: Arc<Stage>) -> Outcome {
    let (app, shop) = (stage.hosted_app().await?, stage.shop().await?);
    app.install_in(&shop).await?;
    let (told, base) = (app.told_by(&shop)?, shop.receiver.url());
    let Callback::Install { shop: name, site_url, api, key, version } = &told[0].callback else {
        anyhow::bail!("it began with {:?}", told[0].callback);
    };
    assert_eq!((name, version.as_str()), (&shop.registration.shop, "1.0.0"));
    assert_eq!(site_url.trim_end_matches('/'), base);
    assert_eq!(
        (api.base_url.trim_end_matches('/'), api.min_version, api.max_version),
        (format!("{base}/api").as_str(), 1, 3)
    );
    assert!(key.len() == 50 && key.bytes().all(|byte| byte.is_ascii_alphanumeric()));
    assert!((60..=660).contains(&(told[0].expires - told[0].at)), "{} seconds", told[0].expires - told[0].at);

    let request = &app.backend.receiver.requests()[0];
    assert_eq!((request.method.as_str(), request.uri.to_string()), ("POST", "/callbacks".to_owned()));
    for ours in ["traceparent", "tracestate", "authorization", "x-carpha-signature", "webhook-id"] {
        assert!(request.header(ours).is_none(), "{ours} is none of the app's business");
    }
    let logs = stage.market.logs();
    assert!(
        logs.values().all(|log| !log.contains(key) && !log.contains(&told[0].auth)),
        "no key is ever logged"
    );
    Ok(())
}

/// One shop asks for the app, which answers all its callbacks so; what came of it.
async fn answered(stage: &Stage, app: &HostedApp, answer: Answer) -> anyhow::Result<(Shop, Value, Arrived)> {
    let shop = stage.shop().await?;
    app.backend.receiver.answer(answer);
    let reply = shop.install(app.id(), Consent::to(&[READ])).await?.ok()?;
    let told = app.told_by(&shop)?;
    assert_eq!(told.len(), 1, "the first answer is the last");
    Ok((shop, reply, told[0].clone()))
}

async fn any_answer_but_200_cancels_at_once_and_the_key_dies(stage: Arc<Stage>) -> Outcome {
    let (app, elsewhere) = (stage.hosted_app().await?, Receiver::start().await?);
    for status in [201, 204, 301, 400, 429, 500, 503] {
        let answer = Answer::status(status).header("location", &elsewhere.url()).header("retry-after", "1");
        let (shop, settled, told) = answered(&stage, &app, answer).await?;
        assert_eq!(
            (&settled["state"], &settled["access"]),
            (&json!("cancelled"), &json!("ended")),
            "{status}"
        );
        let callback = &settled["last_callback"];
        let expected = (&json!("refused"), &json!(status), &json!(1));
        assert_eq!((&callback["outcome"], &callback["status"], &callback["attempts"]), expected);
        assert_dead(&shop, told.api_key()?).await?;
    }
    assert!(elsewhere.requests().is_empty(), "nobody is led elsewhere");
    app.backend.receiver.answer(Answer::status(200));
    let after = stage.shop().await?;
    app.install_in(&after).await?;
    assert!(app.backend.arrived()?.iter().all(|told| told.callback.operation() == Operation::Install));
    Ok(())
}

async fn what_was_cancelled_can_be_installed_again(stage: Arc<Stage>) -> Outcome {
    let app = stage.hosted_app().await?;
    let (shop, cancelled, first) = answered(&stage, &app, Answer::status(500)).await?;
    app.backend.receiver.answer(Answer::status(200));
    let installed = app.install_in(&shop).await?;
    assert_ne!(cancelled["id"], json!(installed.id));
    assert_ne!(first.api_key()?, installed.key, "a dead key does not come back");
    assert_eq!(shop.introspect(&installed.key).await?["active"], true);
    assert_dead(&shop, first.api_key()?).await?;
    let states: Vec<Value> = shop.installations(&[]).await?.iter().map(|it| it["state"].clone()).collect();
    assert_eq!(states, ["installed", "cancelled"], "newest first");
    Ok(())
}

async fn a_body_of_any_size_changes_nothing(stage: Arc<Stage>) -> Outcome {
    let app = stage.hosted_app().await?;
    for answer in [
        Answer::status(200).body(vec![b'x'; 10 * 1024 * 1024]),
        Answer::endless_body(),
        Answer::stalled_body(),
    ] {
        let (shop, settled, told) = answered(&stage, &app, answer).await?;
        assert_eq!(
            (&settled["state"], &settled["last_callback"]["attempts"]),
            (&json!("installed"), &json!(1))
        );
        assert_eq!(shop.introspect(told.api_key()?).await?["active"], true);
    }
    let (_, settled, _) =
        answered(&stage, &app, Answer::status(500).body(vec![b'x'; 10 * 1024 * 1024])).await?;
    assert_eq!(settled["state"], "cancelled");
    Ok(())
}

/// The first attempt gets this, the second one 200.
async fn asked_twice(stage: &Stage, first: Answer) -> Outcome {
    let (app, shop) = (stage.hosted_app().await?, stage.shop().await?);
    app.backend.receiver.script([first]);
    let begun = shop.install(app.id(), Consent::to(&[READ]).at_once()).await?;
    assert_eq!((begun.status, &begun.body["state"]), (202, &json!("installing")));
    assert!(begun.header("preference-applied").is_empty());
    let told = app.wait_for(&shop, 2).await?;
    assert_eq!(told[0].api_key()?, told[1].api_key()?, "every attempt carries the same key");
    assert!(told[1].expires > told[0].expires && told[0].auth != told[1].auth, "each attempt is signed anew");
    let settled = shop.installation_in(&text(&begun.body, "id")?, "installed", SOON).await?;
    assert_eq!(
        (&settled["last_callback"]["outcome"], &settled["last_callback"]["attempts"]),
        (&json!("delivered"), &json!(2))
    );
    assert_eq!(shop.introspect(told[1].api_key()?).await?["active"], true);
    Ok(())
}

async fn an_app_that_says_nothing_is_asked_again_with_the_same_key(stage: Arc<Stage>) -> Outcome {
    tokio::try_join!(asked_twice(&stage, Answer::hang()), asked_twice(&stage, Answer::reset()))?;
    Ok(())
}

async fn an_app_that_answers_half_is_asked_again(stage: Arc<Stage>) -> Outcome {
    asked_twice(&stage, Answer::half_a_head()).await
}

async fn an_app_that_was_down_for_two_minutes_is_installed_when_it_is_back(stage: Arc<Stage>) -> Outcome {
    let (mut app, shop) = (stage.hosted_app().await?, stage.shop().await?);
    let down = app.backend.stop();
    let begun = shop.install(app.package.marketplace_id(), Consent::to(&[READ]).at_once()).await?.ok()?;
    let id = text(&begun, "id")?;
    // The time itself is the scenario.
    tokio::time::sleep(Duration::from_mins(2)).await;
    assert_eq!(shop.installation(&id).await?["state"], "installing");
    app.backend = down.start().await?;
    // By then the attempts are a minute apart, give or take a fifth.
    let back = Duration::from_secs(90);
    let told = app.backend.wait_for(&shop.registration.shop, 1, back).await?;
    let settled = shop.installation_in(&id, "installed", SOON).await?;
    let attempts = settled["last_callback"]["attempts"].as_u64().unwrap();
    assert!((5..=8).contains(&attempts), "{attempts} attempts");
    assert_eq!(shop.introspect(told[0].api_key()?).await?["active"], true);
    Ok(())
}

async fn two_installs_at_once_make_one(stage: Arc<Stage>) -> Outcome {
    let (app, shop) = (stage.hosted_app().await?, stage.shop().await?);
    let asked = futures::future::join_all((0..8).map(|_| shop.install(app.id(), Consent::to(&[READ])))).await;
    let mut ids = Vec::new();
    for reply in asked {
        let reply = reply?;
        // Who lost the race may be told so; nobody is told of a second installation.
        match reply.status {
            202 => ids.push(text(&reply.body, "id")?),
            _ => assert_refused(&reply, 409, "conflict", "being installed"),
        }
    }
    ids.dedup();
    assert_eq!(ids.len(), 1);
    assert_eq!(app.told_by(&shop)?.len(), 1);
    assert_eq!(shop.installations(&[]).await?.len(), 1);
    let again = shop.install(app.id(), Consent::to(&[READ])).await?.ok()?;
    assert_eq!(again["id"], json!(ids[0]), "what is there is answered as it is");
    Ok(())
}

async fn a_new_secret_signs_when_the_old_one_has_ended(stage: Arc<Stage>) -> Outcome {
    let (app, overlapping) = (stage.hosted_app().await?, stage.shop().await?);
    let second = stage.admin.rotate_app_secret(app.id(), 3600).await?;
    // Only the first secret is taken here: a callback signed by the second one would be refused.
    app.install_in(&overlapping).await?;
    app.backend.accept(&second)?;
    let third = stage.admin.rotate_app_secret(app.id(), 0).await?;
    // The dispatcher hears of it over the bus; until then it may still sign by the first.
    app.backend.accept(&third)?;
    let taken = async || {
        let shop = stage.shop().await.ok()?;
        app.install_in(&shop).await.ok()?;
        let told = app.told_by(&shop).ok()?.pop()?;
        let by_the_third = [wire::open2b::Accepted::always(third.parse().ok()?)];
        wire::open2b::parse(&told.auth, &by_the_third, told.at).ok()
    };
    testkit::eventually("a callback signed by the new secret", SOON, taken).await?;
    Ok(())
}
