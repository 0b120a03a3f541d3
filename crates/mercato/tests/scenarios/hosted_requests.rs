//! Requests about hosted apps that are not as they must be: each gets its clear answer.

use std::sync::Arc;

use http::Method;
use serde_json::{Value, json};
use testkit::market::{Consent, Options, Package};
use wire::release::{
    ArtifactDigest, ReleaseSignature, sign_artifact, verify_statement, verify_vendor_signature,
};

use crate::{
    app::{READ, WRITE, assert_dead},
    stage::{Outcome, Stage, assert_refused, now, text},
};

scenarios! {
    Options::default();
    what_is_granted_must_be_exactly_what_is_required,
    an_app_that_speaks_no_api_of_the_shop_is_not_installed,
    a_body_that_names_another_shop_is_refused,
    a_field_that_is_not_asked_for_is_refused_and_never_echoed,
    another_shops_installation_is_as_unknown_as_none,
    another_shops_key_is_not_active_here,
    only_the_administrator_manages_apps,
    a_plugin_is_not_installed_this_way,
    what_is_no_app_version_or_state_is_said_so,
    a_hosted_app_has_nothing_to_download,
    a_hosted_release_is_signed_over_its_canonical_manifest,
    a_manifest_of_the_wrong_kind_is_refused,
    shops_have_at_least_the_minimum_notice,
    a_vendor_sees_its_own_apps_only,
    only_a_hosted_app_has_a_secret,
}

const PATH: &str = "/store/marketplace/installations";
/// What must never come back, wherever it was put.
const PRIVATE: &str = "buyer@customers.example";

async fn what_is_granted_must_be_exactly_what_is_required(stage: Arc<Stage>) -> Outcome {
    let (app, shop) = (stage.hosted_app().await?, stage.shop().await?);
    for (granted, says) in [
        (&[][..], "requires more"),
        (&[READ, WRITE][..], "does not require"),
        (&[WRITE][..], "requires more"),
    ] {
        let refused = shop.install(app.id(), Consent::to(granted)).await?;
        assert_refused(&refused, 400, "invalid_data", says);
        assert!(refused.message().contains(READ), "it says what is required: {}", refused.message());
    }
    let refused = shop.install(app.id(), Consent::to(&[READ, PRIVATE])).await?;
    assert!(refused.status == 400 && !refused.message().contains(PRIVATE), "{}", refused.body);
    assert!(shop.installations(&[]).await?.is_empty() && app.backend.arrived()?.is_empty());
    Ok(())
}

async fn an_app_that_speaks_no_api_of_the_shop_is_not_installed(stage: Arc<Stage>) -> Outcome {
    let shop = stage.shop().await?;
    let newer = stage.hosted_app_as(|package| package.speaks_api(4, 9)).await?;
    let refused = shop.install(newer.id(), Consent::to(&[READ])).await?;
    assert_refused(
        &refused,
        409,
        "conflict",
        "needs version 4 to 9 of the shop's API and this shop has 1 to 3",
    );
    assert!(newer.backend.arrived()?.is_empty());
    let overlapping = stage.hosted_app_as(|package| package.speaks_api(3, 9)).await?;
    overlapping.install_in(&shop).await?;
    Ok(())
}

async fn a_body_that_names_another_shop_is_refused(stage: Arc<Stage>) -> Outcome {
    let (app, shop, other) = (stage.hosted_app().await?, stage.shop().await?, stage.shop().await?);
    let api = |of: &str| json!({ "base_url": format!("{of}/api"), "min_version": 1, "max_version": 3 });
    let theirs = other.receiver.url();
    let wrong = [
        ("shop", json!(other.registration.shop)),
        ("site_url", json!(theirs)),
        ("api", api(&theirs)),
        (
            "api",
            json!({ "base_url": format!("{}/api", shop.receiver.url()), "min_version": 1, "max_version": 4 }),
        ),
    ];
    for (field, value) in wrong {
        let mut body = json!({ "marketplace_id": app.id(), "granted_permissions": [READ] });
        body[field] = value;
        let refused = shop.administrator().post(PATH, &body).await?;
        assert_refused(
            &refused,
            403,
            "not_allowed",
            &format!("{field} is not as this instance is registered"),
        );
        assert!(
            !refused.message().contains(&other.registration.shop) && !refused.message().contains(&theirs)
        );
    }
    assert!(app.backend.arrived()?.is_empty());
    let own = json!({
        "marketplace_id": app.id(), "granted_permissions": [READ], "shop": shop.registration.shop,
        "site_url": shop.receiver.url(), "api": api(&shop.receiver.url()),
    });
    let reply = shop.administrator().post(PATH, &own).await?;
    assert_eq!(reply.status, 202, "as registered it may be repeated: {}", reply.body);
    Ok(())
}

