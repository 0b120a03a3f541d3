use platform::{AppError, Code};
use proto::catalog::{ImportHeader, import_release_request::Part};
use serde_json::json;
use wire::{keys::SigningKey, release::sign_artifact};

use crate::{
    harness::{MAX_PACKAGE, World, header, over_both, upload},
    packages::{Package, renamed},
};

over_both! {
    a_hostile_package_is_refused_with_its_reason_and_leaves_nothing
    a_signature_that_does_not_fit_is_refused
    an_upload_that_is_none_is_refused
}

fn package() -> Package {
    Package::new("@acme/tool", "1.0.0")
}

async fn a_hostile_package_is_refused_with_its_reason_and_leaves_nothing(world: World) {
    let vendor = world.first.vendor("acme").await;
    let escaping = |to| renamed(package().file("extra12345", "x").zip(), "extra12345", to);
    let hostile = [
        (escaping("../../../x"), "unsafe path"),
        (escaping("/etc/passw"), "unsafe path"),
        (escaping("C:\\temp\\xy"), "unsafe path"),
        (package().zip_with_link(), "link or special file"),
        (package().file("bomb", vec![0; 20_000_000]).zip(), "inflates too much"),
        (package().zip_without_manifest(), "no manifest.json at its root"),
        (package().file("INDEX.js", "x").zip(), "differing only in case"),
        (b"PK but no ZIP".to_vec(), "no readable ZIP"),
        (package().with("version", "one").with("type", "toy").zip(), "`version`"),
        (package().with("entry", "missing.js").zip(), "names no file in the ZIP"),
        (package().with("price_eur", -1).zip(), "`price_eur`"),
        (package().with("permissions", json!(["Everything!"])).zip(), "`permissions[0]`"),
        (package().with("marketplace_id", "tool").zip(), "@vendor/name"),
        (Package::new("@other/tool", "1.0.0").zip(), "names another vendor"),
        (Package::new("@acme-2/tool", "1.0.0").zip(), "names another vendor"),
    ];
    for (zip, reason) in hostile {
        let error = world.first.import(&vendor, &zip).await.unwrap_err();
        assert_eq!(error.code(), Code::InvalidData, "{reason}: {error}");
        assert!(error.message().contains(reason), "{reason}: {error}");
    }
    assert_eq!(world.first.feed().await, [""; 0]);
    assert!(!world.artifacts().join("sha256").exists(), "no byte of it is kept");
}

async fn a_signature_that_does_not_fit_is_refused(world: World) {
    let vendor = world.first.vendor("acme").await;
    let zip = package().zip();
    let with = |signature: String| upload(ImportHeader { signature, ..header(&vendor, &zip) }, &zip);
    let stranger = sign_artifact(&SigningKey::from_seed(&[77; 32]), &zip);
    let other_bytes = sign_artifact(&vendor.key, b"other bytes");
    for signature in [stranger, other_bytes] {
        let error = world.first.upload(with(signature)).await.unwrap_err();
        assert_eq!(error.code(), Code::InvalidData);
        assert!(error.message().contains("signature does not fit"), "{error}");
    }
    for signature in ["", "%%%", "AAAA"] {
        let error = world.first.upload(with(signature.into())).await.unwrap_err();
        assert!(error.message().contains("base64 of 64 bytes"), "{error}");
    }
    let nobody = ImportHeader { vendor_id: "vnd_none".into(), ..header(&vendor, &zip) };
    assert_eq!(world.first.upload(upload(nobody, &zip)).await.unwrap_err().code(), Code::NotFound);
}

async fn an_upload_that_is_none_is_refused(world: World) {
    let vendor = world.first.vendor("acme").await;
    let zip = package().zip();
    let header = header(&vendor, &zip);
    let refused = async |parts: Vec<Part>| -> AppError { world.first.upload(parts).await.unwrap_err() };

    let large = vec![0; usize::try_from(MAX_PACKAGE).unwrap() + 1];
    let error = refused(upload(header.clone(), &large)).await;
    assert_eq!(error.code(), Code::TooLarge);
    assert!(error.message().contains("2097152"), "{error}");

    let error = refused(vec![Part::Chunk(zip.clone())]).await;
    assert!(error.message().contains("begins with its header"), "{error}");
    assert!(refused(vec![]).await.message().contains("begins with its header"));
    let error = refused(vec![Part::Header(header.clone()), Part::Header(header.clone())]).await;
    assert!(error.message().contains("one header"), "{error}");
    let theme = ImportHeader { kind: "theme".into(), ..header };
    let error = refused(upload(theme, &zip)).await;
    assert!(error.message().contains("`plugin`, `static` or `hosted`"), "{error}");
}
