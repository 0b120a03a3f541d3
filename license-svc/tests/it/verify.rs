//! Questions about licences: their codes, seats and tokens.

use std::collections::HashSet;

use platform::{Code, Principal};
use proto::{
    events::{LicenseChanged, ReleaseChanged, subject},
    license::{DeactivateRequest, DeactivateResponse, GetPublicKeysRequest, PublicKeys, VerifyRequest},
};
use wire::{
    instance::{SealingKey, SealingPublicKey, seal},
    keys::Jwks,
    license_token::{self, LicenseClaims, TOKEN_LIFETIME_SECS, instance_hash},
};

use crate::harness::{
    APP, Bought, DAY, ISSUER, Shop, World, answer, over_both, previous_token_key, question, token_key,
};

const OTHER_APP: &str = "@vendor/other";

over_both! {
    the_buyer_is_valid_and_sees_the_contracts_fields_only
    each_code_is_answered_where_it_applies
    a_release_after_the_year_of_updates_is_not_covered
    a_subscriptions_grace_is_told_and_ends
    a_typing_error_is_told_from_an_unknown_key
    racing_shops_never_take_more_seats_than_there_are
    only_a_shop_with_its_own_key_takes_a_seat
    a_question_that_holds_its_seat_writes_nothing
    an_instance_may_come_sealed_and_must_be_the_askers_own
    a_freed_seat_can_be_taken_by_another
    a_token_proves_the_answer_offline
    the_public_keys_hold_the_present_and_the_previous_one
}

async fn the_buyer_is_valid_and_sees_the_contracts_fields_only(world: World) {
    let shop = world.register("alpha").await;
    let bought = world.buy(&shop).await;
    let told = world.verify(&shop, &bought.key).await;
    assert!(told.valid && told.holds_seat && told.grace_until_ms.is_none());
    assert_eq!((told.code.as_str(), &told.instance_id), ("VALID", &shop.id));
    assert_eq!(told.checked_at_ms, world.clock.now_ms());
    let license = told.license.unwrap();
    assert_eq!((license.license_id, license.status.as_str()), (bought.license_id, "active"));
    assert_eq!((license.marketplace_id.as_str(), license.seats, license.seats_used), (APP, 1, 1));
    let hidden = [license.instance_id, license.order_id, license.version];
    assert!(hidden.iter().all(String::is_empty) && license.license_key.is_none() && license.reason.is_none());
}

async fn each_code_is_answered_where_it_applies(world: World) {
    let (shop, other) = (world.register("alpha").await, world.register("beta").await);
    let bought = world.buy(&shop).await;
    let unknown = world.verify(&shop, "CC-0000-0000-0000-0000-0000").await;
    assert_eq!((unknown.code.as_str(), unknown.valid, unknown.license), ("NOT_FOUND", false, None));

    let mismatch = VerifyRequest { marketplace_id: OTHER_APP.into(), ..question(&shop.id, &bought.key) };
    let mismatch = world.ask(&shop.reads(), mismatch).await.unwrap();
    assert_eq!(
        (mismatch.code.as_str(), mismatch.license, mismatch.holds_seat),
        ("PRODUCT_MISMATCH", None, false)
    );
    assert_eq!(claims(&world, &mismatch.token).await.sub, "", "nothing of the other app's licence is told");

    let full = world.verify(&other, &bought.key).await;
    assert_eq!((full.code.as_str(), full.valid, full.holds_seat), ("SEATS_EXHAUSTED", false, false));
    assert_eq!(full.license.unwrap().license_id, bought.license_id);
    for (status, code) in [("suspended", "SUSPENDED"), ("revoked", "REVOKED")] {
        let sql = format!("UPDATE licenses SET status = '{status}' WHERE id = $1");
        world.set(&sql, &bought.license_id).await;
        let told = world.verify(&shop, &bought.key).await;
        assert_eq!((told.code.as_str(), told.valid), (code, false));
        assert_eq!(told.license.unwrap().status, status);
    }
}

