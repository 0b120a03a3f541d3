//! Apps move to other versions: asked for, or silently.

use platform::Code;
use proto::{
    events::{InstallationChanged, subject},
    license::AppRelease,
};

use crate::harness::{Shop, World, hosted, over_both};

over_both! {
    an_update_moves_the_shop_once_the_app_has_answered_200
    an_update_that_adds_permissions_needs_a_new_consent
    an_update_that_is_given_up_leaves_the_old_version
    a_later_update_takes_the_place_of_an_earlier_one
    what_the_state_does_not_allow_is_a_conflict_with_words
    an_update_below_the_one_on_its_way_is_refused
}

async fn version(world: &World, shop: &Shop, id: &str) -> String {
    world.installation(&shop.manages(), id).await.unwrap().version
}

async fn an_update_moves_the_shop_once_the_app_has_answered_200(world: World) {
    let (shop, other) = (world.register("alpha").await, world.register("beta").await);
    let installed = world.installed(&shop, hosted("1.0.0")).await;
    let stays = world.installed(&other, hosted("1.0.0")).await;
    let id = &installed.installation_id;
    let key = world.key_in(&world.latest_callback(id).await);

    let updating = world.update(&shop, id, hosted("1.1.0")).await.unwrap();
    assert_eq!((updating.state.as_str(), updating.version.as_str()), ("updating", "1.0.0"));
    assert_eq!((updating.target_version.as_deref(), updating.access.as_str()), (Some("1.1.0"), "live"));
    assert_eq!(world.update(&shop, id, hosted("1.1.0")).await.unwrap(), updating, "asked twice, told once");
    assert_eq!(world.install(&shop, hosted("1.1.0")).await.unwrap(), updating);
    let callback = world.latest_callback(id).await;
    assert_eq!(
        (callback.operation.as_str(), callback.sequence, callback.version.as_str()),
        ("Update", 2, "1.1.0")
    );
    assert_eq!((callback.site_url.as_str(), callback.api_max_version), ("https://www.alpha.example/", 3));
    assert_eq!(callback.sealed_api_key, b"", "only an Install tells the key");

    world.settle(&callback, "delivered", false).await;
    let updated = world.until_version(&shop, id, "1.1.0").await;
    assert_eq!((updated.target_version, updated.last_callback.unwrap().operation.as_str()), (None, "Update"));
    assert_eq!(world.introspect(&shop, &key).await.version, "1.1.0");
    assert_eq!(
        version(&world, &other, &stays.installation_id).await,
        "1.0.0",
        "each shop decides for itself"
    );
    world.stop().await;
}

async fn an_update_that_adds_permissions_needs_a_new_consent(world: World) {
    let shop = world.register("alpha").await;
    let installed = world.installed(&shop, hosted("1.0.0")).await;
    let id = &installed.installation_id;
    let more = vec!["api:orders.read".to_owned(), "api:products.write".to_owned()];
    let wider = AppRelease { permissions: more.clone(), surface: "surface-2".into(), ..hosted("2.0.0") };
    let old = hosted("1.0.0").permissions;
    let error = world.update_granting(&shop, id, wider.clone(), old).await.unwrap_err();
    assert_eq!(error.code(), Code::InvalidData);
    assert!(error.message().contains("api:orders.read, api:products.write"), "{error}");
    assert_eq!(world.installation(&shop.manages(), id).await.unwrap(), installed, "it stays on its version");
    let none = world.update_granting(&shop, id, hosted("1.1.0"), Vec::new()).await.unwrap_err();
    assert_eq!(none.code(), Code::InvalidData, "also where nothing is added");

    let updating = world.update(&shop, id, wider).await.unwrap();
    assert_eq!(updating.permissions, ["api:orders.read"], "those of the version it runs");
    let callback = world.latest_callback(id).await;
    world.settle(&callback, "delivered", false).await;
    assert_eq!(world.until_version(&shop, id, "2.0.0").await.permissions, more);
    world.stop().await;
}

