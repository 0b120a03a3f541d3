//! A sale from the feed to the bytes that a shop installs, and what a download link is worth.

use std::sync::Arc;

use http::Method;
use serde_json::{Value, json};
use testkit::market::{Options, Package, Reply, Shop};
use wire::{
    keys::{Jwks, VerifyingKey},
    license_token,
    release::{ArtifactDigest, ReleaseSignature, verify_statement, verify_vendor_signature},
};

use crate::stage::{Outcome, SOON, Stage, assert_refused, now, text};

scenarios! {
    Options::default();
    a_shop_buys_is_told_verifies_and_downloads,
    the_webhook_says_what_was_bought_and_nothing_else,
    an_answer_can_be_proved_offline_from_the_published_keys,
    a_download_goes_on_where_it_broke_off,
    a_download_link_is_dead_once_it_was_tampered_with,
    a_paid_app_is_not_downloaded_without_its_licence,
    a_free_app_is_downloaded_without_a_licence,
    a_sealed_instance_id_is_answered_like_the_open_one,
}

async fn a_shop_buys_is_told_verifies_and_downloads(stage: Arc<Stage>) -> Outcome {
    let (vendor, shop) = (stage.vendor().await?, stage.shop().await?);
    let package = Package::new(&format!("@{}/whole", vendor.name)).price_cents(4900);
    let package = package.file("dist/app.js", "export const sold = true;\n".repeat(1000));
    stage.admin.import(&vendor, &package).await?;
    let app = package.marketplace_id();
    let product = shop.product(app).await?.ok()?;
    assert_eq!(product["price_eur"], 49);

    let sale = stage.sell(&shop, app).await?;
    let order = stage.order_in(&sale.order.id, "paid").await?;
    assert_eq!((&order["amount_cents"], &order["currency"]), (&json!(4900), &json!("eur")));
    assert_eq!((&order["instance_id"], &order["mismatch"]), (&json!(shop.id()), &Value::Null));
    let answer = shop.verify(&sale.key, app).await?.ok()?;
    assert_eq!((&answer["valid"], &answer["code"]), (&json!(true), &json!("VALID")));
    assert_eq!((&answer["license"]["seats"], &answer["license"]["seats_used"]), (&json!(1), &json!(1)));

    let place = shop.try_download(app, "1.0.0", Some(&sale.key)).await?.ok()?;
    let zip = shop.download(app, "1.0.0", Some(&sale.key)).await?;
    assert_eq!(zip, package.build()?, "the bytes that the vendor gave");
    assert_eq!((&place["size"], &place["sha256"]), (&json!(zip.len()), &product["sha256"]));
    assert_signed(&product, &place, &zip);
    Ok(())
}

/// By both: the vendor vouches for the bytes, the marketplace binds them to the name and the version.
fn assert_signed(product: &Value, place: &Value, zip: &[u8]) {
    let keys = |field: &str| -> Vec<VerifyingKey> {
        let keys = product[field].as_array().unwrap();
        keys.iter().map(|key| key["value"].as_str().unwrap().parse().unwrap()).collect()
    };
    let vendor_signature = place["vendor_signature"]["value"].as_str().unwrap();
    verify_vendor_signature(&keys("vendor_keys"), zip, vendor_signature).unwrap();
    let signature: ReleaseSignature = serde_json::from_value(place["signature"].clone()).unwrap();
    let (id, version) = (product["marketplace_id"].as_str().unwrap(), product["version"].as_str().unwrap());
    let (id, version) = (id.parse().unwrap(), version.parse().unwrap());
    let keys = keys("marketplace_keys");
    verify_statement(&keys, &signature, &id, &version, &ArtifactDigest::of(zip)).unwrap();
    verify_statement(&keys, &signature, &id, &version, &ArtifactDigest::of(b"other bytes")).unwrap_err();
}