async fn publish(world: &World, version: &str) {
    let release = ReleaseChanged {
        marketplace_id: APP.into(),
        version: version.into(),
        published_at_ms: world.clock.now_ms(),
        ..ReleaseChanged::default()
    };
    world.publish(subject::RELEASE_PUBLISHED, &release).await;
}

async fn verify_version(world: &World, shop: &Shop, bought: &Bought, version: &str) -> String {
    let request = VerifyRequest { version: Some(version.into()), ..question(&shop.id, &bought.key) };
    world.ask(&shop.reads(), request).await.unwrap().code
}

async fn a_release_after_the_year_of_updates_is_not_covered(world: World) {
    let shop = world.register("alpha").await;
    let bought = world.buy(&shop).await;
    publish(&world, "1.0.0").await;
    world.until_count("releases", 1).await;
    world.clock.advance(DAY * 365);
    publish(&world, "1.9.0").await;
    world.until_count("releases", 2).await;
    world.clock.advance(DAY);
    publish(&world, "2.0.0").await;
    world.until_count("releases", 3).await;
    for (version, code) in [("1.0.0", "VALID"), ("1.9.0", "VALID"), ("2.0.0", "VERSION_NOT_COVERED")] {
        assert_eq!(verify_version(&world, &shop, &bought, version).await, code, "{version}");
    }
    assert_eq!(
        verify_version(&world, &shop, &bought, "3.0.0").await,
        "VALID",
        "an unknown release is covered"
    );
    assert_eq!(world.verify(&shop, &bought.key).await.code, "VALID", "no version, no question of it");
    let nonsense = VerifyRequest { version: Some("v2".into()), ..question(&shop.id, &bought.key) };
    assert_eq!(world.ask(&shop.reads(), nonsense).await.unwrap_err().code(), Code::InvalidData);

    world
        .publish(subject::RELEASE_PUBLISHED, &ReleaseChanged { version: "1".into(), ..Default::default() })
        .await;
    assert!(world.until_dead(1).await[0].reason.contains("published_at_ms"));
}

async fn a_subscriptions_grace_is_told_and_ends(world: World) {
    let shop = world.register("alpha").await;
    let bought = world.buy(&shop).await;
    let end = world.clock.now_ms();
    world.set(&format!("UPDATE licenses SET expires_at_ms = {end} WHERE id = $1"), &bought.license_id).await;
    let told = world.verify(&shop, &bought.key).await;
    let week = 7 * 24 * 60 * 60 * 1000;
    assert_eq!((told.code.as_str(), told.grace_until_ms), ("VALID", Some(end + week)));
    world.clock.advance(DAY * 7);
    let told = world.verify(&shop, &bought.key).await;
    assert_eq!((told.code.as_str(), told.grace_until_ms), ("EXPIRED", None));
}

async fn a_typing_error_is_told_from_an_unknown_key(world: World) {
    let shop = world.register("alpha").await;
    let bought = world.buy(&shop).await;
    let typed = bought.key.to_lowercase().replace('-', " ");
    assert_eq!(world.verify(&shop, &typed).await.code, "VALID", "people type it their way");
    let last = if bought.key.ends_with('0') { "1" } else { "0" };
    let wrong = format!("{}{last}", &bought.key[..bought.key.len() - 1]);
    for (key, what) in [(wrong.as_str(), "typing error"), ("hunter2", "looks like")] {
        let error = world.ask(&shop.reads(), question(&shop.id, key)).await.unwrap_err();
        assert_eq!(error.code(), Code::InvalidData);
        assert!(error.message().contains(what) && !error.message().contains(key), "{error:?}");
    }
}

