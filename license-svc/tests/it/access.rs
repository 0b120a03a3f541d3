//! Who may use what: paid apps and their licences, keys, and who may look.

use std::collections::BTreeSet;

use platform::{AppError, Code, Principal, secret};
use proto::license::{
    AppRelease, ChangeLicenseRequest, CountVersionsRequest, IntrospectRequest, Introspection,
    ListInstallationsRequest, ListInstallationsResponse, VersionCount,
};

use crate::harness::{APP, DAY, START_MS, Shop, World, answer, hosted, over_both, statics};

over_both! {
    a_paid_app_needs_a_licence
    a_licence_that_rests_suspends_access_until_it_is_reinstated
    a_version_that_the_licence_does_not_cover_is_not_installed
    a_key_speaks_only_in_its_own_shop
    installations_are_listed_by_what_is_asked
    a_list_has_pages_and_refuses_what_it_cannot_look_for
    each_sees_what_is_its_own
    versions_are_counted_where_the_app_is_present
}

fn paid(version: &str) -> AppRelease {
    AppRelease { price_cents: 4_900, ..hosted(version) }
}

async fn a_paid_app_needs_a_licence(world: World) {
    let shop = world.register("alpha").await;
    let error = world.install(&shop, paid("1.0.0")).await.unwrap_err();
    assert_eq!(error.code(), Code::PaymentRequired);
    assert!(error.message().contains("buy it first"), "{error}");
    assert_eq!(world.count("installations").await, 0);
    world.buy(&world.register("beta").await).await;
    let error = world.install(&shop, paid("1.0.0")).await.unwrap_err();
    assert_eq!(error.code(), Code::PaymentRequired, "the licence of another shop");
    world.buy(&shop).await;
    let installed = world.installed(&shop, paid("1.0.0")).await;
    assert_eq!(installed.access, "live");
    let static_and_paid =
        AppRelease { marketplace_id: "@vendor/page".into(), price_cents: 1, ..statics("1.0.0") };
    assert_eq!(world.install(&shop, static_and_paid).await.unwrap_err().code(), Code::PaymentRequired);
    world.stop().await;
}

async fn change(world: &World, license_id: &str, act: &str) {
    let request = ChangeLicenseRequest { license_id: license_id.to_owned(), reason: "dispute".into() };
    let (mut client, request) = (world.licenses(), world.operator(request));
    let changed = match act {
        "suspend" => client.suspend_license(request).await,
        "reinstate" => client.reinstate_license(request).await,
        _ => client.revoke_license(request).await,
    };
    changed.unwrap();
}

async fn a_licence_that_rests_suspends_access_until_it_is_reinstated(world: World) {
    let shop = world.register("alpha").await;
    let bought = world.buy(&shop).await;
    let installed = world.installed(&shop, paid("1.0.0")).await;
    let id = &installed.installation_id;
    let key = world.key_in(&world.latest_callback(id).await);
    let story =
        [("suspend", "suspended", false), ("reinstate", "live", true), ("revoke", "suspended", false)];
    for (act, access, active) in story {
        change(&world, &bought.license_id, act).await;
        let shown = world.installation(&shop.manages(), id).await.unwrap();
        assert_eq!((shown.access.as_str(), shown.state.as_str()), (access, "installed"), "{act}");
        let introspection = world.introspect(&shop, &key).await;
        assert_eq!(introspection.active, active, "{act}");
        assert!(active || introspection == Introspection::default(), "and nothing more is told");
    }
    let error = world.update(&shop, id, paid("1.1.0")).await.unwrap_err();
    assert_eq!((error.code(), error.message().contains("revoked")), (Code::PaymentRequired, true), "{error}");
    assert_eq!(world.remove(&shop, id).await.unwrap().state, "removing", "it may always leave");
    world.stop().await;
}

async fn a_version_that_the_licence_does_not_cover_is_not_installed(world: World) {
    let shop = world.register("alpha").await;
    world.buy(&shop).await;
    let installed = world.installed(&shop, paid("1.0.0")).await;
    let id = &installed.installation_id;
    let after_a_year = START_MS + 366 * 24 * 60 * 60 * 1000;
    let late = AppRelease { published_at_ms: after_a_year, ..paid("1.1.0") };
    world.clock.advance(DAY * 366);
    let error = world.update(&shop, id, late.clone()).await.unwrap_err();
    assert_eq!(error.code(), Code::PaymentRequired);
    assert!(error.message().contains("updates ended"), "{error}");
    // Nor silently.
    world.release(late).await;
    world.release(paid("1.0.1")).await;
    let look = || async {
        let found = world.installation(&shop.manages(), id).await.unwrap();
        (found.version != "1.0.0").then_some(found)
    };
    let moved =
        testkit::eventually("the covered one", std::time::Duration::from_secs(20), look).await.unwrap();
    assert_eq!((moved.version.as_str(), moved.access.as_str()), ("1.0.1", "live"));
}

