//! What a shop reads of the catalogue.

use std::{collections::BTreeSet, sync::Arc};

use http::Method;
use serde_json::{Value, json};
use testkit::market::{Options, Package, Shop, Vendor};

use crate::stage::{Outcome, Stage, text};

scenarios! {
    Options::default();
    the_feed_shows_a_release_as_its_vendor_described_it,
    a_search_finds_an_app_by_a_word_of_its_description,
    the_feed_can_be_narrowed_to_one_type,
    pages_hold_every_app_once,
    a_shop_that_knows_the_feed_gets_304_until_a_release_is_published,
    the_feed_is_compressed_for_whoever_takes_gzip,
    an_apps_page_lists_its_versions_newest_first_with_the_yanked_one_marked,
    both_forms_of_an_apps_path_are_the_same_call,
    a_yanked_version_is_offered_to_no_one_but_served_by_its_number,
    updates_name_what_is_newer_and_what_it_asks_for,
    updates_leave_out_what_is_unknown_or_needs_a_newer_shop,
}

const FEED: &str = "/store/marketplace/feed";

async fn publish(stage: &Stage, vendor: &Vendor, package: Package) -> anyhow::Result<Value> {
    stage.admin.import(vendor, &package).await
}

fn app_of(vendor: &Vendor, name: &str) -> Package {
    Package::new(&format!("@{}/{name}", vendor.name))
}

async fn search(shop: &Shop, word: &str) -> anyhow::Result<Value> {
    shop.feed(&[("search", word)]).await?.ok()
}

fn ids(feed: &Value) -> Vec<&str> {
    let products = feed["products"].as_array().unwrap();
    products.iter().map(|product| product["marketplace_id"].as_str().unwrap()).collect()
}

async fn the_feed_shows_a_release_as_its_vendor_described_it(stage: Arc<Stage>) -> Outcome {
    let (vendor, shop) = (stage.vendor().await?, stage.shop().await?);
    let package = app_of(&vendor, "parcels")
        .of_type("fulfillment")
        .price_cents(2999)
        .permissions(&["api:orders.read"])
        .field("description", json!("Prints labels on zebrawood."))
        .field("made_with", json!("care"));
    publish(&stage, &vendor, package.clone()).await?;
    let feed = search(&shop, "zebrawood").await?;
    assert_eq!((&feed["count"], &feed["limit"], &feed["offset"]), (&json!(1), &json!(20), &json!(0)));

    let product = &feed["products"][0];
    let zip = package.build()?;
    let id = package.marketplace_id();
    assert!(product["id"].as_str().unwrap().starts_with("ccmp_"), "{product}");
    let told = [
        ("marketplace_id", json!(id)),
        ("name", json!("parcels")),
        ("type", json!("fulfillment")),
        ("version", json!("1.0.0")),
        ("price_eur", json!(29.99)),
        ("kind", json!("plugin")),
        ("permissions", json!(["api:orders.read"])),
        ("download_url", json!(format!("/store/marketplace/download/{id}/1.0.0"))),
        ("sha256", json!(wire::release::sha256_hex(&zip))),
    ];
    for (field, value) in told {
        assert_eq!(product[field], value, "{field}");
    }
    assert_eq!(product["manifest"]["made_with"], "care", "unknown keys of a manifest are kept");
    assert!(product["published_at"].as_str().unwrap().ends_with('Z'));
    assert!(
        !text(&product["signature"], "key_id")?.is_empty()
            && !text(&product["signature"], "value")?.is_empty()
    );
    Ok(())
}

async fn a_search_finds_an_app_by_a_word_of_its_description(stage: Arc<Stage>) -> Outcome {
    let (vendor, shop) = (stage.vendor().await?, stage.shop().await?);
    let described = |name: &str, words: &str| app_of(&vendor, name).field("description", json!(words));
    publish(&stage, &vendor, described("stamps", "Sends letters by rosewood pigeon.")).await?;
    publish(&stage, &vendor, described("bells", "Rings at the door.")).await?;
    assert_eq!(ids(&search(&shop, "rosewood").await?), [format!("@{}/stamps", vendor.name)]);
    assert_eq!(search(&shop, "ebonywood").await?["count"], 0);
    Ok(())
}

async fn the_feed_can_be_narrowed_to_one_type(stage: Arc<Stage>) -> Outcome {
    let (vendor, shop) = (stage.vendor().await?, stage.shop().await?);
    for (name, app_type) in [("cards", "payment"), ("mails", "marketing")] {
        let package = app_of(&vendor, name).of_type(app_type).field("description", json!("teakwood"));
        publish(&stage, &vendor, package).await?;
    }
    let feed = shop.feed(&[("search", "teakwood"), ("type", "marketing")]).await?.ok()?;
    assert_eq!(ids(&feed), [format!("@{}/mails", vendor.name)]);
    assert_eq!(feed["count"], 1);
    Ok(())
}

