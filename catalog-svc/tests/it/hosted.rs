//! Apps that run on their vendor's servers: a manifest and no bytes.

use futures::future::join_all;
use platform::{AppResult, Code};
use proto::{
    catalog as pb,
    events::{AppChanged, ReleaseChanged, subject},
};
use serde_json::{Value, json};
use wire::{
    keys::{SigningKey, VerifyingKey},
    manifest::{MAX_BYTES, Manifest},
    release::{ArtifactDigest, ReleaseSignature, sign_artifact, verify_statement, verify_vendor_signature},
};

use crate::{
    harness::{START_MS, Vendor, World, header, hosted_header, over_both, upload},
    packages::{INSTALLATION_URL, Package},
};

over_both! {
    a_hosted_release_is_its_signed_manifest
    a_hosted_release_is_announced_with_what_an_installation_needs
    the_same_manifest_again_is_the_same_release
    what_is_no_hosted_release_is_refused
    an_app_never_changes_its_kind
    imports_at_once_make_one_secret
    a_yank_moves_the_endpoint_back
    a_vendor_s_new_key_leaves_the_endpoint_as_it_is
}

fn app(version: &str) -> Package {
    Package::hosted("@acme/pos", version)
}

async fn a_hosted_release_is_its_signed_manifest(world: World) {
    let vendor = world.first.vendor("acme").await;
    let made = world.first.host(&vendor, &app("1.0.0").with("permissions", json!(["api:orders.read"]))).await;
    let made = made.unwrap();
    assert_eq!((made.kind.as_str(), made.sha256.as_str(), made.size), ("hosted", "", 0));
    assert_eq!(made.api, Some(pb::ApiRange { min_version: 1, max_version: 3 }));
    assert_eq!((made.published_at_ms, made.presigned_url.as_deref()), (START_MS, None));
    assert!(made.app_secret.is_some());

    let shown = world.first.release("@acme/pos", "1.0.0").await.unwrap();
    assert_eq!(shown, pb::Release { app_secret: None, ..made }, "the secret is shown once");
    let product = world.first.product("@acme/pos").await.unwrap();
    assert_eq!((product.latest.as_ref(), product.versions.as_slice()), (Some(&shown), &[shown.clone()][..]));
    vouched_for(&product);
    assert!(!world.artifacts().join("sha256").exists(), "there are no bytes to keep");
    let digest = ArtifactDigest::of(shown.manifest_json.as_bytes()).to_string();
    assert_eq!(world.first.chunks(&digest, 0, None).await.unwrap_err().code(), Code::NotFound);
}

/// As anybody checks it: both signatures vouch for the manifest that is shown.
fn vouched_for(product: &pb::ProductDetail) {
    let keys = |keys: &[pb::PublicKey]| -> Vec<VerifyingKey> {
        keys.iter().map(|key| key.value.parse().unwrap()).collect()
    };
    let release = product.latest.as_ref().unwrap();
    let manifest: Value = serde_json::from_str(&release.manifest_json).unwrap();
    let canonical = Manifest::try_from(manifest).unwrap().canonical();
    assert_eq!(release.manifest_json.as_bytes(), canonical, "it is shown as it is signed");
    let by_vendor = &release.vendor_signature.as_ref().unwrap().value;
    verify_vendor_signature(&keys(&product.vendor_keys), &canonical, by_vendor).unwrap();
    let ours = release.signature.clone().unwrap();
    let ours = ReleaseSignature { key_id: ours.key_id, value: ours.value };
    let (id, version) = (release.marketplace_id.parse().unwrap(), release.version.parse().unwrap());
    let digest = ArtifactDigest::of(&canonical);
    verify_statement(&keys(&product.marketplace_keys), &ours, &id, &version, &digest).unwrap();
}