async fn a_key_speaks_only_in_its_own_shop(world: World) {
    let (shop, other) = (world.register("alpha").await, world.register("beta").await);
    let installed = world.installed(&shop, hosted("1.0.0")).await;
    let key = world.key_in(&world.latest_callback(&installed.installation_id).await);
    assert!(world.introspect(&shop, &key).await.active);
    assert_eq!(world.introspect(&other, &key).await, Introspection::default());
    assert_eq!(world.introspect(&shop, "no key").await, Introspection::default());
    let ask = async |principal: Principal, key_hash: Vec<u8>| {
        let request = world.by(&principal, IntrospectRequest { key_hash });
        answer(world.installations().introspect(request).await)
    };
    let hash = secret::hash(&key).to_vec();
    for principal in [shop.reads(), Principal::Shared, Principal::Vendor("vnd_1".into()), Principal::Operator]
    {
        assert_eq!(ask(principal, hash.clone()).await.unwrap_err().code(), Code::NotAllowed);
    }
    assert_eq!(ask(shop.manages(), vec![1]).await.unwrap_err().code(), Code::InvalidData);
    world.set("UPDATE instances SET disabled = true WHERE id = $1", &shop.id).await;
    assert_eq!(world.introspect(&shop, &key).await, Introspection::default());
    let refused = [
        world.update(&shop, &installed.installation_id, hosted("1.1.0")).await,
        world.remove(&shop, &installed.installation_id).await,
    ];
    assert!(refused.into_iter().all(|answer| answer.unwrap_err().code() == Code::NotAllowed));
}

async fn list(
    world: &World,
    principal: &Principal,
    request: ListInstallationsRequest,
) -> Result<ListInstallationsResponse, AppError> {
    answer(world.installations().list_installations(world.by(principal, request)).await)
}

fn all() -> ListInstallationsRequest {
    ListInstallationsRequest::default()
}

/// In the shop alpha the app and a page, in beta another version of the app and a page that is removed.
async fn two_shops(world: &World) -> (Shop, Shop) {
    let (shop, other) = (world.register("alpha").await, world.register("beta").await);
    let page = AppRelease { marketplace_id: "@vendor/page".into(), ..statics("1.0.0") };
    world.installed(&shop, hosted("1.0.0")).await;
    world.install(&shop, page.clone()).await.unwrap();
    let gone = world.install(&other, page).await.unwrap();
    world.remove(&other, &gone.installation_id).await.unwrap();
    world.install(&other, hosted("2.0.0")).await.unwrap();
    (shop, other)
}

async fn installations_are_listed_by_what_is_asked(world: World) {
    let (_, other) = two_shops(&world).await;
    let of_app = || ListInstallationsRequest { marketplace_id: Some(APP.into()), ..all() };
    let of_state = |state: &str| ListInstallationsRequest { state: Some(state.into()), ..all() };
    let of_versions = |versions: &[&str]| ListInstallationsRequest {
        versions: versions.iter().map(|version| (*version).to_owned()).collect(),
        ..of_app()
    };
    let table = [
        (all(), 4),
        (of_app(), 2),
        (of_state("removed"), 1),
        (of_state("updating"), 0),
        (of_versions(&["2.0.0"]), 1),
        (of_versions(&["1.0.0", "2.0.0"]), 2),
        (ListInstallationsRequest { present: true, ..all() }, 3),
        (ListInstallationsRequest { instance_id: Some(other.id), ..all() }, 2),
    ];
    for (request, count) in table {
        let listed = list(&world, &Principal::Operator, request.clone()).await.unwrap();
        let counts = (u64::try_from(listed.installations.len()).unwrap(), u64::from(listed.count));
        assert_eq!(counts, (count, count), "{request:?}");
    }
    world.stop().await;
}

