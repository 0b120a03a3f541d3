//! What shops are asked to update, and until when.

use std::collections::HashMap;

use platform::{AppResult, Code};
use proto::catalog::{self as pb, ImportHeader, ListUpdatesRequest};
use serde_json::json;

use crate::{
    harness::{START_MS, Vendor, World, answer, header, hosted_header, over_both, upload},
    packages::Package,
};

over_both! {
    a_release_is_required_no_sooner_than_the_minimum_notice
    the_same_manifest_on_other_terms_is_a_conflict
    the_versions_in_use_carry_their_deadline
    an_update_says_what_of_the_installation_changes
    a_static_app_is_updated_with_its_zip
}

const DAY_MS: i64 = 86_400_000;
const SOONEST_MS: i64 = START_MS + 30 * DAY_MS;

async fn require(world: &World, vendor: &Vendor, app: &Package, after_ms: i64) -> AppResult<pb::Release> {
    let json = app.manifest();
    let required = ImportHeader { required_after_ms: Some(after_ms), ..hosted_header(vendor, &json) };
    world.first.upload(upload(required, &json)).await
}

async fn update(world: &World, id: &str, current: &str) -> Option<pb::Update> {
    let versions = HashMap::from([(id.to_owned(), current.to_owned())]);
    let request = ListUpdatesRequest { versions, platform_version: None };
    let found = answer(world.first.catalog().list_updates(world.first.shop(request)).await).unwrap();
    found.updates.into_iter().next()
}

fn app(version: &str) -> Package {
    Package::hosted("@acme/pos", version)
}

async fn a_release_is_required_no_sooner_than_the_minimum_notice(world: World) {
    let vendor = world.first.vendor("acme").await;
    for too_soon in [SOONEST_MS - 1, 0, i64::MIN] {
        let error = require(&world, &vendor, &app("1.0.0"), too_soon).await.unwrap_err();
        assert_eq!(error.code(), Code::InvalidData);
        assert!(error.message().contains("at least 30 days"), "{error}");
    }
    assert_eq!(world.first.feed().await, [""; 0]);
    let made = require(&world, &vendor, &app("1.0.0"), SOONEST_MS).await.unwrap();
    assert_eq!(made.required_after_ms, Some(SOONEST_MS));
    world.later();
    let again = require(&world, &vendor, &app("1.0.0"), SOONEST_MS).await.unwrap();
    assert_eq!(again, pb::Release { app_secret: None, ..made }, "what is published is not refused later");

    let zip = Package::new("@acme/tool", "1.0.0").zip();
    let required = ImportHeader { required_after_ms: Some(SOONEST_MS), ..header(&vendor, &zip) };
    assert_eq!(world.first.upload(upload(required, &zip)).await.unwrap_err().code(), Code::InvalidData);
    assert!(!world.artifacts().join("sha256").exists(), "the bytes of what is refused are not kept");
}

/// It was answered as published, silently without the terms that were asked for.
async fn the_same_manifest_on_other_terms_is_a_conflict(world: World) {
    let vendor = world.first.vendor("acme").await;
    let made = require(&world, &vendor, &app("1.0.0"), SOONEST_MS).await.unwrap();
    let json = app("1.0.0").manifest();
    let same = ImportHeader { required_after_ms: Some(SOONEST_MS), ..hosted_header(&vendor, &json) };
    let others = [
        ImportHeader { required_after_ms: None, ..same.clone() },
        ImportHeader { required_after_ms: Some(SOONEST_MS + 1), ..same.clone() },
        ImportHeader { security: true, ..same },
    ];
    for other in others {
        let error = world.first.upload(upload(other, &json)).await.unwrap_err();
        assert_eq!(error.code(), Code::Conflict);
        assert!(error.message().contains("another `security` or `required_after`"), "{error}");
    }
    let kept = world.first.release("@acme/pos", "1.0.0").await.unwrap();
    assert_eq!((kept.required_after_ms, kept.security), (made.required_after_ms, false));
}

