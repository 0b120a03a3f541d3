//! Apps come into shops and leave them.

use std::collections::BTreeSet;

use futures::future::join_all;
use platform::Code;
use proto::{
    events::{CallbackRequested, CallbackSettled, subject},
    license::{AppRelease, RequestInstallationRequest, ShopApi},
};

use crate::harness::{APP, START_MS, World, hosted, over_both, statics};

over_both! {
    a_hosted_app_is_told_its_key_and_its_shop
    a_hosted_app_is_installed_once_it_has_answered_200
    an_app_that_is_installed_is_not_installed_again
    an_app_that_answers_otherwise_is_not_installed_and_its_key_is_dead
    an_app_that_may_have_taken_it_is_told_to_forget
    a_removal_ends_access_at_once_and_whatever_the_app_answers
    an_install_under_way_is_ended_by_its_removal
    an_app_removed_and_installed_at_once_is_there_anew
    an_app_that_refuses_to_be_installed_anew_is_told_to_forget_the_shop
    two_requests_at_once_make_one_installation
    a_static_app_is_installed_without_a_callback
    consent_is_exact_and_each_refusal_says_what_would_be_right
    a_shop_speaks_only_for_itself
    the_installation_of_another_shop_is_not_there_to_see_or_touch
    the_word_of_a_callback_counts_once_and_only_in_time
    what_no_callback_can_say_is_kept_with_its_reason
    what_is_stored_gives_no_api_key_away
}

async fn a_hosted_app_is_told_its_key_and_its_shop(world: World) {
    let shop = world.register("alpha").await;
    let asked = world.install(&shop, hosted("1.0.0")).await.unwrap();
    assert_eq!((asked.state.as_str(), asked.access.as_str()), ("installing", "live"));
    assert_eq!(
        (asked.shop.as_str(), asked.kind.as_str(), asked.version.as_str()),
        ("alpha", "hosted", "1.0.0")
    );
    assert_eq!((asked.marketplace_id.as_str(), &asked.instance_id), (APP, &shop.id));
    let callback = world.latest_callback(&asked.installation_id).await;
    let key = world.key_in(&callback);
    assert!(key.len() == 50 && key.bytes().all(|byte| byte.is_ascii_alphanumeric()));
    let told = CallbackRequested {
        installation_id: asked.installation_id,
        instance_id: shop.id.clone(),
        marketplace_id: APP.into(),
        operation: "Install".into(),
        sequence: 1,
        shop: "alpha".into(),
        site_url: "https://www.alpha.example/".into(),
        api_base_url: "https://alpha.example/api/".into(),
        api_min_version: 1,
        api_max_version: 3,
        version: "1.0.0".into(),
        sealed_api_key: callback.sealed_api_key.clone(),
    };
    assert_eq!(callback, told);
    assert!(world.introspect(&shop, &key).await.active, "the key lives from installing on");
    world.stop().await;
}

async fn a_hosted_app_is_installed_once_it_has_answered_200(world: World) {
    let shop = world.register("alpha").await;
    let installed = world.installed(&shop, hosted("1.0.0")).await;
    let last = installed.last_callback.unwrap();
    assert_eq!((last.operation.as_str(), last.outcome.as_str()), ("Install", "delivered"));
    assert_eq!((last.status, last.attempts, last.settled_at_ms), (Some(200), 2, START_MS + 5));
    let key = world.key_in(&world.latest_callback(&installed.installation_id).await);
    let introspection = world.introspect(&shop, &key).await;
    assert_eq!(introspection.installation_id, installed.installation_id);
    assert_eq!((introspection.marketplace_id.as_str(), introspection.version.as_str()), (APP, "1.0.0"));
    assert_eq!(introspection.permissions, ["api:orders.read"]);
    world.stop().await;
}