async fn a_list_has_pages_and_refuses_what_it_cannot_look_for(world: World) {
    two_shops(&world).await;
    let second = ListInstallationsRequest { limit: 1, offset: 1, ..all() };
    let second = list(&world, &Principal::Operator, second).await.unwrap();
    assert_eq!((second.installations.len(), second.count), (1, 4));
    let unknown = ListInstallationsRequest { state: Some("Installed".into()), ..all() };
    for bad in [unknown, ListInstallationsRequest { limit: 101, ..all() }] {
        assert_eq!(list(&world, &Principal::Operator, bad).await.unwrap_err().code(), Code::InvalidData);
    }
    world.stop().await;
}

async fn each_sees_what_is_its_own(world: World) {
    let (shop, other) = (world.register("alpha").await, world.register("beta").await);
    let own = world.installed(&shop, hosted("1.0.0")).await;
    world.install(&other, hosted("1.0.0")).await.unwrap();
    let of_app = || ListInstallationsRequest { marketplace_id: Some(APP.into()), ..Default::default() };
    let listed = list(&world, &shop.manages(), of_app()).await.unwrap();
    assert_eq!((listed.installations, listed.count), (vec![own.clone()], 1));
    let of_other = ListInstallationsRequest { instance_id: Some(other.id.clone()), ..of_app() };
    assert_eq!(list(&world, &shop.manages(), of_other).await.unwrap_err().code(), Code::NotAllowed);

    let vendor = Principal::Vendor("vnd_1".into());
    let shops = list(&world, &vendor, of_app()).await.unwrap().installations;
    assert!(shops.iter().all(|of| of.instance_id.is_empty()), "instance ids are none of a vendor's business");
    let shops: BTreeSet<&str> = shops.iter().map(|of| of.shop.as_str()).collect();
    assert_eq!(shops, BTreeSet::from(["alpha", "beta"]));
    let of_all = list(&world, &vendor, ListInstallationsRequest::default()).await.unwrap_err();
    assert_eq!(of_all.code(), Code::InvalidData);
    for principal in [Principal::Anonymous, Principal::Shared, shop.reads()] {
        assert_eq!(list(&world, &principal, of_app()).await.unwrap_err().code(), Code::NotAllowed);
        let one = world.installation(&principal, &own.installation_id).await.unwrap_err();
        assert_eq!(one.code(), Code::NotAllowed);
        let asked = world.ask_for(&principal, proto::license::RequestInstallationRequest::default()).await;
        assert_eq!(asked.unwrap_err().code(), Code::NotAllowed);
    }
    assert_eq!(world.installation(&vendor, &own.installation_id).await.unwrap_err().code(), Code::NotAllowed);
    assert_eq!(world.installation(&Principal::Operator, &own.installation_id).await.unwrap(), own);
}

async fn versions_are_counted_where_the_app_is_present(world: World) {
    for (name, version) in [("alpha", "1.0.0"), ("beta", "1.0.0"), ("gamma", "2.0.0")] {
        world.installed(&world.register(name).await, hosted(version)).await;
    }
    let leaving = world.register("delta").await;
    let removing = world.installed(&leaving, hosted("1.1.0")).await;
    world.remove(&leaving, &removing.installation_id).await.unwrap();
    let count = async |principal: Principal, app: &str| {
        let request = world.by(&principal, CountVersionsRequest { marketplace_id: app.into() });
        let counted = answer(world.installations().count_versions(request).await)?;
        let mut versions = counted.versions;
        versions.sort_by(|one, other| one.version.cmp(&other.version));
        Ok::<_, AppError>(versions)
    };
    let on = |version: &str, installations| VersionCount { version: version.into(), installations };
    let expected = vec![on("1.0.0", 2), on("1.1.0", 1), on("2.0.0", 1)];
    assert_eq!(count(Principal::Operator, APP).await.unwrap(), expected);
    assert_eq!(count(Principal::Vendor("vnd_1".into()), APP).await.unwrap(), expected);
    let remove = world.latest_callback(&removing.installation_id).await;
    world.settle(&remove, "delivered", false).await;
    world.until_state(&leaving, &removing.installation_id, "removed").await;
    assert_eq!(count(Principal::Operator, APP).await.unwrap(), [on("1.0.0", 2), on("2.0.0", 1)]);
    assert_eq!(count(leaving.manages(), APP).await.unwrap_err().code(), Code::NotAllowed);
    assert_eq!(count(Principal::Operator, "app").await.unwrap_err().code(), Code::InvalidData);
}