async fn pages_hold_every_app_once(stage: Arc<Stage>) -> Outcome {
    let (vendor, shop) = (stage.vendor().await?, stage.shop().await?);
    for number in 0..5 {
        let package = app_of(&vendor, &format!("board-{number}")).field("description", json!("limewood"));
        publish(&stage, &vendor, package).await?;
    }
    let mut seen = Vec::new();
    for (page, offset) in [("1", "0"), ("2", "2"), ("3", "4")] {
        let by_page = shop.feed(&[("search", "limewood"), ("page", page), ("per_page", "2")]).await?.ok()?;
        let by_offset =
            shop.feed(&[("search", "limewood"), ("limit", "2"), ("offset", offset)]).await?.ok()?;
        assert_eq!(by_page, by_offset, "page {page}");
        assert_eq!((&by_page["count"], &by_page["limit"]), (&json!(5), &json!(2)));
        seen.extend(ids(&by_page).into_iter().map(str::to_owned));
    }
    assert_eq!((seen.len(), seen.iter().collect::<BTreeSet<_>>().len()), (5, 5), "{seen:?}");
    let beyond = shop.feed(&[("search", "limewood"), ("page", "4"), ("per_page", "2")]).await?.ok()?;
    assert!(ids(&beyond).is_empty() && beyond["count"] == 5, "{beyond}");
    Ok(())
}

async fn a_shop_that_knows_the_feed_gets_304_until_a_release_is_published(stage: Arc<Stage>) -> Outcome {
    let (vendor, shop) = (stage.vendor().await?, stage.shop().await?);
    let package = app_of(&vendor, "doors").field("description", json!("beechwood"));
    publish(&stage, &vendor, package.clone()).await?;
    let ask = async |etag: &str| {
        let request = shop.reader().request(Method::GET, &format!("{FEED}?search=beechwood"));
        shop.reader().send(request.header("if-none-match", etag)).await
    };
    let first = shop.feed(&[("search", "beechwood")]).await?;
    assert!(first.header("cache-control").contains("max-age"), "{:?}", first.headers);
    let again = ask(first.header("etag")).await?;
    assert_eq!((again.status, again.bytes.len()), (304, 0));
    assert_eq!(again.header("etag"), first.header("etag"));

    publish(&stage, &vendor, package.version("1.1.0")).await?;
    let changed = ask(first.header("etag")).await?;
    assert_eq!(changed.status, 200);
    assert_eq!(changed.body["products"][0]["version"], "1.1.0");
    assert_ne!(changed.header("etag"), first.header("etag"));
    Ok(())
}

async fn the_feed_is_compressed_for_whoever_takes_gzip(stage: Arc<Stage>) -> Outcome {
    let (vendor, shop) = (stage.vendor().await?, stage.shop().await?);
    let long = "satinwood ".repeat(200);
    publish(&stage, &vendor, app_of(&vendor, "shelves").field("description", json!(long))).await?;
    let plain = shop.feed(&[("search", "satinwood")]).await?;
    let request = shop.reader().request(Method::GET, &format!("{FEED}?search=satinwood"));
    let packed = shop.reader().send(request.header("accept-encoding", "gzip")).await?;
    assert_eq!((packed.status, packed.header("content-encoding")), (200, "gzip"));
    assert!(packed.bytes.starts_with(&[0x1f, 0x8b]) && packed.bytes.len() * 2 < plain.bytes.len());
    assert_eq!(plain.header("content-encoding"), "");
    Ok(())
}

async fn an_apps_page_lists_its_versions_newest_first_with_the_yanked_one_marked(
    stage: Arc<Stage>,
) -> Outcome {
    let (vendor, shop) = (stage.vendor().await?, stage.shop().await?);
    let package = app_of(&vendor, "lamps");
    for version in ["1.0.0", "1.10.0", "1.9.0"] {
        publish(&stage, &vendor, package.clone().version(version)).await?;
    }
    let id = package.marketplace_id();
    let yank = format!("/admin/releases/{id}/1.9.0/yank");
    stage.admin.caller().post(&yank, &json!({ "reason": "It drops labels." })).await?.ok()?;
    let page = shop.product(id).await?.ok()?;
    let versions: Vec<_> = page["versions"].as_array().unwrap().iter().collect();
    let numbers: Vec<_> = versions.iter().map(|one| one["version"].as_str().unwrap()).collect();
    assert_eq!(numbers, ["1.10.0", "1.9.0", "1.0.0"], "semver order, not that of letters");
    assert_eq!(
        (&versions[1]["yanked"], &versions[1]["yanked_reason"]),
        (&json!(true), &json!("It drops labels."))
    );
    assert_eq!((&versions[0]["yanked"], &page["version"]), (&json!(false), &json!("1.10.0")));
    assert_eq!(page["description"], "What lamps does, told for people.");
    let key = vendor.signing_key.verifying_key();
    assert_eq!(page["vendor_keys"], json!([{ "key_id": key.key_id(), "value": key.to_string() }]));
    assert!(!page["marketplace_keys"].as_array().unwrap().is_empty());
    Ok(())
}

