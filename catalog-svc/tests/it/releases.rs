use platform::Code;
use proto::{
    catalog as pb,
    events::{ReleaseChanged, subject},
};
use serde_json::{Value, json};
use wire::{
    keys::VerifyingKey,
    release::{ArtifactDigest, ReleaseSignature, sha256_hex, verify_statement, verify_vendor_signature},
};

use crate::{
    harness::{START_MS, World, header, marketplace_key, over_both, previous_marketplace_key, upload},
    packages::Package,
};

over_both! {
    a_release_is_published_signed_and_announced
    the_same_bytes_again_are_the_same_release
    a_release_is_immutable_and_an_app_keeps_its_type
    imports_at_once_make_one_release
    a_yanked_release_stays_for_those_who_run_it
    an_artifact_is_read_in_ranges
}

async fn a_release_is_published_signed_and_announced(world: World) {
    let vendor = world.first.vendor("acme").await;
    let package = Package::new("@acme/tool", "1.0.0").with("permissions", json!(["api:orders.read"]));
    let zip = package.zip();
    let release = world.first.import(&vendor, &zip).await.unwrap();
    assert!(release.release_id.starts_with("rel_") && release.product_id.starts_with("ccmp_"));
    assert_eq!((release.price_cents, release.published_at_ms), (1_999, START_MS));
    assert_eq!((release.sha256.clone(), release.size), (sha256_hex(&zip), zip.len() as u64));
    assert_eq!((release.r#type.as_str(), release.kind.as_str()), ("admin-extension", "plugin"));
    assert_eq!(release.permissions, ["api:orders.read"]);
    let manifest: Value = serde_json::from_str(&release.manifest_json).unwrap();
    assert_eq!(manifest["x_own_key"], json!({"kept": true}), "unknown keys are kept");

    let product = world.first.product("@acme/tool").await.unwrap();
    assert_eq!(product.latest, Some(release.clone()));
    assert_eq!(product.versions, std::slice::from_ref(&release));
    vouched_for(&product, &zip);
    let event: ReleaseChanged = world
        .told(subject::RELEASE_PUBLISHED, "the release", |it: &ReleaseChanged| {
            it.release_id == release.release_id
        })
        .await;
    assert_eq!((event.marketplace_id.as_str(), event.version.as_str()), ("@acme/tool", "1.0.0"));
    assert_eq!(event.changelog_url.as_deref(), Some("https://acme.example/changes"));
    assert_eq!((event.published_at_ms, event.security), (START_MS, false));
}

/// As a shop does before it installs: digest, vendor's signature, marketplace's signature, with the keys it is given.
fn vouched_for(product: &pb::ProductDetail, zip: &[u8]) {
    let keys = |keys: &[pb::PublicKey]| -> Vec<VerifyingKey> {
        keys.iter().map(|key| key.value.parse().unwrap()).collect()
    };
    let release = product.latest.as_ref().unwrap();
    let vendor = release.vendor_signature.as_ref().unwrap();
    let signed_by = verify_vendor_signature(&keys(&product.vendor_keys), zip, &vendor.value).unwrap();
    assert_eq!(signed_by, vendor.key_id);
    let marketplace = keys(&product.marketplace_keys);
    assert_eq!(marketplace, [marketplace_key().verifying_key(), previous_marketplace_key().verifying_key()]);
    let signature = release.signature.clone().unwrap();
    let signature = ReleaseSignature { key_id: signature.key_id, value: signature.value };
    let (id, version) = (release.marketplace_id.parse().unwrap(), release.version.parse().unwrap());
    verify_statement(&marketplace, &signature, &id, &version, &ArtifactDigest::of(zip)).unwrap();
}

async fn the_same_bytes_again_are_the_same_release(world: World) {
    let vendor = world.first.vendor("acme").await;
    let package = Package::new("@acme/tool", "1.0.0");
    let once = world.first.publish(&vendor, &package).await;
    world.later();
    let twice = world.first.publish(&vendor, &package).await;
    assert_eq!(once, twice);
    let next = world.first.publish(&vendor, &Package::new("@acme/tool", "1.0.1")).await;
    let is_next = |it: &ReleaseChanged| it.release_id == next.release_id;
    world.told(subject::RELEASE_PUBLISHED, "the next release", is_next).await;
    let is_once = |it: &ReleaseChanged| it.release_id == once.release_id;
    assert_eq!(world.count_told(subject::RELEASE_PUBLISHED, is_once), 1);
    assert_eq!(next.product_id, once.product_id);
}

async fn a_release_is_immutable_and_an_app_keeps_its_type(world: World) {
    let vendor = world.first.vendor("acme").await;
    let package = Package::new("@acme/tool", "1.0.0");
    let first = world.first.publish(&vendor, &package).await;
    let other_bytes =
        world.first.import(&vendor, &package.clone().file("more.js", "1").zip()).await.unwrap_err();
    assert_eq!(other_bytes.code(), Code::Conflict);
    assert!(other_bytes.message().contains("publish a new version"), "{other_bytes}");
    let other_type = Package::new("@acme/tool", "1.1.0").with("type", "payment");
    let other_type = world.first.import(&vendor, &other_type.zip()).await.unwrap_err();
    assert_eq!(other_type.code(), Code::Conflict);
    assert!(other_type.message().contains("keep the type"), "{other_type}");
    assert_eq!(world.first.product("@acme/tool").await.unwrap().versions, [first]);
}

async fn imports_at_once_make_one_release(world: World) {
    let vendor = world.first.vendor("acme").await;
    let second = world.replica().await;
    let zip = Package::new("@acme/tool", "1.0.0").zip();
    let imports =
        (0..8).map(|n| if n % 2 == 0 { &world.first } else { &second }).map(|it| it.import(&vendor, &zip));
    let answers = futures::future::join_all(imports).await;
    let taken: Vec<_> = answers.into_iter().map(Result::unwrap).collect();
    assert!(taken.iter().all(|release| *release == taken[0]));
    assert_eq!(world.first.product("@acme/tool").await.unwrap().versions.len(), 1);
}

async fn a_yanked_release_stays_for_those_who_run_it(world: World) {
    let vendor = world.first.vendor("acme").await;
    world.first.publish(&vendor, &Package::new("@acme/tool", "1.0.0")).await;
    let bad = world.first.publish(&vendor, &Package::new("@acme/tool", "1.1.0")).await;
    let yanked = world.first.yank("@acme/tool", "1.1.0", " loses orders ").await.unwrap();
    assert_eq!(yanked.yanked_reason.as_deref(), Some("loses orders"));
    assert_eq!(world.first.yank("@acme/tool", "1.1.0", "another reason").await.unwrap(), yanked);

    assert_eq!(world.first.release("@acme/tool", "1.1.0").await.unwrap(), yanked);
    assert!(!world.first.chunks(&bad.sha256, 0, None).await.unwrap().is_empty());
    let product = world.first.product("@acme/tool").await.unwrap();
    assert_eq!(product.latest.unwrap().version, "1.0.0");
    assert_eq!(product.versions.iter().map(|it| it.version.as_str()).collect::<Vec<_>>(), ["1.1.0", "1.0.0"]);
    assert_eq!(product.versions[0], yanked);
    let is_it = |it: &ReleaseChanged| it.release_id == bad.release_id;
    let event = world.told(subject::RELEASE_YANKED, "the yanked release", is_it).await;
    assert_eq!(event.version, "1.1.0");

    world.first.yank("@acme/tool", "1.0.0", "so does this").await.unwrap();
    assert_eq!(world.first.feed().await, [""; 0], "no one is offered it");
    let product = world.first.product("@acme/tool").await.unwrap();
    assert!(product.latest.unwrap().yanked_reason.is_some());
    assert_eq!(world.first.yank("@acme/tool", "9.0.0", "x").await.unwrap_err().code(), Code::NotFound);
    assert_eq!(world.first.yank("@acme/tool", "1.0.0", "").await.unwrap_err().code(), Code::InvalidData);
    assert_eq!(world.first.yank("tool", "1.0.0", "x").await.unwrap_err().code(), Code::InvalidData);
}

async fn an_artifact_is_read_in_ranges(world: World) {
    let vendor = world.first.vendor("acme").await;
    let noise: Vec<u8> = (0..400_000_u32).flat_map(|n| n.wrapping_mul(2_654_435_761).to_be_bytes()).collect();
    let zip = Package::new("@acme/tool", "1.0.0").file("noise.bin", noise).zip();
    let parts = upload(pb::ImportHeader { kind: "static".into(), ..header(&vendor, &zip) }, &zip);
    let release = world.first.upload(parts).await.unwrap();
    assert_eq!(release.kind, "static");

    let read = async |offset, length| {
        world.first.chunks(&release.sha256, offset, length).await.map(|it| it.concat())
    };
    let whole = world.first.chunks(&release.sha256, 0, None).await.unwrap();
    assert_eq!(whole.concat(), zip);
    assert!(whole[..whole.len() - 1].iter().all(|chunk| (65_536..=262_144).contains(&chunk.len())));
    assert_eq!(read(1_000, Some(50)).await.unwrap(), zip[1_000..1_050]);
    assert_eq!(read(release.size - 3, Some(50)).await.unwrap(), zip[zip.len() - 3..]);
    assert_eq!(read(release.size, None).await.unwrap(), [0; 0]);
    assert_eq!(read(0, Some(0)).await.unwrap(), [0; 0]);
    assert_eq!(read(release.size + 1, None).await.unwrap_err().code(), Code::InvalidData);
    let error = world.first.chunks(&sha256_hex(b"nothing"), 0, None).await.unwrap_err();
    assert_eq!(error.code(), Code::NotFound);
    assert_eq!(world.first.chunks("../../etc/passwd", 0, None).await.unwrap_err().code(), Code::InvalidData);
}
