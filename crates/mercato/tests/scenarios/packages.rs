//! ZIPs that must not become releases.

use std::{
    io::{Cursor, Write as _},
    sync::Arc,
};

use http::Method;
use serde_json::json;
use testkit::market::{Options, Package, Reply, Service, Vendor};
use wire::{keys::SigningKey, release::sign_artifact};
use zip::{CompressionMethod, ZipWriter, write::SimpleFileOptions};

use crate::stage::{Outcome, Stage, assert_refused, text};

/// One megabyte for a release, so that no test has to send fifty.
fn small() -> Options {
    Options::default().var(Service::Gateway, "MERCATO__HTTP__MAX_RELEASE_BYTES", "1048576")
}

scenarios! {
    small();
    a_path_that_leaves_the_folder_is_refused,
    a_symlink_is_refused,
    a_bomb_is_refused,
    a_zip_without_a_manifest_is_refused,
    a_zip_with_a_wrong_manifest_says_everything_that_is_wrong,
    a_manifest_of_another_vendors_app_is_refused,
    what_is_no_zip_is_refused,
    bytes_that_the_vendor_did_not_sign_are_refused,
    a_release_over_the_limit_is_refused,
    a_published_version_is_never_replaced,
    a_vendor_signs_on_with_a_new_key_and_old_releases_stay_good,
}

type Zip = ZipWriter<Cursor<Vec<u8>>>;

/// A package that is right, and something more.
fn with(vendor: &Vendor, more: impl FnOnce(&mut Zip)) -> Vec<u8> {
    let package = Package::new(&format!("@{}/evil", vendor.name)).build().unwrap();
    let mut zip = ZipWriter::new_append(Cursor::new(package)).unwrap();
    more(&mut zip);
    zip.finish().unwrap().into_inner()
}

fn plain() -> SimpleFileOptions {
    SimpleFileOptions::default().compression_method(CompressionMethod::Deflated)
}

async fn assert_nothing_published(stage: &Stage, vendor: &Vendor) -> Outcome {
    let shop = stage.shop().await?;
    let page = shop.product(&format!("@{}/evil", vendor.name)).await?;
    assert_eq!(page.status, 404, "{}", page.body);
    Ok(())
}

async fn assert_never_imported(stage: &Stage, zip: impl FnOnce(&Vendor) -> Vec<u8>, says: &str) -> Outcome {
    let vendor = stage.vendor().await?;
    let refused = stage.admin.try_import(&vendor, zip(&vendor)).await?;
    assert_refused(&refused, 400, "invalid_data", says);
    assert_nothing_published(stage, &vendor).await
}

async fn a_path_that_leaves_the_folder_is_refused(stage: Arc<Stage>) -> Outcome {
    for path in ["../evil.js", "dist/../../evil.js", "/etc/cron.d/evil", "..\\evil.js", "C:\\evil.js"] {
        let zip = |vendor: &Vendor| {
            with(vendor, |zip| {
                zip.start_file(path, plain()).unwrap();
                zip.write_all(b"evil()").unwrap();
            })
        };
        assert_never_imported(&stage, zip, "entry 3 of the ZIP").await?;
    }
    Ok(())
}

async fn a_symlink_is_refused(stage: Arc<Stage>) -> Outcome {
    let zip = |vendor: &Vendor| with(vendor, |zip| zip.add_symlink("dist", "/etc", plain()).unwrap());
    assert_never_imported(&stage, zip, "is a link or special file").await
}

async fn a_bomb_is_refused(stage: Arc<Stage>) -> Outcome {
    let zip = |vendor: &Vendor| {
        with(vendor, |zip| {
            zip.start_file("zeros", plain()).unwrap();
            zip.write_all(&vec![0; 16 << 20]).unwrap();
        })
    };
    assert_never_imported(&stage, zip, "entry 3 of the ZIP").await
}

async fn a_zip_without_a_manifest_is_refused(stage: Arc<Stage>) -> Outcome {
    let zip = |_: &Vendor| {
        let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
        zip.start_file("evil/manifest.json", plain()).unwrap();
        zip.write_all(b"{}").unwrap();
        zip.finish().unwrap().into_inner()
    };
    assert_never_imported(&stage, zip, "no manifest.json at its root").await
}

async fn a_zip_with_a_wrong_manifest_says_everything_that_is_wrong(stage: Arc<Stage>) -> Outcome {
    let vendor = stage.vendor().await?;
    let package = Package::new(&format!("@{}/evil", vendor.name)).version("one").without("description");
    let package = package.field("type", json!("game")).field("price_eur", json!(-1));
    let refused = stage.admin.try_import(&vendor, package.build()?).await?;
    for field in ["version", "description", "type", "price_eur"] {
        assert_refused(&refused, 400, "invalid_data", field);
    }
    assert_nothing_published(&stage, &vendor).await
}