async fn a_hosted_release_is_announced_with_what_an_installation_needs(world: World) {
    let vendor = world.first.vendor("acme").await;
    let made = world.first.host(&vendor, &app("1.0.0").with("permissions", json!(["api:orders.read"]))).await;
    let made = made.unwrap();
    let is_it = |it: &ReleaseChanged| it.release_id == made.release_id;
    let told = world.told(subject::RELEASE_PUBLISHED, "the release", is_it).await;
    assert_eq!((told.kind.as_str(), told.price_cents), ("hosted", 1_999));
    assert_eq!((told.api_min_version, told.api_max_version), (Some(1), Some(3)));
    assert_eq!((told.permissions, told.surface), (vec!["api:orders.read".to_owned()], made.surface));

    let plugin = world.first.publish(&vendor, &Package::new("@acme/tool", "1.0.0")).await;
    let is_plugin = |it: &ReleaseChanged| it.release_id == plugin.release_id;
    let plugin = world.told(subject::RELEASE_PUBLISHED, "the plugin", is_plugin).await;
    assert_eq!((plugin.kind.as_str(), plugin.api_min_version), ("plugin", None));
    let of_plugin = |it: &AppChanged| it.vendor_id == vendor.id && it.marketplace_id == "@acme/tool";
    assert_eq!(world.count_told(subject::APP_CHANGED, of_plugin), 0, "a plugin is called nowhere");
}

async fn the_same_manifest_again_is_the_same_release(world: World) {
    let vendor = world.first.vendor("acme").await;
    let once = world.first.host(&vendor, &app("1.0.0")).await.unwrap();
    world.later();
    let json = app("1.0.0").manifest();
    let spaced = [b"\n ", json.as_slice(), b"\n"].concat();
    let again = world.first.upload(upload(hosted_header(&vendor, &spaced), &spaced)).await.unwrap();
    assert_eq!(again, pb::Release { app_secret: None, ..once });
    let other = world.first.host(&vendor, &app("1.0.0").with("description", "Another")).await.unwrap_err();
    assert_eq!(other.code(), Code::Conflict);
    assert!(other.message().contains("publish a new version"), "{other}");
}

async fn what_is_no_hosted_release_is_refused(world: World) {
    let vendor = world.first.vendor("acme").await;
    let json = app("1.0.0").manifest();
    let by = |key: &SigningKey, bytes: &[u8]| pb::ImportHeader {
        signature: sign_artifact(key, bytes),
        ..hosted_header(&vendor, &json)
    };
    let stranger = by(&SigningKey::from_seed(&[77; 32]), &Manifest::from_json(&json).unwrap().canonical());
    let as_written = by(&vendor.key, &json);
    let plugin = Package::new("@acme/pos", "1.0.0");
    let zip_of_hosted = app("1.0.0").with("entry", "https://app.acme.example/").zip();
    let elsewhere = Package::hosted("@other/pos", "1.0.0").manifest();
    let bad_url = app("1.0.0").installed_at("ftp://secret-place/").manifest();
    let signed = |bytes: &[u8]| pb::ImportHeader { kind: "hosted".into(), ..header(&vendor, bytes) };
    let refused = [
        (stranger, json.clone(), "signature does not fit"),
        (as_written, json.clone(), "signature does not fit"),
        (hosted_header(&vendor, &plugin.manifest()), plugin.manifest(), "`installation_url`"),
        (header(&vendor, &zip_of_hosted), zip_of_hosted, "has no ZIP"),
        (signed(&plugin.zip()), plugin.zip(), "not valid JSON"),
        (hosted_header(&vendor, &elsewhere), elsewhere, "names another vendor"),
        (signed(&bad_url), bad_url, "`hosted.installation_url`"),
    ];
    for (header, bytes, reason) in refused {
        let error = world.first.upload(upload(header, &bytes)).await.unwrap_err();
        assert_eq!(error.code(), Code::InvalidData, "{reason}: {error}");
        assert!(error.message().contains(reason) && !error.message().contains("secret"), "{reason}: {error}");
    }
    let long = vec![b' '; MAX_BYTES + 1];
    let error = world.first.upload(upload(signed(&long), &long)).await.unwrap_err();
    assert_eq!(error.code(), Code::TooLarge);
    assert!(error.message().contains("manifest.json"), "{error}");
    assert_eq!(world.first.feed().await, [""; 0]);
}