async fn an_app_that_is_installed_is_not_installed_again(world: World) {
    let shop = world.register("alpha").await;
    let installed = world.installed(&shop, hosted("1.0.0")).await;
    assert_eq!(world.install(&shop, hosted("1.0.0")).await.unwrap(), installed);
    let other = world.install(&shop, hosted("1.1.0")).await.unwrap_err();
    assert_eq!(other.code(), Code::Conflict);
    assert!(other.message().contains("update it instead"), "{other}");
    assert_eq!(world.callbacks().len(), 1);
    world.stop().await;
}

async fn an_app_that_answers_otherwise_is_not_installed_and_its_key_is_dead(world: World) {
    let shop = world.register("alpha").await;
    let asked = world.install(&shop, hosted("1.0.0")).await.unwrap();
    let callback = world.latest_callback(&asked.installation_id).await;
    let key = world.key_in(&callback);
    world.settle(&callback, "refused", false).await;
    let cancelled = world.until_state(&shop, &asked.installation_id, "cancelled").await;
    let last = cancelled.last_callback.unwrap();
    assert_eq!(
        (last.outcome.as_str(), last.status, cancelled.access.as_str()),
        ("refused", Some(204), "ended")
    );
    assert!(!world.introspect(&shop, &key).await.active);
    assert_eq!(world.callbacks().len(), 1, "an app that has answered needs no Remove");
    let anew = world.install(&shop, hosted("1.0.0")).await.unwrap();
    assert_ne!(anew.installation_id, asked.installation_id);
    assert_eq!(world.latest_callback(&anew.installation_id).await.sequence, 2, "over all installations");
}

async fn an_app_that_may_have_taken_it_is_told_to_forget(world: World) {
    let shop = world.register("alpha").await;
    let asked = world.install(&shop, hosted("1.0.0")).await.unwrap();
    let callback = world.latest_callback(&asked.installation_id).await;
    world.settle(&callback, "unanswered", true).await;
    let cancelled = world.until_state(&shop, &asked.installation_id, "cancelled").await;
    assert_eq!(cancelled.last_callback.unwrap().outcome, "unanswered");
    let remove = world.latest_callback(&asked.installation_id).await;
    assert_eq!((remove.operation.as_str(), remove.sequence, remove.shop.as_str()), ("Remove", 2, "alpha"));
    assert_eq!(
        (remove.version, remove.site_url, remove.sealed_api_key),
        (String::new(), String::new(), vec![])
    );
    assert!(!world.introspect(&shop, &world.key_in(&callback)).await.active);
    world.stop().await;
}

async fn a_removal_ends_access_at_once_and_whatever_the_app_answers(world: World) {
    for (name, outcome) in [("alpha", "delivered"), ("beta", "given_up")] {
        let shop = world.register(name).await;
        let installed = world.installed(&shop, hosted("1.0.0")).await;
        let key = world.key_in(&world.latest_callback(&installed.installation_id).await);
        let removing = world.remove(&shop, &installed.installation_id).await.unwrap();
        assert_eq!((removing.state.as_str(), removing.access.as_str()), ("removing", "ended"));
        assert!(!world.introspect(&shop, &key).await.active, "before the app knows");
        let again = world.remove(&shop, &installed.installation_id).await.unwrap();
        assert_eq!(again, removing);
        let remove = world.latest_callback(&installed.installation_id).await;
        assert_eq!((remove.operation.as_str(), remove.sequence), ("Remove", 2));
        world.settle(&remove, outcome, true).await;
        let removed = world.until_state(&shop, &installed.installation_id, "removed").await;
        assert_eq!(removed.last_callback.unwrap().outcome, outcome);
        assert_eq!(world.remove(&shop, &installed.installation_id).await.unwrap().state, "removed");
    }
}