async fn a_manifest_of_another_vendors_app_is_refused(stage: Arc<Stage>) -> Outcome {
    let (honest, thief) = (stage.vendor().await?, stage.vendor().await?);
    let package = Package::new(&format!("@{}/labels", honest.name));
    stage.admin.import(&honest, &package).await?;
    let refused = stage.admin.try_import(&thief, package.clone().version("2.0.0").build()?).await?;
    assert_refused(&refused, 400, "invalid_data", "vendor");
    let page = stage.shop().await?.product(package.marketplace_id()).await?.ok()?;
    assert_eq!(page["version"], "1.0.0");
    Ok(())
}

async fn what_is_no_zip_is_refused(stage: Arc<Stage>) -> Outcome {
    for bytes in [&b""[..], b"manifest.json", &[0x50, 0x4b, 3, 4, 0, 0]] {
        assert_never_imported(&stage, |_| bytes.to_vec(), "this is no readable ZIP").await?;
    }
    Ok(())
}

async fn bytes_that_the_vendor_did_not_sign_are_refused(stage: Arc<Stage>) -> Outcome {
    let vendor = stage.vendor().await?;
    let zip = Package::new(&format!("@{}/evil", vendor.name)).build()?;
    let by_a_stranger = sign_artifact(&SigningKey::from_seed(&[9; 32]), &zip);
    let over_other_bytes = sign_artifact(&vendor.signing_key, b"other bytes");
    for signature in [by_a_stranger.as_str(), &over_other_bytes, "AAAA", "no base64"] {
        let refused = stage.admin.try_import_signed(&vendor, zip.clone(), signature).await?;
        assert_refused(&refused, 400, "invalid_data", "the vendor's signature is refused");
    }
    let path = format!("/admin/vendors/{}/releases", vendor.id);
    let request = stage.admin.caller().request(Method::POST, &path).body(zip);
    let unsigned = stage.admin.caller().send(request.header("content-type", "application/zip")).await?;
    assert_refused(&unsigned, 400, "invalid_data", "x-vendor-signature");
    assert_nothing_published(&stage, &vendor).await
}

async fn a_release_over_the_limit_is_refused(stage: Arc<Stage>) -> Outcome {
    let vendor = stage.vendor().await?;
    // What chance makes does not compress.
    let noise: Vec<u8> =
        (0..40_000_u32).flat_map(|n| wire::release::sha256_hex(&n.to_be_bytes()).into_bytes()).collect();
    let package = Package::new(&format!("@{}/evil", vendor.name)).file("noise.txt", noise);
    let zip = package.build()?;
    assert!(zip.len() > 1 << 20, "{}", zip.len());
    let refused = stage.admin.try_import(&vendor, zip).await?;
    assert_refused(&refused, 413, "too_large", "larger");
    assert_nothing_published(&stage, &vendor).await
}

async fn a_published_version_is_never_replaced(stage: Arc<Stage>) -> Outcome {
    let (vendor, shop) = (stage.vendor().await?, stage.shop().await?);
    let package = Package::new(&format!("@{}/fixed", vendor.name));
    let first = stage.admin.import(&vendor, &package).await?;
    let again = stage.admin.import(&vendor, &package).await?;
    assert_eq!(first["id"], again["id"], "the same bytes are the same release");
    let other = package.clone().file("more.js", "more()").build()?;
    assert_refused(&stage.admin.try_import(&vendor, other).await?, 409, "conflict", "version");
    let retyped = package.clone().version("1.1.0").of_type("payment").build()?;
    assert_refused(&stage.admin.try_import(&vendor, retyped).await?, 409, "conflict", "type");
    assert_eq!(shop.download(package.marketplace_id(), "1.0.0", None).await?, package.build()?);
    Ok(())
}

async fn a_vendor_signs_on_with_a_new_key_and_old_releases_stay_good(stage: Arc<Stage>) -> Outcome {
    let (mut vendor, shop) = (stage.vendor().await?, stage.shop().await?);
    let package = Package::new(&format!("@{}/signed", vendor.name));
    stage.admin.import(&vendor, &package).await?;
    let (old, new) = (vendor.signing_key.clone(), SigningKey::from_seed(&[11; 32]));
    let key = json!({ "public_key": new.verifying_key().to_string() });
    stage.admin.caller().post(&format!("/admin/vendors/{}/keys", vendor.id), &key).await?.ok()?;
    vendor.signing_key = new.clone();
    stage.admin.import(&vendor, &package.clone().version("1.1.0")).await?;
    let app = package.marketplace_id();
    for (version, key) in [("1.0.0", old), ("1.1.0", new)] {
        let place: Reply = shop.try_download(app, version, None).await?;
        assert_eq!(text(&place.ok()?["vendor_signature"], "key_id")?, key.key_id(), "{version}");
    }
    let page = shop.product(app).await?.ok()?;
    assert_eq!(page["vendor_keys"].as_array().unwrap().len(), 2);
    Ok(())
}