async fn a_field_that_is_not_asked_for_is_refused_and_never_echoed(stage: Arc<Stage>) -> Outcome {
    let shop = stage.shop().await?;
    let update = format!("{PATH}/itn_01ARZ3NDEKTSV4RRFFQ69G5FAV/update");
    let bodies = [
        (PATH, json!({ "marketplace_id": "@v/p", "granted_permissions": [], "customers": [PRIVATE] })),
        (PATH, json!({ "marketplace_id": "@v/p", "granted_permissions": [], "instance_id": PRIVATE })),
        (&update, json!({ "granted_permissions": [], "shop": PRIVATE })),
        ("/store/marketplace/installations/introspect", json!({ "key": "k", "orders": PRIVATE })),
    ];
    for (path, body) in bodies {
        let refused = shop.administrator().post(path, &body).await?;
        assert_refused(&refused, 400, "invalid_data", "a field that is not taken here; it takes");
        assert!(!refused.message().contains(PRIVATE), "{}", refused.message());
    }
    let refused = shop.administrator().query(PATH, &[(PRIVATE, "1")]).await?;
    assert_refused(&refused, 400, "invalid_data", "a field that is not taken here");
    let lacking = shop.administrator().post(PATH, &json!({ "marketplace_id": "@v/p" })).await?;
    assert_refused(&lacking, 400, "invalid_data", "lacks the field `granted_permissions`");
    Ok(())
}

async fn another_shops_installation_is_as_unknown_as_none(stage: Arc<Stage>) -> Outcome {
    let (app, owner, other) = (stage.hosted_app().await?, stage.shop().await?, stage.shop().await?);
    let installed = app.install_in(&owner).await?;
    let none = "itn_01ARZ3NDEKTSV4RRFFQ69G5FAV";
    for id in [installed.id.as_str(), none] {
        let there = "there is no installation with this id";
        let shown = other.administrator().get(&format!("{PATH}/{id}")).await?;
        assert_refused(&shown, 404, "not_found", there);
        assert_refused(&other.update(id, Consent::to(&[READ])).await?, 404, "not_found", there);
        assert_refused(&other.remove(id, None).await?, 404, "not_found", there);
    }
    assert!(other.installations(&[]).await?.is_empty());
    assert_eq!(owner.installation(&installed.id).await?["state"], "installed");
    assert_eq!(app.told_by(&owner)?.len(), 1);
    Ok(())
}

async fn another_shops_key_is_not_active_here(stage: Arc<Stage>) -> Outcome {
    let (app, owner, other) = (stage.hosted_app().await?, stage.shop().await?, stage.shop().await?);
    let (installed, others) = (app.install_in(&owner).await?, app.install_in(&other).await?);
    assert_ne!(installed.key, others.key, "each shop has a key of its own");
    assert_eq!(owner.introspect(&installed.key).await?["active"], true);
    assert_dead(&other, &installed.key).await?;
    for nothing in ["", "k", &"k".repeat(50), &others.key] {
        assert_dead(&owner, nothing).await?;
    }
    Ok(())
}

async fn only_the_administrator_manages_apps(stage: Arc<Stage>) -> Outcome {
    let shop = stage.shop().await?;
    let body = json!({ "marketplace_id": "@v/p", "granted_permissions": [] });
    let callers = [shop.reader().clone(), shop.anyone().clone(), shop.reader().bearer("sk_unknown")];
    for caller in callers {
        assert_refused(&caller.post(PATH, &body).await?, 401, "unauthorized", "key");
        assert_refused(&caller.get(PATH).await?, 401, "unauthorized", "key");
        let key = json!({ "key": "k" });
        assert_refused(&caller.post(&format!("{PATH}/introspect"), &key).await?, 401, "unauthorized", "key");
    }
    // Two keys of two shops in one request speak for nobody.
    let other = stage.shop().await?;
    let mixed = other.reader().bearer(&shop.registration.secret_key);
    assert_refused(&mixed.get(PATH).await?, 403, "not_allowed", "another instance");
    Ok(())
}