async fn racing_shops_never_take_more_seats_than_there_are(world: World) {
    let buyer = world.register("buyer").await;
    let bought = world.buy(&buyer).await;
    world.set("UPDATE licenses SET seats = 11 WHERE id = $1", &bought.license_id).await;
    let asks = (0..50).map(|_| {
        let shop = Principal::Instance(world.ids.generate("inst"));
        let request = question(shop.instance_id().unwrap(), &bought.key);
        let (mut client, request) = (world.licenses(), world.by(&shop, request));
        tokio::spawn(async move { answer(client.verify(request).await).unwrap() })
    });
    let mut seated = HashSet::new();
    for ask in asks.collect::<Vec<_>>() {
        let told = ask.await.unwrap();
        assert_eq!(told.code, if told.holds_seat { "VALID" } else { "SEATS_EXHAUSTED" });
        assert!(told.license.unwrap().seats_used <= 11);
        if told.holds_seat {
            seated.insert(told.instance_id);
        }
    }
    assert_eq!((seated.len(), world.count("seats").await), (10, 11), "the buyer holds the eleventh");
}

async fn only_a_shop_with_its_own_key_takes_a_seat(world: World) {
    let (buyer, other) = (world.register("alpha").await, world.register("beta").await);
    let bought = world.buy(&buyer).await;
    world.set("UPDATE licenses SET seats = 2 WHERE id = $1", &bought.license_id).await;
    for principal in [Principal::Anonymous, Principal::Shared, Principal::Operator] {
        let told = world.ask(&principal, question(&other.id, &bought.key)).await.unwrap();
        assert_eq!((told.code.as_str(), told.holds_seat), ("VALID", false), "{principal:?}");
    }
    let only_asks = VerifyRequest { may_take_seat: false, ..question(&other.id, &bought.key) };
    assert!(!world.ask(&other.reads(), only_asks).await.unwrap().holds_seat);
    assert_eq!(world.count("seats").await, 1);

    assert!(world.verify(&other, &bought.key).await.holds_seat);
    let told = world.ask(&Principal::Anonymous, question(&other.id, &bought.key)).await.unwrap();
    assert!(told.holds_seat, "what it holds it holds, whoever asks");
    let seats = |event: &LicenseChanged| event.license_id == bought.license_id;
    world.told(subject::LICENSE_CHANGED, "the seat", seats).await;
}

async fn a_question_that_holds_its_seat_writes_nothing(world: World) {
    let shop = world.register("alpha").await;
    let bought = world.buy(&shop).await;
    let before = world.count("outbox").await;
    for _ in 0..5 {
        assert_eq!(world.verify(&shop, &bought.key).await.code, "VALID");
    }
    assert_eq!((world.count("outbox").await, world.count("seats").await), (before, 1));
}

async fn public_keys(world: &World) -> PublicKeys {
    let request = world.by(&Principal::Anonymous, GetPublicKeysRequest {});
    answer(world.licenses().get_public_keys(request).await).unwrap()
}

async fn an_instance_may_come_sealed_and_must_be_the_askers_own(world: World) {
    let (shop, other) = (world.register("alpha").await, world.register("beta").await);
    let bought = world.buy(&shop).await;
    let to: SealingPublicKey = public_keys(&world).await.sealing_key.parse().unwrap();
    let sealed = seal(&to, &shop.id, [9; 32]).unwrap();
    let told = world.ask(&shop.reads(), question(&sealed, &bought.key)).await.unwrap();
    assert_eq!((told.code.as_str(), told.instance_id), ("VALID", shop.id.clone()));

    let refused = world.ask(&other.reads(), question(&sealed, &bought.key)).await.unwrap_err();
    assert_eq!(refused.code(), Code::NotAllowed);
    let foreign = seal(&SealingKey::from_seed(&[99; 32]).public_key(), &shop.id, [9; 32]).unwrap();
    for bad in [foreign.as_str(), "enc_", "alpha", ""] {
        let error = world.ask(&shop.reads(), question(bad, &bought.key)).await.unwrap_err();
        assert_eq!(error.code(), Code::InvalidData, "{bad}");
    }
    let nowhere = VerifyRequest { marketplace_id: "app".into(), ..question(&shop.id, &bought.key) };
    assert_eq!(world.ask(&shop.reads(), nowhere).await.unwrap_err().code(), Code::InvalidData);
}

