use platform::{AppError, Code, Principal, secret::hash};
use proto::{
    catalog as pb,
    events::{AppChanged, subject},
};
use sea_orm::{ConnectionTrait as _, Statement};
use wire::{keys::SigningKey, release::sign_artifact};

use crate::{
    harness::{Vendor, World, answer, over_both, upload},
    packages::Package,
};

over_both! {
    a_vendor_is_registered_with_a_key_that_is_shown_once
    a_vendor_that_cannot_be_is_refused
    a_rotated_key_keeps_verifying_and_the_new_one_is_shown_at_once
    only_the_operator_may_write
    a_vendor_is_known_by_its_key
}

fn request(name: &str, keys: Vec<String>) -> pb::CreateVendorRequest {
    pb::CreateVendorRequest { name: name.into(), display_name: "Acme Ltd".into(), public_keys: keys }
}

fn public(seed: u8) -> String {
    SigningKey::from_seed(&[seed; 32]).verifying_key().to_string()
}

async fn a_vendor_is_registered_with_a_key_that_is_shown_once(world: World) {
    let replica = &world.first;
    let made =
        answer(replica.admin().create_vendor(replica.operator(request("acme", vec![public(1)]))).await)
            .unwrap();
    let vendor = made.vendor.unwrap();
    assert!(vendor.vendor_id.starts_with("vnd_") && made.secret_key.starts_with("vk_"));
    assert_eq!(vendor.public_keys[0].key_id, SigningKey::from_seed(&[1; 32]).key_id());

    let sql = "SELECT secret_hash FROM vendors WHERE id = $1";
    let query = Statement::from_sql_and_values(replica.db.backend(), sql, [vendor.vendor_id.clone().into()]);
    let row = replica.db.read().query_one_raw(query).await.unwrap().unwrap();
    let stored: Vec<u8> = row.try_get("", "secret_hash").unwrap();
    assert_eq!(stored, hash(&made.secret_key));

    let listed = replica.admin().list_vendors(replica.operator(pb::ListVendorsRequest::default())).await;
    let listed = answer(listed).unwrap();
    assert_eq!((listed.count, listed.vendors), (1, vec![vendor]));
}

async fn a_vendor_that_cannot_be_is_refused(world: World) {
    let replica = &world.first;
    let create = async |request| answer(replica.admin().create_vendor(replica.operator(request)).await);
    create(request("acme", vec![public(1)])).await.unwrap();
    let taken = create(request("acme", vec![public(2)])).await.unwrap_err();
    assert_eq!(taken.code(), Code::Conflict);
    assert!(taken.message().contains("another name"), "{taken}");

    let bad = [
        (request("Acme", vec![public(1)]), "lower-case"),
        (request("a/b", vec![public(1)]), "lower-case"),
        (request("other", vec![]), "at least one public key"),
        (request("other", vec!["AAAA".into()]), "32 bytes"),
        (
            pb::CreateVendorRequest { display_name: " ".into(), ..request("other", vec![public(1)]) },
            "display name",
        ),
    ];
    for (request, right) in bad {
        let error = create(request).await.unwrap_err();
        assert_eq!(error.code(), Code::InvalidData);
        assert!(error.message().contains(right), "{error}");
    }
    let many = pb::ListVendorsRequest { limit: 101, offset: 0 };
    let error = answer(replica.admin().list_vendors(replica.operator(many)).await).unwrap_err();
    assert_eq!(error.code(), Code::InvalidData);
}

async fn a_rotated_key_keeps_verifying_and_the_new_one_is_shown_at_once(world: World) {
    let replica = &world.first;
    let vendor = replica.vendor("acme").await;
    replica.publish(&vendor, &Package::new("@acme/tool", "1.0.0")).await;
    let add = async |vendor_id: &str, public_key: String| {
        let request = pb::AddVendorKeyRequest { vendor_id: vendor_id.to_owned(), public_key };
        answer(replica.admin().add_vendor_key(replica.operator(request)).await)
    };
    for _ in 0..2 {
        assert_eq!(add(&vendor.id, public(4)).await.unwrap().public_keys.len(), 2, "adding it twice is once");
    }
    assert_eq!(replica.product("@acme/tool").await.unwrap().vendor_keys.len(), 2);
    let is_ours = |event: &AppChanged| event.vendor_id == vendor.id;
    let changed = world.told(subject::APP_CHANGED, "the changed app", is_ours).await;
    assert_eq!(changed.marketplace_id, "@acme/tool");

    for (seed, version) in [(9, "1.1.0"), (4, "1.2.0")] {
        let signer = Vendor { key: SigningKey::from_seed(&[seed; 32]), ..vendor.clone() };
        let release = replica.publish(&signer, &Package::new("@acme/tool", version)).await;
        assert_eq!(release.vendor_signature.unwrap().key_id, signer.key.key_id());
    }
    assert_eq!(add("vnd_none", public(4)).await.unwrap_err().code(), Code::NotFound);
    assert_eq!(add(&vendor.id, "?".into()).await.unwrap_err().code(), Code::InvalidData);
    assert_eq!(world.count_told(subject::APP_CHANGED, is_ours), 1);
}

async fn only_the_operator_may_write(world: World) {
    let replica = &world.first;
    let vendor = replica.vendor("acme").await;
    let zip = Package::new("@acme/tool", "1.0.0").zip();
    for who in [
        Principal::Anonymous,
        Principal::InstanceAdmin("inst_1".into()),
        Principal::Vendor(vendor.id.clone()),
    ] {
        let yank = pb::YankReleaseRequest::default();
        let key = pb::AddVendorKeyRequest::default();
        let header =
            pb::ImportHeader { signature: sign_artifact(&vendor.key, &zip), ..pb::ImportHeader::default() };
        let parts =
            upload(header, &zip).into_iter().map(|part| pb::ImportReleaseRequest { part: Some(part) });
        let parts = tokio_stream::iter(parts.collect::<Vec<_>>());
        let mut admin = replica.admin();
        let refused = [
            admin.create_vendor(replica.by(&who, request("other", vec![public(1)]))).await.map(drop),
            admin.list_vendors(replica.by(&who, pb::ListVendorsRequest::default())).await.map(drop),
            admin.add_vendor_key(replica.by(&who, key)).await.map(drop),
            admin.import_release(replica.by(&who, parts)).await.map(drop),
            admin.yank_release(replica.by(&who, yank)).await.map(drop),
        ];
        for answer in refused {
            assert_eq!(AppError::from(answer.unwrap_err()).code(), Code::NotAllowed);
        }
    }
}

async fn a_vendor_is_known_by_its_key(world: World) {
    let replica = &world.first;
    let made =
        answer(replica.admin().create_vendor(replica.operator(request("acme", vec![public(1)]))).await)
            .unwrap();
    replica.vendor("other").await;
    let resolve = async |key_hash: Vec<u8>| {
        let request = replica.by(&Principal::Anonymous, pb::ResolveVendorKeyRequest { key_hash });
        answer(replica.catalog().resolve_vendor_key(request).await)
    };
    assert_eq!(Some(resolve(hash(&made.secret_key).into()).await.unwrap()), made.vendor);
    for unknown in [hash("vk_none"), hash(&made.secret_key.to_uppercase())] {
        assert_eq!(resolve(unknown.into()).await.unwrap_err().code(), Code::NotFound);
    }
    for no_hash in [Vec::new(), made.secret_key.into_bytes()] {
        assert_eq!(resolve(no_hash).await.unwrap_err().code(), Code::InvalidData);
    }
}