async fn an_app_never_changes_its_kind(world: World) {
    let vendor = world.first.vendor("acme").await;
    world.first.host(&vendor, &app("1.0.0")).await.unwrap();
    world.first.publish(&vendor, &Package::new("@acme/tool", "1.0.0")).await;
    let zip = Package::new("@acme/tool", "1.1.0").zip();
    let as_static = pb::ImportHeader { kind: "static".into(), ..header(&vendor, &zip) };
    let changed = [
        world.first.import(&vendor, &Package::new("@acme/pos", "1.1.0").zip()).await,
        world.first.host(&vendor, &Package::hosted("@acme/tool", "1.1.0")).await,
        world.first.upload(upload(as_static, &zip)).await,
    ];
    for refused in changed {
        let error = refused.unwrap_err();
        assert_eq!(error.code(), Code::Conflict);
        assert!(error.message().contains("keep the kind"), "{error}");
    }
}

async fn imports_at_once_make_one_secret(world: World) {
    let vendor = world.first.vendor("acme").await;
    let second = world.replica().await;
    let versions: Vec<Package> = (0..8).map(|n| app(&format!("1.{n}.0"))).collect();
    let imports = (0..).zip(&versions).map(|(n, app)| {
        let replica = if n % 2 == 0 { &world.first } else { &second };
        replica.host(&vendor, app)
    });
    let answers: Vec<pb::Release> =
        join_all(imports).await.into_iter().collect::<AppResult<Vec<_>>>().unwrap();
    assert_eq!(answers.iter().filter(|release| release.app_secret.is_some()).count(), 1);
    second.stop().await;
}

async fn host(world: &World, vendor: &Vendor, version: &str, url: &str) {
    world.first.host(vendor, &app(version).installed_at(url)).await.unwrap();
}

async fn a_yank_moves_the_endpoint_back(world: World) {
    let vendor = world.first.vendor("acme").await;
    let endpoint = async |revision| world.endpoint(&vendor, revision).await.installation_url;
    host(&world, &vendor, "1.0.0", "https://a.example/1").await;
    assert_eq!(endpoint(1).await, "https://a.example/1");
    host(&world, &vendor, "2.0.0", "https://a.example/2").await;
    assert_eq!(endpoint(2).await, "https://a.example/2");
    host(&world, &vendor, "1.1.0", "https://a.example/old").await;
    host(&world, &vendor, "2.1.0", "https://a.example/2").await;
    world.first.yank("@acme/pos", "2.1.0", "broken").await.unwrap();
    world.first.yank("@acme/pos", "2.0.0", "so is this").await.unwrap();
    assert_eq!(endpoint(3).await, "https://a.example/old", "only what moves it is told");
    world.first.yank("@acme/pos", "1.0.0", "and this").await.unwrap();
    world.first.yank("@acme/pos", "1.1.0", "all of it").await.unwrap();
    assert_eq!(endpoint(4).await, "https://a.example/2", "removals are still told to the newest");
    let is_ours = |it: &AppChanged| it.vendor_id == vendor.id;
    assert_eq!(world.count_told(subject::APP_CHANGED, is_ours), 4);
}

async fn a_vendor_s_new_key_leaves_the_endpoint_as_it_is(world: World) {
    let vendor = world.first.vendor("acme").await;
    world.first.host(&vendor, &app("1.0.0")).await.unwrap();
    let public_key = SigningKey::from_seed(&[4; 32]).verifying_key().to_string();
    let request = pb::AddVendorKeyRequest { vendor_id: vendor.id.clone(), public_key };
    world.first.admin().add_vendor_key(world.first.operator(request)).await.unwrap();
    world.first.rotate("@acme/pos", 60).await.unwrap();
    world.endpoint(&vendor, 2).await;
    let unchanged = |it: &AppChanged| {
        let hosted = it.hosted.as_ref().filter(|_| it.vendor_id == vendor.id);
        hosted.is_some_and(|it| it.revision == 1 && it.installation_url == INSTALLATION_URL)
    };
    assert_eq!(world.count_told(subject::APP_CHANGED, unchanged), 2, "the first release and the key");
}