async fn an_install_under_way_is_ended_by_its_removal(world: World) {
    let shop = world.register("alpha").await;
    let asked = world.install(&shop, hosted("1.0.0")).await.unwrap();
    let install = world.latest_callback(&asked.installation_id).await;
    world.remove(&shop, &asked.installation_id).await.unwrap();
    let remove = world.latest_callback(&asked.installation_id).await;
    // In flight when it was superseded, the Install may even have been taken: too late.
    world.settle(&install, "delivered", false).await;
    world.until_count("inbox", 1).await;
    let still = world.installation(&shop.manages(), &asked.installation_id).await.unwrap();
    assert_eq!((still.state.as_str(), still.last_callback), ("removing", None));
    assert!(!world.introspect(&shop, &world.key_in(&install)).await.active);
    world.settle(&remove, "delivered", false).await;
    world.until_state(&shop, &asked.installation_id, "removed").await;
}

async fn an_app_removed_and_installed_at_once_is_there_anew(world: World) {
    let shop = world.register("alpha").await;
    let old = world.installed(&shop, hosted("1.0.0")).await;
    let old_key = world.key_in(&world.latest_callback(&old.installation_id).await);
    world.remove(&shop, &old.installation_id).await.unwrap();
    let remove = world.latest_callback(&old.installation_id).await;
    let new = world.install(&shop, hosted("2.0.0")).await.unwrap();
    assert_eq!((new.state.as_str(), new.version.as_str()), ("installing", "2.0.0"));
    world.until_state(&shop, &old.installation_id, "removed").await;
    let install = world.latest_callback(&new.installation_id).await;
    assert!(install.sequence > remove.sequence);
    world.settle(&remove, "superseded", false).await;
    world.settle(&install, "delivered", false).await;
    world.until_state(&shop, &new.installation_id, "installed").await;
    let keys = [old_key, world.key_in(&install)];
    let mut live = Vec::new();
    for key in &keys {
        live.push(world.introspect(&shop, key).await.active);
    }
    assert_eq!(live, [false, true]);
    world.stop().await;
}

async fn an_app_that_refuses_to_be_installed_anew_is_told_to_forget_the_shop(world: World) {
    let shop = world.register("alpha").await;
    let old = world.installed(&shop, hosted("1.0.0")).await;
    world.remove(&shop, &old.installation_id).await.unwrap();
    let remove = world.latest_callback(&old.installation_id).await;
    let new = world.install(&shop, hosted("1.0.0")).await.unwrap();
    let install = world.latest_callback(&new.installation_id).await;
    // The Remove is never sent: the Install has taken its place, and is refused.
    world.settle(&remove, "superseded", false).await;
    world.settle(&install, "refused", false).await;
    world.until_state(&shop, &new.installation_id, "cancelled").await;
    let last = world.latest_callback(&new.installation_id).await;
    assert_eq!((last.operation.as_str(), last.sequence, last.shop.as_str()), ("Remove", 4, "alpha"));
    world.stop().await;
}

async fn two_requests_at_once_make_one_installation(world: World) {
    let shop = world.register("alpha").await;
    let requests = (0..8).map(|_| world.install(&shop, hosted("1.0.0")));
    let answers = join_all(requests).await;
    let ids: BTreeSet<_> = answers.into_iter().map(|answer| answer.unwrap().installation_id).collect();
    assert_eq!((ids.len(), world.count("installations").await), (1, 1));
    assert!(world.refuses_a_second_installation().await);
    let id = ids.first().unwrap();
    world.latest_callback(id).await;
    assert_eq!(world.callbacks().len(), 1);

    let removals = join_all((0..8).map(|_| world.remove(&shop, id))).await;
    assert!(removals.into_iter().all(|answer| answer.unwrap().state == "removing"));
    assert_eq!(world.latest_callback(id).await.sequence, 2, "one removal too");
}