async fn the_webhook_says_what_was_bought_and_nothing_else(stage: Arc<Stage>) -> Outcome {
    let (shop, app) = (stage.shop().await?, stage.paid_app().await?);
    let sale = stage.sell(&shop, &app).await?;
    let expected = json!({
        "marketplace_id": app, "version": "1.0.0",
        "license_key": sale.key, "purchased_by": "merchant@shop.example",
    });
    assert_eq!(sale.webhook.body, expected);
    let request = &shop.receiver.requests()[0];
    assert_eq!((request.method.as_str(), request.uri.path()), ("POST", "/admin/marketplace/license-issued"));
    assert_eq!(request.header("content-type"), Some("application/json"));
    assert!(sale.webhook.delivery_id.starts_with("dly_"));
    assert!(request.header("traceparent").is_none(), "our trace is nobody else's business");
    let told = stage.delivery_to(&shop, |delivery| delivery["state"] == "delivered").await?;
    assert_eq!((&told["id"], &told["attempts"]), (&json!(sale.webhook.delivery_id), &json!(1)));
    Ok(())
}

async fn an_answer_can_be_proved_offline_from_the_published_keys(stage: Arc<Stage>) -> Outcome {
    let (shop, app) = (stage.shop().await?, stage.paid_app().await?);
    let sale = stage.sell(&shop, &app).await?;
    let mut question = shop.question(&sale.key, &app);
    question["nonce"] = json!("4711");
    let answer = shop.reader().post("/store/marketplace/license/verify", &question).await?.ok()?;
    let identity = stage.anyone()?.get("/.well-known/mercato.json").await?.ok()?;
    let jwks: Jwks = serde_json::from_value(identity["jwks"].clone())?;
    let (token, issuer) = (text(&answer, "token")?, text(&identity, "issuer")?);

    let claims = license_token::verify(&jwks, &token, &issuer, now())?;
    assert_eq!((claims.st.as_str(), claims.app.as_str()), ("VALID", app.as_str()));
    assert_eq!(claims.sub, answer["license"]["id"]);
    assert_eq!(claims.ins, license_token::instance_hash(shop.id()));
    assert_eq!((claims.nonce.as_deref(), &answer["nonce"]), (Some("4711"), &json!("4711")));
    assert_eq!(claims.exp - claims.iat, 7 * 24 * 60 * 60);
    license_token::verify(&jwks, &token, &issuer, claims.exp + 1).expect_err("a proof that is a week old");
    license_token::verify(&jwks, &token, &issuer, claims.iat - 600).expect_err("a clock ten minutes behind");
    Ok(())
}

async fn a_download_goes_on_where_it_broke_off(stage: Arc<Stage>) -> Outcome {
    let (vendor, shop) = (stage.vendor().await?, stage.shop().await?);
    let package = Package::new(&format!("@{}/ranges", vendor.name));
    stage.admin.import(&vendor, &package).await?;
    let zip = package.build()?;
    let place = shop.try_download(package.marketplace_id(), "1.0.0", None).await?.ok()?;
    let url = text(&place, "url")?;
    let ask = async |name: &'static str, value: &str, also: Option<&str>| {
        let request = shop.anyone().request(Method::GET, &url).header(name, value);
        shop.anyone()
            .send(also.into_iter().fold(request, |request, tag| request.header("if-range", tag)))
            .await
    };
    let whole = shop.anyone().get(&url).await?;
    assert_eq!((whole.header("accept-ranges"), whole.header("content-type")), ("bytes", "application/zip"));

    let size = zip.len();
    for (range, from, to) in
        [("bytes=10-19", 10, 20), ("bytes=-5", size - 5, size), ("bytes=100-", 100, size)]
    {
        let part = ask("range", range, None).await?;
        assert_eq!((part.status, &part.bytes[..]), (206, &zip[from..to]), "{range}");
        assert_eq!(part.header("content-range"), format!("bytes {from}-{}/{size}", to - 1));
    }
    let beyond = ask("range", "bytes=9999999-", None).await?;
    assert_eq!((beyond.status, beyond.header("content-range")), (416, format!("bytes */{size}").as_str()));
    assert!(beyond.message().contains("no such bytes"), "{}", beyond.body);
    let other_bytes = ask("range", "bytes=10-19", Some("\"of another release\"")).await?;
    assert_eq!((other_bytes.status, &other_bytes.bytes[..]), (200, &zip[..]));
    let same_bytes = ask("range", "bytes=10-19", Some(whole.header("etag"))).await?;
    assert_eq!(same_bytes.status, 206);
    Ok(())
}