async fn both_forms_of_an_apps_path_are_the_same_call(stage: Arc<Stage>) -> Outcome {
    let (vendor, shop) = (stage.vendor().await?, stage.shop().await?);
    publish(&stage, &vendor, app_of(&vendor, "chairs")).await?;
    let open = shop.product(&format!("@{}/chairs", vendor.name)).await?.ok()?;
    let escaped = shop.product(&format!("%40{}%2Fchairs", vendor.name)).await?.ok()?;
    assert_eq!(open, escaped);
    let escaped = shop.try_download(&format!("%40{}%2Fchairs", vendor.name), "1.0.0", None).await?.ok()?;
    assert_eq!(escaped["sha256"], open["sha256"]);
    Ok(())
}

async fn a_yanked_version_is_offered_to_no_one_but_served_by_its_number(stage: Arc<Stage>) -> Outcome {
    let (vendor, shop) = (stage.vendor().await?, stage.shop().await?);
    let package = app_of(&vendor, "stools").field("description", json!("ashwood"));
    for version in ["1.0.0", "1.1.0"] {
        publish(&stage, &vendor, package.clone().version(version)).await?;
    }
    let id = package.marketplace_id();
    let yank = format!("/admin/releases/{id}/1.1.0/yank");
    stage.admin.caller().post(&yank, &json!({ "reason": "It wobbles." })).await?.ok()?;
    assert_eq!(search(&shop, "ashwood").await?["products"][0]["version"], "1.0.0");
    assert_eq!(shop.updates(&json!({ (id): "1.0.0" })).await?.ok()?["updates"], json!([]));
    let zip = shop.download(id, "1.1.0", None).await?;
    assert_eq!(zip, package.version("1.1.0").build()?);
    Ok(())
}

async fn updates_name_what_is_newer_and_what_it_asks_for(stage: Arc<Stage>) -> Outcome {
    let (vendor, shop) = (stage.vendor().await?, stage.shop().await?);
    let (minor, major) = (app_of(&vendor, "minor"), app_of(&vendor, "major"));
    publish(&stage, &vendor, minor.clone()).await?;
    publish(&stage, &vendor, major.clone()).await?;
    let newer = minor.clone().version("1.1.0").permissions(&["api:orders.read"]);
    publish(&stage, &vendor, newer.field("changelog_url", json!("https://vendor.example/changes"))).await?;
    publish(&stage, &vendor, major.clone().version("2.0.0")).await?;
    let (minor, major) = (minor.marketplace_id(), major.marketplace_id());
    let answer = shop.updates(&json!({ (minor): "1.0.0", (major): "1.0.0" })).await?.ok()?;
    let updates = answer["updates"].as_array().unwrap();
    let of = |id: &str| updates.iter().find(|update| update["marketplace_id"] == id).unwrap();
    assert_eq!(updates.len(), 2, "{answer}");
    let told = &of(minor);
    assert_eq!((&told["current"], &told["latest"]), (&json!("1.0.0"), &json!("1.1.0")));
    assert_eq!(told["changelog_url"], "https://vendor.example/changes");
    assert_eq!(
        (&told["requires_consent"], &told["added_permissions"]),
        (&json!(true), &json!(["api:orders.read"]))
    );
    assert_eq!(of(major)["auto_update"], false, "a major version is never installed by itself");
    assert_eq!(shop.updates(&json!({ (minor): "1.1.0" })).await?.ok()?["updates"], json!([]));
    Ok(())
}

async fn updates_leave_out_what_is_unknown_or_needs_a_newer_shop(stage: Arc<Stage>) -> Outcome {
    let (vendor, shop) = (stage.vendor().await?, stage.shop().await?);
    let package = app_of(&vendor, "modern");
    publish(&stage, &vendor, package.clone()).await?;
    let newer = package.clone().version("1.1.0").field("carphacom_min_version", json!("9.0.0"));
    publish(&stage, &vendor, newer).await?;
    let versions = json!({ (package.marketplace_id()): "1.0.0", "@nobody/nothing": "1.0.0" }).to_string();
    let ask = async |platform: &str| {
        let query = [("versions", versions.as_str()), ("platform_version", platform)];
        shop.reader().query("/store/marketplace/updates", &query).await?.ok()
    };
    assert_eq!(ask("2.0.0").await?["updates"], json!([]));
    let updates = ask("9.1.0").await?["updates"].clone();
    assert_eq!(updates.as_array().unwrap().len(), 1, "{updates}");
    assert_eq!(updates[0]["latest"], "1.1.0");
    Ok(())
}