async fn a_static_app_is_installed_without_a_callback(world: World) {
    let shop = world.register("alpha").await;
    let installed = world.install(&shop, statics("1.0.0")).await.unwrap();
    assert_eq!((installed.state.as_str(), installed.access.as_str()), ("installed", "live"));
    let id = installed.installation_id;
    let changed = world.update(&shop, &id, hosted("1.1.0")).await.unwrap_err();
    assert_eq!(changed.code(), Code::Conflict, "{changed}");
    let updated = world.update(&shop, &id, statics("1.1.0")).await.unwrap();
    assert_eq!((updated.state.as_str(), updated.version.as_str()), ("installed", "1.1.0"));
    assert_eq!(world.remove(&shop, &id).await.unwrap().state, "removed");
    world.until_state(&shop, &id, "removed").await;
    assert_eq!(world.callbacks(), []);
    world.stop().await;
}

async fn consent_is_exact_and_each_refusal_says_what_would_be_right(world: World) {
    let shop = world.register("alpha").await;
    let plugin = AppRelease { kind: "plugin".into(), ..hosted("1.0.0") };
    let api = AppRelease { api_min_version: Some(4), api_max_version: Some(9), ..hosted("1.0.0") };
    let ask = |release: AppRelease, granted: &[&str]| RequestInstallationRequest {
        release: Some(release),
        granted_permissions: granted.iter().map(|name| (*name).to_owned()).collect(),
        ..Default::default()
    };
    let orders = "api:orders.read";
    let table = [
        (ask(hosted("1.0.0"), &[]), Code::InvalidData, "grant exactly what it requires: api:orders.read"),
        (ask(hosted("1.0.0"), &[orders, "api:own.all"]), Code::InvalidData, "does not require"),
        (ask(plugin, &[orders]), Code::NotAllowed, "downloaded and installed by the shop"),
        (ask(api, &[orders]), Code::Conflict, "needs version 4 to 9"),
        (RequestInstallationRequest::default(), Code::InvalidData, "release is missing"),
        (ask(hosted("one"), &[orders]), Code::InvalidData, "semantic version"),
    ];
    for (request, code, words) in table {
        let error = world.ask_for(&shop.manages(), request).await.unwrap_err();
        assert_eq!(error.code(), code, "{error}");
        assert!(error.message().contains(words) && !error.message().contains("own.all"), "{error}");
    }
    world.set("UPDATE instances SET disabled = true WHERE id = $1", &shop.id).await;
    let disabled = world.install(&shop, hosted("1.0.0")).await.unwrap_err();
    assert_eq!(disabled.code(), Code::NotAllowed);
    assert_eq!((world.count("installations").await, world.callbacks().len()), (0, 0));
}

fn api(base_url: &str, max_version: u32) -> ShopApi {
    ShopApi { base_url: base_url.into(), min_version: 1, max_version }
}

async fn a_shop_speaks_only_for_itself(world: World) {
    let shop = world.register("alpha").await;
    world.register("beta").await;
    let as_registered = || RequestInstallationRequest {
        release: Some(hosted("1.0.0")),
        granted_permissions: hosted("1.0.0").permissions,
        shop: Some("alpha".into()),
        site_url: Some("https://www.alpha.example/".into()),
        api: Some(api("https://alpha.example/api/", 3)),
    };
    let of_api = |told| RequestInstallationRequest { api: Some(told), ..as_registered() };
    let wrong = [
        RequestInstallationRequest { shop: Some("beta".into()), ..as_registered() },
        RequestInstallationRequest { site_url: Some("https://beta.example/".into()), ..as_registered() },
        of_api(api("https://beta.example/api/", 3)),
        of_api(api("https://alpha.example/api/", 9)),
    ];
    for request in wrong {
        let error = world.ask_for(&shop.manages(), request).await.unwrap_err();
        assert_eq!(error.code(), Code::NotAllowed, "{error}");
        assert!(!error.message().contains("beta"), "{error}");
    }
    world.ask_for(&shop.manages(), as_registered()).await.unwrap();
    world.stop().await;
}