async fn deactivate(world: &World, shop: &Shop, bought: &Bought) -> DeactivateResponse {
    let request = world.by(&shop.manages(), deactivation(shop, bought));
    answer(world.licenses().deactivate(request).await).unwrap()
}

fn deactivation(shop: &Shop, bought: &Bought) -> DeactivateRequest {
    DeactivateRequest {
        license_key: bought.key.clone(),
        marketplace_id: APP.into(),
        instance_id: shop.id.clone(),
    }
}

async fn a_freed_seat_can_be_taken_by_another(world: World) {
    let (shop, other) = (world.register("alpha").await, world.register("beta").await);
    let bought = world.buy(&shop).await;
    let freed = deactivate(&world, &shop, &bought).await;
    assert_eq!((freed.freed, freed.seats, freed.seats_used), (true, 1, 0));
    let again = deactivate(&world, &shop, &bought).await;
    assert_eq!((again.freed, again.seats_used), (false, 0), "it is safe to repeat");
    assert!(world.verify(&other, &bought.key).await.holds_seat);
    assert_eq!(world.verify(&shop, &bought.key).await.code, "SEATS_EXHAUSTED");

    let good = deactivation(&shop, &bought);
    let refused = [
        (shop.reads(), good.clone(), Code::NotAllowed),
        (other.manages(), good.clone(), Code::NotAllowed),
        (
            shop.manages(),
            DeactivateRequest { marketplace_id: OTHER_APP.into(), ..good.clone() },
            Code::NotFound,
        ),
        (shop.manages(), DeactivateRequest { license_key: "CC".into(), ..good }, Code::InvalidData),
    ];
    for (principal, request, code) in refused {
        let error = answer(world.licenses().deactivate(world.by(&principal, request)).await).unwrap_err();
        assert_eq!(error.code(), code);
    }
}

async fn claims(world: &World, token: &str) -> LicenseClaims {
    let jwks: Jwks = serde_json::from_str(&public_keys(world).await.jwks_json).unwrap();
    license_token::verify(&jwks, token, ISSUER, world.clock.now_secs()).unwrap()
}

async fn a_token_proves_the_answer_offline(world: World) {
    let shop = world.register("alpha").await;
    let bought = world.buy(&shop).await;
    let request = VerifyRequest { nonce: Some("n".repeat(128)), ..question(&shop.id, &bought.key) };
    let told = world.ask(&shop.reads(), request.clone()).await.unwrap();
    assert_eq!(told.nonce, request.nonce);
    let now = world.clock.now_secs();
    let expected = LicenseClaims {
        iss: ISSUER.into(),
        sub: bought.license_id.clone(),
        app: APP.into(),
        ins: instance_hash(&shop.id),
        st: "VALID".into(),
        iat: now,
        exp: now + TOKEN_LIFETIME_SECS,
        nonce: request.nonce.clone(),
    };
    assert_eq!(claims(&world, &told.token).await, expected);
    let long = VerifyRequest { nonce: Some("n".repeat(129)), ..request };
    assert_eq!(world.ask(&shop.reads(), long).await.unwrap_err().code(), Code::InvalidData);
    let unknown = world.verify(&shop, "CC-0000-0000-0000-0000-0000").await;
    let refusal = claims(&world, &unknown.token).await;
    assert_eq!((refusal.st.as_str(), refusal.sub.as_str()), ("NOT_FOUND", ""), "a refusal is proven as well");
}

async fn the_public_keys_hold_the_present_and_the_previous_one(world: World) {
    let keys = public_keys(&world).await;
    assert_eq!(keys.issuer, ISSUER);
    let jwks: Jwks = serde_json::from_str(&keys.jwks_json).unwrap();
    let ids: Vec<_> = jwks.keys.iter().map(|key| key.kid.clone()).collect();
    assert_eq!(ids, [token_key().key_id(), previous_token_key().key_id()]);
    assert_eq!(keys.sealing_key, SealingKey::from_seed(&[3; 32]).public_key().to_string());
}