async fn an_update_that_is_given_up_leaves_the_old_version(world: World) {
    let shop = world.register("alpha").await;
    let installed = world.installed(&shop, hosted("1.0.0")).await;
    let id = &installed.installation_id;
    world.update(&shop, id, hosted("1.1.0")).await.unwrap();
    let callback = world.latest_callback(id).await;
    world.settle(&callback, "given_up", true).await;
    let look = || async {
        let found = world.installation(&shop.manages(), id).await.unwrap();
        (found.state == "installed").then_some(found)
    };
    let stayed =
        testkit::eventually("it is given up", std::time::Duration::from_secs(20), look).await.unwrap();
    assert_eq!((stayed.version.as_str(), stayed.target_version), ("1.0.0", None));
    assert_eq!(stayed.last_callback.unwrap().outcome, "given_up");
    world.update(&shop, id, hosted("1.1.0")).await.unwrap();
    assert_eq!(world.latest_callback(id).await.sequence, 3, "it may be tried again");
}

async fn a_later_update_takes_the_place_of_an_earlier_one(world: World) {
    let shop = world.register("alpha").await;
    let installed = world.installed(&shop, hosted("1.0.0")).await;
    let id = &installed.installation_id;
    world.update(&shop, id, hosted("1.1.0")).await.unwrap();
    let first = world.latest_callback(id).await;
    let updating = world.update(&shop, id, hosted("2.0.0")).await.unwrap();
    assert_eq!(updating.target_version.as_deref(), Some("2.0.0"));
    let second = world.latest_callback(id).await;
    // The first was in flight and the app took it: that is what the shop runs now, on its way to the second.
    world.settle(&first, "delivered", false).await;
    let is_it = |event: &InstallationChanged| event.version == "1.1.0" && event.state == "updating";
    world.told(subject::INSTALLATION_CHANGED, "the first is taken", is_it).await;
    world.settle(&second, "given_up", true).await;
    assert_eq!(world.until_version(&shop, id, "1.1.0").await.version, "1.1.0");
    // What is heard of the first once more, or of the second, comes too late.
    world.settle(&second, "delivered", false).await;
    world.settle(&first, "delivered", false).await;
    world.until_count("inbox", 5).await;
    assert_eq!(version(&world, &shop, id).await, "1.1.0");
}

async fn what_the_state_does_not_allow_is_a_conflict_with_words(world: World) {
    let shop = world.register("alpha").await;
    let asked = world.install(&shop, hosted("1.1.0")).await.unwrap();
    let id = &asked.installation_id;
    let refused = async |version: &str, words: &str| {
        let error = world.update(&shop, id, hosted(version)).await.unwrap_err();
        assert_eq!(error.code(), Code::Conflict, "{error}");
        assert!(error.message().contains(words), "{error}");
    };
    refused("1.2.0", "still being installed").await;
    let install = world.latest_callback(id).await;
    world.settle(&install, "delivered", false).await;
    world.until_state(&shop, id, "installed").await;
    refused("1.1.0", "newer version").await;
    refused("1.0.0", "newer version").await;
    let other_app = AppRelease { marketplace_id: "@vendor/other".into(), ..hosted("1.2.0") };
    assert_eq!(world.update(&shop, id, other_app).await.unwrap_err().code(), Code::InvalidData);
    world.remove(&shop, id).await.unwrap();
    refused("1.2.0", "being removed").await;
    let remove = world.latest_callback(id).await;
    world.settle(&remove, "delivered", false).await;
    world.until_state(&shop, id, "removed").await;
    refused("1.2.0", "not in the shop any more").await;
}

async fn an_update_below_the_one_on_its_way_is_refused(world: World) {
    let shop = world.register("alpha").await;
    let installed = world.installed(&shop, hosted("1.0.0")).await;
    let id = &installed.installation_id;
    let updating = world.update(&shop, id, hosted("2.0.0")).await.unwrap();
    let error = world.update(&shop, id, hosted("1.1.0")).await.unwrap_err();
    assert_eq!(error.code(), Code::Conflict);
    assert!(error.message().contains("or is being updated to"), "{error}");
    assert_eq!(world.update(&shop, id, hosted("2.0.0")).await.unwrap(), updating);
    let callback = world.latest_callback(id).await;
    world.settle(&callback, "delivered", false).await;
    assert_eq!(world.until_version(&shop, id, "2.0.0").await.state, "installed");
    assert_eq!(world.callbacks().len(), 2, "the app is told of one update");
    world.stop().await;
}
