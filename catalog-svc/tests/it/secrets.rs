//! The secrets that sign a hosted app's callbacks.

use std::time::Duration;

use platform::{
    AppError, Code, Principal, Random,
    sealing::{Sealer, SealingConfig},
};
use proto::{
    catalog as pb,
    events::{HostedEndpoint, purpose},
};
use sea_orm::{ConnectionTrait as _, Statement};
use wire::open2b::AppSecret;

use crate::{
    harness::{BUS_KEY, ROWS_KEY, START_MS, Vendor, World, over_both},
    packages::{INSTALLATION_URL, Package},
};

over_both! {
    a_secret_is_shown_once_and_sealed_at_rest
    a_rotated_secret_signs_on_until_its_overlap_ends
    a_lost_secret_is_replaced_at_once
    only_a_hosted_app_s_secret_is_rotated_and_only_by_the_operator
}

/// Hosts an app; its vendor and its secret.
async fn hosted(world: &World) -> (Vendor, String) {
    let vendor = world.first.vendor("acme").await;
    let release = world.first.host(&vendor, &Package::hosted("@acme/pos", "1.0.0")).await.unwrap();
    (vendor, release.app_secret.unwrap())
}

fn sealer(key: [u8; 32]) -> Sealer {
    Sealer::new(&SealingConfig::single(&key), Random::seeded(1)).unwrap()
}

/// The rows as they are, the oldest first.
async fn rows(world: &World) -> Vec<Vec<u8>> {
    let sql = "SELECT sealed_secret FROM app_secrets ORDER BY position";
    let query = Statement::from_string(world.first.db.backend(), sql);
    let rows = world.first.db.read().query_all_raw(query).await.unwrap();
    rows.into_iter().map(|row| row.try_get("", "sealed_secret").unwrap()).collect()
}

/// The secrets that were told at this revision, opened, with their ends.
async fn told(world: &World, vendor: &Vendor, revision: u32) -> Vec<(String, Option<i64>)> {
    let HostedEndpoint { installation_url, secrets, .. } = world.endpoint(vendor, revision).await;
    assert_eq!(installation_url, INSTALLATION_URL);
    let open = |sealed: &[u8]| sealer(BUS_KEY).open_text(purpose::APP_SECRET, sealed).unwrap();
    secrets.iter().map(|it| (open(&it.sealed_secret).expose().to_owned(), it.expires_at_ms)).collect()
}

async fn a_secret_is_shown_once_and_sealed_at_rest(world: World) {
    let (vendor, secret) = hosted(&world).await;
    assert_eq!(secret.len(), 43, "32 bytes in base64url without padding");
    assert_eq!(secret.parse::<AppSecret>().unwrap().expose(), secret);
    assert_eq!(told(&world, &vendor, 1).await, [(secret.clone(), None)]);

    let rows = rows(&world).await;
    assert_eq!(rows.len(), 1);
    assert!(!rows[0].windows(secret.len()).any(|part| part == secret.as_bytes()), "it lies open");
    assert_eq!(sealer(ROWS_KEY).open_text("app.secret", &rows[0]).unwrap().expose(), secret);
    assert!(sealer(BUS_KEY).open("app.secret", &rows[0]).is_err());
    let shown = world.first.release("@acme/pos", "1.0.0").await.unwrap();
    assert!(!format!("{shown:?}").contains(&secret));
}

async fn a_rotated_secret_signs_on_until_its_overlap_ends(world: World) {
    let (vendor, first) = hosted(&world).await;
    let second = world.first.rotate("@acme/pos", 3_600).await.unwrap();
    let ends = START_MS + 3_600_000;
    assert_eq!((second.marketplace_id.as_str(), second.previous_until_ms), ("@acme/pos", Some(ends)));
    assert_ne!(second.secret, first);
    assert_eq!(told(&world, &vendor, 2).await, [(first, Some(ends)), (second.secret.clone(), None)]);

    world.clock.advance(Duration::from_hours(1));
    let third = world.first.rotate("@acme/pos", 60).await.unwrap();
    let two = [(second.secret, Some(ends + 60_000)), (third.secret, None)];
    assert_eq!(told(&world, &vendor, 3).await, two, "what has ended is told no more");
    assert_eq!(rows(&world).await.len(), 2, "nor kept");
}

async fn a_lost_secret_is_replaced_at_once(world: World) {
    let (vendor, lost) = hosted(&world).await;
    let next = world.first.rotate("@acme/pos", 0).await.unwrap();
    assert_eq!(next.previous_until_ms, None);
    assert_ne!(next.secret, lost);
    assert_eq!(told(&world, &vendor, 2).await, [(next.secret, None)]);
    assert_eq!(rows(&world).await.len(), 1);
}

async fn only_a_hosted_app_s_secret_is_rotated_and_only_by_the_operator(world: World) {
    hosted(&world).await;
    let vendor = world.first.vendor("other").await;
    world.first.publish(&vendor, &Package::new("@other/tool", "1.0.0")).await;
    for (id, overlap, code, words) in [
        ("@other/tool", 60, Code::Conflict, "only a hosted app"),
        ("@acme/none", 60, Code::NotFound, "no app of this name"),
        ("pos", 60, Code::InvalidData, "@vendor/name"),
        ("@acme/pos", 31 * 86_400, Code::InvalidData, "shorter overlap"),
        ("@acme/pos", u64::MAX, Code::InvalidData, "shorter overlap"),
    ] {
        let error = world.first.rotate(id, overlap).await.unwrap_err();
        assert_eq!(error.code(), code, "{error}");
        assert!(error.message().contains(words), "{error}");
    }
    for who in [Principal::Vendor(vendor.id.clone()), Principal::InstanceAdmin("inst_1".into())] {
        let request = pb::RotateAppSecretRequest { marketplace_id: "@acme/pos".into(), overlap_seconds: 0 };
        let answer = world.first.admin().rotate_app_secret(world.first.by(&who, request)).await;
        assert_eq!(AppError::from(answer.unwrap_err()).code(), Code::NotAllowed);
    }
    assert_eq!(rows(&world).await.len(), 1, "nothing was rotated");
}