async fn the_installation_of_another_shop_is_not_there_to_see_or_touch(world: World) {
    let (shop, other) = (world.register("alpha").await, world.register("beta").await);
    let asked = world.install(&shop, hosted("1.0.0")).await.unwrap();
    let id = &asked.installation_id;
    let answers = [
        world.installation(&other.manages(), id).await,
        world.update(&other, id, hosted("1.1.0")).await,
        world.remove(&other, id).await,
        world.remove(&shop, "itn_unknown").await,
    ];
    for answer in answers {
        assert_eq!(answer.unwrap_err().code(), Code::NotFound);
    }
    assert_eq!(world.installation(&shop.manages(), id).await.unwrap(), asked);
    world.stop().await;
}

async fn the_word_of_a_callback_counts_once_and_only_in_time(world: World) {
    let shop = world.register("alpha").await;
    let installed = world.installed(&shop, hosted("1.0.0")).await;
    let id = &installed.installation_id;
    let install = world.latest_callback(id).await;
    // Said again, otherwise, and of a callback that was never made: an installed app stays installed.
    world.settle(&install, "delivered", false).await;
    world.settle(&install, "refused", true).await;
    world.settle(&CallbackRequested { sequence: 99, ..install.clone() }, "refused", true).await;
    world.until_count("inbox", 4).await;
    assert_eq!(world.installation(&shop.manages(), id).await.unwrap(), installed);
    world.remove(&shop, id).await.unwrap();
    let remove = world.latest_callback(id).await;
    world.settle(&remove, "delivered", false).await;
    let removed = world.until_state(&shop, id, "removed").await;
    world.settle(&remove, "given_up", true).await;
    world.settle(&install, "unanswered", true).await;
    world.until_count("inbox", 7).await;
    assert_eq!(world.installation(&shop.manages(), id).await.unwrap(), removed);
    assert_eq!(world.callbacks().len(), 2);
    assert_eq!(world.bus.dead_letters(10).await.unwrap(), []);
}

async fn what_no_callback_can_say_is_kept_with_its_reason(world: World) {
    let shop = world.register("alpha").await;
    let asked = world.install(&shop, hosted("1.0.0")).await.unwrap();
    let callback = world.latest_callback(&asked.installation_id).await;
    world.settle(&callback, "perhaps", false).await;
    world
        .settle(&CallbackRequested { operation: "install".into(), ..callback.clone() }, "delivered", false)
        .await;
    let unknown = CallbackRequested { installation_id: "itn_unknown".into(), ..callback };
    world.settle(&unknown, "delivered", false).await;
    world.publish(subject::CALLBACK_SETTLED, &CallbackSettled::default()).await;
    let dead = world.until_dead(4).await;
    assert!(dead.iter().all(|letter| letter.message.subject == subject::CALLBACK_SETTLED));
    let state = world.installation(&shop.manages(), &asked.installation_id).await.unwrap().state;
    assert_eq!((state.as_str(), world.count("inbox").await), ("installing", 0));
}

async fn what_is_stored_gives_no_api_key_away(world: World) {
    let shop = world.register("alpha").await;
    let asked = world.install(&shop, hosted("1.0.0")).await.unwrap();
    let callback = world.latest_callback(&asked.installation_id).await;
    let key = world.key_in(&callback);
    let stored = world.stored_bytes().await;
    assert!(!stored.contains(&hex::encode(&key)), "only sealed and hashed");
    assert!(stored.contains(&hex::encode(platform::secret::hash(&key))));
    let kept = "installations WHERE sealed_key IS NOT NULL";
    assert_eq!(world.count(kept).await, 1);
    world.settle(&callback, "delivered", false).await;
    world.until_state(&shop, &asked.installation_id, "installed").await;
    assert_eq!(world.count(kept).await, 0, "the app has it: nobody needs to be told again");
    world.remove(&shop, &asked.installation_id).await.unwrap();
    assert_eq!(world.count("installations WHERE key_hash IS NOT NULL").await, 0);
}