async fn a_download_link_is_dead_once_it_was_tampered_with(stage: Arc<Stage>) -> Outcome {
    let (vendor, shop) = (stage.vendor().await?, stage.shop().await?);
    let package = Package::new(&format!("@{}/links", vendor.name));
    stage.admin.import(&vendor, &package).await?;
    let place = shop.try_download(package.marketplace_id(), "1.0.0", None).await?.ok()?;
    let (link, sha256) = (text(&place, "url")?, text(&place, "sha256")?);
    shop.anyone().get(&link).await?.success()?;
    let expires = link.split("expires=").nth(1).unwrap().split('&').next().unwrap();
    let later = (expires.parse::<i64>()? + 3600).to_string();
    assert!((1..=900).contains(&(expires.parse::<i64>()? - now())), "it lives 15 minutes: {link}");
    let other = "0".repeat(64);
    let tampered = [
        link.replace(expires, &later),
        link.replace(&sha256, &other),
        link.replace(&format!("/{}/", package.build()?.len()), "/1/"),
        link.replace("sig=", "sig=A"),
    ];
    for url in tampered {
        assert_ne!(url, link);
        assert_refused(&shop.anyone().get(&url).await?, 403, "not_allowed", "ask for a new download URL");
    }
    let unsigned = link.split("&sig=").next().unwrap();
    assert_refused(&shop.anyone().get(unsigned).await?, 400, "invalid_data", "sig");
    Ok(())
}

async fn download_with(shop: &Shop, app: &str, key: Option<&str>) -> anyhow::Result<Reply> {
    shop.try_download(app, "1.0.0", key).await
}

async fn a_paid_app_is_not_downloaded_without_its_licence(stage: Arc<Stage>) -> Outcome {
    let (buyer, stranger) = (stage.shop().await?, stage.shop().await?);
    let (bought, coveted) = (stage.paid_app().await?, stage.paid_app().await?);
    let sale = stage.sell(&buyer, &bought).await?;
    let none = download_with(&buyer, &coveted, None).await?;
    assert_refused(&none, 402, "payment_required", "send its licence key as x-carpha-license");
    let of_another_app = download_with(&buyer, &coveted, Some(&sale.key)).await?;
    assert_refused(&of_another_app, 402, "payment_required", "another app");
    let of_another_shop = download_with(&stranger, &bought, Some(&sale.key)).await?;
    assert_refused(&of_another_shop, 402, "payment_required", "seats");
    let unknown = wire::license_key::LicenseKey::from_entropy([7; 12]).to_string();
    let unknown = download_with(&buyer, &coveted, Some(&unknown)).await?;
    assert_refused(&unknown, 402, "payment_required", "licence");
    let mistyped = download_with(&buyer, &coveted, Some("CC-0000-0000-0000-0000-0001")).await?;
    assert_refused(&mistyped, 400, "invalid_data", "typing error");
    Ok(())
}

async fn a_free_app_is_downloaded_without_a_licence(stage: Arc<Stage>) -> Outcome {
    let (vendor, shop) = (stage.vendor().await?, stage.shop().await?);
    let package = Package::new(&format!("@{}/gift", vendor.name));
    stage.admin.import(&vendor, &package).await?;
    assert_eq!(shop.download(package.marketplace_id(), "1.0.0", None).await?, package.build()?);
    Ok(())
}

async fn a_sealed_instance_id_is_answered_like_the_open_one(stage: Arc<Stage>) -> Outcome {
    let (shop, app) = (stage.shop().await?, stage.paid_app().await?);
    let identity = stage.anyone()?.get("/.well-known/mercato.json").await?.ok()?;
    let sealing_key = text(&identity, "sealing_key")?.parse()?;
    let seal = |ephemeral| wire::instance::seal(&sealing_key, shop.id(), [ephemeral; 32]);
    let order = json!({
        "marketplace_id": app, "version": "1.0.0",
        "customer_email": "merchant@shop.example", "instance_id": seal(1)?,
    });
    let order = shop.reader().post("/store/marketplace/checkout/session", &order).await?.ok()?;
    let session = text(&order, "url")?.rsplit('/').next().unwrap().to_owned();
    stage.market.stripe().pay(&session).await?;
    let key = shop.wait_for_license(&app, SOON).await?.license_key()?.to_owned();
    let mut question = shop.question(&key, &app);
    question["instance_id"] = json!(seal(2)?);
    let answer = shop.reader().post("/store/marketplace/license/verify", &question).await?.ok()?;
    assert_eq!((&answer["code"], &answer["license"]["seats_used"]), (&json!("VALID"), &json!(1)));
    Ok(())
}