async fn the_versions_in_use_carry_their_deadline(world: World) {
    let vendor = world.first.vendor("acme").await;
    world.first.host(&vendor, &app("1.0.0")).await.unwrap();
    let renamed = |version| app(version).with("name", "Till");
    require(&world, &vendor, &renamed("1.1.0"), SOONEST_MS + DAY_MS).await.unwrap();
    require(&world, &vendor, &renamed("2.0.0").with("icon_url", "https://acme.example/i.png"), SOONEST_MS)
        .await
        .unwrap();
    let deadlines = async || {
        let product = world.first.product("@acme/pos").await.unwrap();
        product.versions.into_iter().map(|it| (it.version, it.deadline_ms)).collect::<Vec<_>>()
    };
    let known = |version: &str, deadline| (version.to_owned(), deadline);
    let all = [known("2.0.0", None), known("1.1.0", Some(SOONEST_MS)), known("1.0.0", Some(SOONEST_MS))];
    assert_eq!(deadlines().await, all);
    assert_eq!(update(&world, "@acme/pos", "1.0.0").await.unwrap().required_after_ms, Some(SOONEST_MS));

    world.first.yank("@acme/pos", "2.0.0", "broken").await.unwrap();
    let later = [known("2.0.0", None), known("1.1.0", None), known("1.0.0", Some(SOONEST_MS + DAY_MS))];
    assert_eq!(deadlines().await, later, "what is withdrawn is required of nobody");
    let release = world.first.release("@acme/pos", "1.0.0").await.unwrap();
    assert_eq!(release.deadline_ms, None, "a deadline is told with the app");
}

async fn an_update_says_what_of_the_installation_changes(world: World) {
    let vendor = world.first.vendor("acme").await;
    let first = world.first.host(&vendor, &app("1.0.0")).await.unwrap();
    let silent = app("1.0.1").with("description", "Mended").installed_at("https://app.acme.example/v2");
    let silent = world.first.host(&vendor, &silent).await.unwrap();
    assert_eq!(first.surface, silent.surface);
    let told = update(&world, "@acme/pos", "1.0.0").await.unwrap();
    assert_eq!((told.changes, told.auto_update, told.requires_consent), (vec![], true, false));

    let renamed = app("1.1.0").with("name", "Till").with("entry", "https://app.acme.example/new");
    let renamed = world.first.host(&vendor, &renamed).await.unwrap();
    assert_ne!(renamed.surface, first.surface);
    let told = update(&world, "@acme/pos", "1.0.0").await.unwrap();
    assert_eq!((told.latest.as_str(), told.changes), ("1.1.0", vec!["name".into(), "address".into()]));
    assert_eq!((told.auto_update, told.requires_consent), (false, false));

    let more = app("1.2.0").with("permissions", json!(["api:orders.read"]));
    world.first.host(&vendor, &more).await.unwrap();
    let told = update(&world, "@acme/pos", "1.0.1").await.unwrap();
    assert_eq!((told.changes, told.auto_update), (vec!["permissions".to_owned()], false));
    assert_eq!((told.requires_consent, told.added_permissions), (true, vec!["api:orders.read".to_owned()]));
    let unknown = update(&world, "@acme/pos", "0.9.0").await.unwrap();
    assert_eq!(unknown.changes, ["name", "code", "address", "icon", "permissions"]);
}

async fn a_static_app_is_updated_with_its_zip(world: World) {
    let vendor = world.first.vendor("acme").await;
    for version in ["1.0.0", "1.0.1"] {
        let zip = Package::new("@acme/page", version).zip();
        let as_static = ImportHeader { kind: "static".into(), ..header(&vendor, &zip) };
        world.first.upload(upload(as_static, &zip)).await.unwrap();
        world.first.publish(&vendor, &Package::new("@acme/tool", version)).await;
    }
    let page = update(&world, "@acme/page", "1.0.0").await.unwrap();
    assert_eq!((page.changes, page.auto_update), (vec!["code".to_owned()], false));
    let tool = update(&world, "@acme/tool", "1.0.0").await.unwrap();
    assert_eq!((tool.changes, tool.auto_update), (vec![], true), "a plugin is no installation");
}