async fn a_plugin_is_not_installed_this_way(stage: Arc<Stage>) -> Outcome {
    let (vendor, shop) = (stage.vendor().await?, stage.shop().await?);
    let package = Package::new(&format!("@{}/plugin", vendor.name));
    stage.admin.import(&vendor, &package).await?;
    let refused = shop.install(package.marketplace_id(), Consent::to(&[])).await?;
    assert!([400, 403, 409].contains(&refused.status), "{}", refused.body);
    assert!(refused.message().contains("plugin"), "{}", refused.message());
    Ok(())
}

async fn what_is_no_app_version_or_state_is_said_so(stage: Arc<Stage>) -> Outcome {
    let (app, shop) = (stage.hosted_app().await?, stage.shop().await?);
    assert_refused(
        &shop.install("@nobody/nothing", Consent::to(&[])).await?,
        404,
        "not_found",
        "there is no app",
    );
    assert_refused(&shop.install("loyalty", Consent::to(&[])).await?, 400, "invalid_data", "@vendor/app");
    let unknown = shop.install(app.id(), Consent::to(&[READ]).version("7.0.0")).await?;
    assert_refused(&unknown, 404, "not_found", "there is no release");
    let wrong = shop.install(app.id(), Consent::to(&[READ]).version("newest")).await?;
    assert_refused(&wrong, 400, "invalid_data", "semantic version such as 1.0.0");
    for query in [[("state", "broken")], [("marketplace_id", "loyalty")], [("per_page", "101")]] {
        assert_eq!(shop.administrator().query(PATH, &query).await?.status, 400, "{query:?}");
    }
    let no_id = shop.administrator().get(&format!("{PATH}/1")).await?;
    assert_refused(&no_id, 400, "invalid_data", "itn_");
    let wrong_method = shop.administrator().request(Method::PUT, PATH);
    assert_eq!(shop.administrator().send(wrong_method).await?.status, 405);
    Ok(())
}

async fn a_hosted_app_has_nothing_to_download(stage: Arc<Stage>) -> Outcome {
    let (app, shop) = (stage.hosted_app().await?, stage.shop().await?);
    let page = shop.product(app.id()).await?.ok()?;
    assert_eq!((&page["kind"], &page["permissions"]), (&json!("hosted"), &json!([READ])));
    assert_eq!((&page["download_url"], &page["sha256"]), (&Value::Null, &Value::Null));
    assert_eq!(
        (&page["versions"][0]["download_url"], &page["versions"][0]["sha256"]),
        (&Value::Null, &Value::Null)
    );
    let refused = shop.try_download(app.id(), "1.0.0", None).await?;
    assert_refused(&refused, 404, "not_found", "install it instead");
    Ok(())
}

async fn a_hosted_release_is_signed_over_its_canonical_manifest(stage: Arc<Stage>) -> Outcome {
    let (app, shop) = (stage.hosted_app().await?, stage.shop().await?);
    let page = shop.product(app.id()).await?.ok()?;
    let keys = |field: &str| -> Vec<wire::keys::VerifyingKey> {
        page[field]
            .as_array()
            .unwrap()
            .iter()
            .map(|key| key["value"].as_str().unwrap().parse().unwrap())
            .collect()
    };
    let (canonical, signature) =
        (app.package.canonical()?, page["vendor_signature"]["value"].as_str().unwrap());
    verify_vendor_signature(&keys("vendor_keys"), &canonical, signature)?;
    let statement: ReleaseSignature = serde_json::from_value(page["signature"].clone())?;
    let (id, version) = (app.id().parse()?, "1.0.0".parse()?);
    verify_statement(&keys("marketplace_keys"), &statement, &id, &version, &ArtifactDigest::of(&canonical))?;

    let package = app.package.clone().version("1.1.0");
    let mut other = app.vendor.clone();
    other.signing_key = wire::keys::SigningKey::from_seed(&[9; 32]);
    for forged in [
        sign_artifact(&other.signing_key, &package.canonical()?),
        sign_artifact(&app.vendor.signing_key, b"other"),
    ] {
        let query = [("kind", "hosted")];
        let bytes = package.manifest()?;
        let refused =
            stage.admin.import_bytes(&app.vendor, &query, "application/json", &forged, bytes).await?;
        assert_refused(&refused, 400, "invalid_data", "the vendor's signature is refused");
    }
    let again = stage.admin.import_hosted(&app.vendor, &app.package).await?;
    assert!(again.get("app_secret").is_none(), "the secret is shown once");
    assert!(page.to_string().find("secret").is_none());
    Ok(())
}

