//! Releases that need no installation update: shops have them at once, and no app is told.

use proto::{
    events::{InstallationChanged, subject},
    license::AppRelease,
};

use crate::harness::{APP, START_MS, World, hosted, over_both, statics};

over_both! {
    a_release_of_the_same_surface_comes_silently
    a_yanked_release_comes_to_nobody
    a_release_that_came_while_the_app_was_installing_is_there_when_it_is_installed
    a_release_that_came_while_the_app_was_updating_is_there_when_the_update_is_given_up
    a_row_that_cannot_be_read_keeps_no_other_shop_from_a_release
}

impl World {
    /// What shops came to run without having asked for it, up to now.
    fn silent_versions(&self) -> Vec<String> {
        self.announced::<InstallationChanged>(subject::INSTALLATION_CHANGED)
            .into_iter()
            .filter(|event| event.state == "installed" && event.version != "1.0.0")
            .map(|event| event.version)
            .collect()
    }

    async fn until_noted(&self, version: &str) {
        self.until_count(&format!("releases WHERE version = '{version}'"), 1).await;
    }
}

async fn a_release_of_the_same_surface_comes_silently(world: World) {
    let shop = world.register("alpha").await;
    let installed = world.installed(&shop, hosted("1.0.0")).await;
    let id = &installed.installation_id;
    let waiting = world.register("beta").await;
    let installing = world.install(&waiting, hosted("1.0.0")).await.unwrap();
    world
        .installed(&world.register("gamma").await, AppRelease { surface: "x".into(), ..hosted("1.0.0") })
        .await;

    let not_for_it = [
        AppRelease { surface: "surface-2".into(), ..hosted("1.0.1") },
        AppRelease { api_min_version: Some(4), api_max_version: Some(4), ..hosted("1.0.2") },
        AppRelease { price_cents: 4_900, ..hosted("1.0.3") },
        hosted("1.0.4-rc.1"),
        statics("1.0.5"),
        AppRelease { marketplace_id: "@vendor/other".into(), ..hosted("1.0.6") },
        hosted("0.9.0"),
    ];
    let noted = i64::try_from(not_for_it.len()).unwrap();
    for release in not_for_it {
        world.release(release).await;
    }
    world.until_count("releases", noted).await;
    world.release(hosted("1.0.7")).await;
    let moved = world.until_version(&shop, id, "1.0.7").await;
    assert_eq!((moved.state.as_str(), moved.last_callback), ("installed", installed.last_callback));
    assert_eq!(world.silent_versions(), ["1.0.7"], "none of the others moved anybody");
    let still = world.installation(&waiting.manages(), &installing.installation_id).await.unwrap();
    assert_eq!((still.version.as_str(), still.marketplace_id.as_str()), ("1.0.0", APP));
    assert_eq!((world.callbacks().len(), moved.created_at_ms), (3, START_MS), "no app is told");
    world.stop().await;
}

/// However late, or again, the word of its publication comes.
async fn a_yanked_release_comes_to_nobody(world: World) {
    let shop = world.register("alpha").await;
    let installed = world.installed(&shop, hosted("1.0.0")).await;
    world.yank(hosted("1.0.9")).await;
    world.until_count("releases WHERE yanked", 1).await;
    world.release(hosted("1.0.9")).await;
    world.release(hosted("1.0.1")).await;
    world.until_version(&shop, &installed.installation_id, "1.0.1").await;
    world.yank(hosted("1.0.1")).await;
    world.until_count("releases WHERE yanked", 2).await;
    let other = world.register("beta").await;
    let fresh = world.installed(&other, hosted("1.0.0")).await;
    assert_eq!(fresh.version, "1.0.0", "nor to who comes later");
    world.release(hosted("1.0.9")).await;
    world.release(hosted("1.0.1")).await;
    world.release(hosted("1.0.2")).await;
    world.until_version(&shop, &installed.installation_id, "1.0.2").await;
    world.until_version(&other, &fresh.installation_id, "1.0.2").await;
    assert_eq!(world.silent_versions(), ["1.0.1", "1.0.2", "1.0.2"]);
    world.stop().await;
}

async fn a_release_that_came_while_the_app_was_installing_is_there_when_it_is_installed(world: World) {
    let shop = world.register("alpha").await;
    let asked = world.install(&shop, hosted("1.0.0")).await.unwrap();
    for version in ["1.0.1", "1.0.10", "1.0.2"] {
        world.release(hosted(version)).await;
        world.until_noted(version).await;
    }
    world.yank(hosted("1.0.10")).await;
    world.until_count("releases WHERE yanked", 1).await;
    let install = world.latest_callback(&asked.installation_id).await;
    world.settle(&install, "delivered", false).await;
    let installed = world.until_version(&shop, &asked.installation_id, "1.0.2").await;
    assert_eq!(installed.last_callback.unwrap().operation, "Install");
    assert_eq!((world.silent_versions().len(), world.callbacks().len()), (1, 1), "the newest, in one step");
    world.stop().await;
}

async fn a_release_that_came_while_the_app_was_updating_is_there_when_the_update_is_given_up(world: World) {
    let shop = world.register("alpha").await;
    let installed = world.installed(&shop, hosted("1.0.0")).await;
    let id = &installed.installation_id;
    let wider = AppRelease { surface: "surface-2".into(), ..hosted("2.0.0") };
    world.update(&shop, id, wider).await.unwrap();
    world.release(hosted("1.0.1")).await;
    world.until_noted("1.0.1").await;
    let update = world.latest_callback(id).await;
    world.settle(&update, "given_up", false).await;
    assert_eq!(world.until_version(&shop, id, "1.0.1").await.last_callback.unwrap().outcome, "given_up");
    world.stop().await;
}

async fn a_row_that_cannot_be_read_keeps_no_other_shop_from_a_release(world: World) {
    let (shop, other) = (world.register("alpha").await, world.register("beta").await);
    let unreadable = world.installed(&shop, hosted("1.0.0")).await.installation_id;
    let readable = world.installed(&other, hosted("1.0.0")).await.installation_id;
    world.set("UPDATE installations SET permissions = 'none' WHERE id = $1", &unreadable).await;
    world.release(hosted("1.0.1")).await;
    world.until_version(&other, &readable, "1.0.1").await;
    // Mended, it has the release too: the failure was not forgotten.
    world.set("UPDATE installations SET permissions = '[]' WHERE id = $1", &unreadable).await;
    world.until_version(&shop, &unreadable, "1.0.1").await;
    world.stop().await;
}