async fn a_manifest_of_the_wrong_kind_is_refused(stage: Arc<Stage>) -> Outcome {
    let vendor = stage.vendor().await?;
    let id = format!("@{}/app", vendor.name);
    let (plain, hosted) = (Package::new(&id), Package::hosted(&id, "http://127.0.0.1:9"));
    let not_hosted = stage.admin.try_import_hosted(&vendor, &plain, &[]).await?;
    assert_refused(&not_hosted, 400, "invalid_data", "hosted");
    let zipped = stage.admin.try_import(&vendor, hosted.build()?).await?;
    assert_refused(&zipped, 400, "invalid_data", "hosted");
    let signature = sign_artifact(&vendor.signing_key, &hosted.canonical()?);
    for (content_type, bytes, says) in [
        ("application/zip", hosted.build()?, "manifest.json itself"),
        ("text/plain", hosted.manifest()?, "manifest.json itself"),
        ("application/json", b"{".to_vec(), "manifest"),
        ("application/json", b"{\"hosted\":{}}".to_vec(), "installation_url"),
    ] {
        let query = [("kind", "hosted")];
        let refused = stage.admin.import_bytes(&vendor, &query, content_type, &signature, bytes).await?;
        assert_refused(&refused, 400, "invalid_data", says);
    }
    assert_refused(&stage.shop().await?.product(&id).await?, 404, "not_found", "there is no app");
    Ok(())
}

async fn shops_have_at_least_the_minimum_notice(stage: Arc<Stage>) -> Outcome {
    let app = stage.hosted_app().await?;
    let at = |days: i64| {
        let time = time::OffsetDateTime::from_unix_timestamp(now() + days * 86_400).unwrap();
        time.format(&time::format_description::well_known::Rfc3339).unwrap()
    };
    let package = app.package.clone().version("2.0.0").field("name", json!("Loyalty 2"));
    let soon = stage.admin.try_import_hosted(&app.vendor, &package, &[("required_after", &at(29))]).await?;
    assert_refused(&soon, 400, "invalid_data", "at least 30 days");
    let wrong =
        stage.admin.try_import_hosted(&app.vendor, &package, &[("required_after", "next month")]).await?;
    assert_refused(&wrong, 400, "invalid_data", "RFC 3339");
    let later = at(31);
    let release =
        stage.admin.try_import_hosted(&app.vendor, &package, &[("required_after", &later)]).await?.ok()?;
    assert_eq!(release["required_after"], json!(later));
    let updates = stage.shop().await?.updates(&json!({ app.id(): "1.0.0" })).await?.ok()?;
    let update = &updates["updates"][0];
    assert_eq!((&update["required_after"], &update["changes"]), (&json!(later), &json!(["name"])));
    Ok(())
}

async fn a_vendor_sees_its_own_apps_only(stage: Arc<Stage>) -> Outcome {
    let (app, other) = (stage.hosted_app().await?, stage.hosted_app().await?);
    let stranger = stage.anyone()?.bearer(&other.vendor.secret_key);
    for of in ["versions", "installations"] {
        stage.vendors_view(&app, of, &[]).await?.ok()?;
        let path = format!("/vendor/apps/{}/{of}", app.id());
        assert_refused(&stranger.get(&path).await?, 404, "not_found", "this vendor has no app of this name");
        let unknown = stage.anyone()?.bearer("vk_of_nobody").get(&path).await?;
        assert_refused(&unknown, 401, "unauthorized", "key");
        assert_refused(&stage.admin.caller().get(&path).await?, 401, "unauthorized", "vk_");
    }
    let query = [("past_deadline", "perhaps")];
    assert_eq!(stage.vendors_view(&app, "installations", &query).await?.status, 400);
    Ok(())
}

async fn only_a_hosted_app_has_a_secret(stage: Arc<Stage>) -> Outcome {
    let vendor = stage.vendor().await?;
    let package = Package::new(&format!("@{}/plugin", vendor.name));
    stage.admin.import(&vendor, &package).await?;
    let rotate =
        async |app: &str| stage.admin.caller().post(&format!("/admin/apps/{app}/secret"), &json!({})).await;
    assert_refused(
        &rotate(package.marketplace_id()).await?,
        409,
        "conflict",
        "only a hosted app has a secret",
    );
    assert_refused(&rotate("@nobody/nothing").await?, 404, "not_found", "there is no app");
    let app = stage.hosted_app().await?;
    let made = rotate(app.id()).await?.ok()?;
    assert!(text(&made, "previous_until")? > String::new() && text(&made, "secret")?.len() >= 43);
    Ok(())
}
