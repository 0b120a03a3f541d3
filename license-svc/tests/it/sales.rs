//! From a paid order to a licence.

use std::collections::HashSet;

use platform::{Code, Principal};
use proto::{
    events::{LicenseChanged, LicenseIssued, OrderPaid, OrderSnapshot, purpose, subject},
    license::{FindLiveLicenseRequest, ListInstanceLicensesRequest, ListLicensesRequest},
};

use crate::harness::{APP, EMAIL, START_MS, World, answer, over_both};

over_both! {
    a_paid_order_becomes_one_licence_and_is_told
    the_same_order_again_and_again_and_at_once_is_one_licence
    a_sale_to_an_instance_that_is_not_registered_is_not_lost
    what_can_never_become_a_licence_is_kept_with_its_reason
    the_buyer_finds_its_keys_again
    what_is_stored_gives_no_secret_away
    a_live_licence_is_found_before_it_is_bought_twice
}

async fn a_paid_order_becomes_one_licence_and_is_told(world: World) {
    let shop = world.register("alpha").await;
    let order = world.order(&shop.id);
    world.pay(order.clone()).await;
    let issued = world.issued(&order.order_id).await;
    let email = world.bus_sealer.open_text(purpose::CUSTOMER_EMAIL, &issued.sealed_purchased_by).unwrap();
    let key = world.bus_sealer.open_text(purpose::LICENSE_KEY, &issued.sealed_license_key).unwrap();
    assert_eq!(email.expose(), EMAIL);
    assert!(key.parse::<wire::license_key::LicenseKey>().is_ok());
    assert_eq!(
        (issued.instance_id, issued.marketplace_id.as_str(), issued.version.as_str()),
        (shop.id.clone(), APP, "1.0.0")
    );
    let of_license = |event: &LicenseChanged| event.license_id == issued.license_id;
    let changed: LicenseChanged = world.told(subject::LICENSE_CHANGED, "the change", of_license).await;
    assert_eq!((changed.status.as_str(), changed.instance_id), ("active", shop.id.clone()));
    assert!(
        changed.act.is_none() && changed.sealed_license_key.is_empty(),
        "a shop is told by license_issued"
    );

    let listed =
        list(&world, ListLicensesRequest { order_id: Some(order.order_id), ..Default::default() }).await;
    let [license] = &listed[..] else { panic!("one licence, not {}", listed.len()) };
    assert_eq!((license.seats, license.seats_used, license.issued_at_ms), (1, 1, START_MS));
    assert_eq!((license.expires_at_ms, license.instance_id.as_str()), (None, shop.id.as_str()));
    let year = 365 * 24 * 60 * 60 * 1000;
    assert_eq!(license.updates_until_ms, Some(START_MS + year));
    assert_eq!(license.license_key, None, "an operator sees no key");
    world.stop().await;
}

async fn list(world: &World, request: ListLicensesRequest) -> Vec<proto::license::License> {
    answer(world.licenses().list_licenses(world.operator(request)).await).unwrap().licenses
}

async fn the_same_order_again_and_again_and_at_once_is_one_licence(world: World) {
    let shop = world.register("alpha").await;
    let order = world.order(&shop.id);
    let again = (0..40_u32).map(|at| {
        // Newer and older revisions, under ids of their own: Stripe repeats itself, and so may payments-svc.
        world.pay(OrderSnapshot { revision: at % 5, ..order.clone() })
    });
    for pay in again {
        pay.await;
    }
    world.until_count("inbox", 40).await;
    assert_eq!((world.count("licenses").await, world.count("seats").await), (1, 1));
    world.issued(&order.order_id).await;
    assert_eq!(world.announced::<LicenseIssued>(subject::LICENSE_ISSUED).len(), 1);
    assert_eq!(world.bus.dead_letters(10).await.unwrap(), []);
}

async fn a_sale_to_an_instance_that_is_not_registered_is_not_lost(world: World) {
    let order = world.order(&world.ids.generate("inst"));
    world.pay(order.clone()).await;
    let issued = world.issued(&order.order_id).await;
    assert_eq!(issued.instance_id, order.instance_id);
    assert_eq!(world.count("licenses").await, 1);
}

async fn what_can_never_become_a_licence_is_kept_with_its_reason(world: World) {
    let shop = world.register("alpha").await;
    let order = world.order(&shop.id);
    world.publish(subject::ORDER_PAID, &OrderPaid { order: None }).await;
    world.publish(subject::ORDER_PAID, &b"hunter2".to_vec()).await;
    let bad = [
        OrderSnapshot { order_id: "hunter2".into(), ..order.clone() },
        OrderSnapshot { instance_id: "hunter2".into(), ..order.clone() },
        OrderSnapshot { marketplace_id: "hunter2".into(), ..order.clone() },
        OrderSnapshot { version: "hunter2".into(), ..order.clone() },
        OrderSnapshot { state: "hunter2".into(), ..order },
    ];
    for order in bad {
        world.pay(order).await;
    }
    let dead = world.until_dead(7).await;
    let reasons: HashSet<_> = dead.iter().map(|letter| letter.reason.clone()).collect();
    assert_eq!((dead.len(), reasons.len()), (7, 7), "{reasons:?}");
    assert!(reasons.iter().all(|reason| !reason.contains("hunter2")), "{reasons:?}");
    assert_eq!(world.count("licenses").await, 0);
}

async fn the_buyer_finds_its_keys_again(world: World) {
    let (shop, other) = (world.register("alpha").await, world.register("beta").await);
    let bought = world.buy(&shop).await;
    world.buy(&other).await;
    let request = ListInstanceLicensesRequest::default();
    let own = world.licenses().list_instance_licenses(world.by(&shop.manages(), request)).await;
    let own = answer(own).unwrap();
    assert_eq!((own.count, own.licenses.len()), (1, 1));
    assert_eq!(own.licenses[0].license_key.as_deref(), Some(bought.key.as_str()));
    for principal in [shop.reads(), Principal::Operator, Principal::Anonymous] {
        let refused = world.licenses().list_instance_licenses(world.by(&principal, request)).await;
        assert_eq!(answer(refused).unwrap_err().code(), Code::NotAllowed, "{principal:?}");
    }
}

async fn what_is_stored_gives_no_secret_away(world: World) {
    let shop = world.register("alpha").await;
    let bought = world.buy(&shop).await;
    let stored = world.stored_bytes().await;
    assert!(stored.contains(&hex::encode(&bought.license_id)), "what was announced is among it");
    for secret in [&bought.key, &shop.secret_key, &shop.webhook_secret, &EMAIL.to_owned()] {
        assert!(!stored.contains(&hex::encode(secret)));
    }
    let plain_hash = platform::secret::hash(&bought.key);
    assert!(!stored.contains(&hex::encode(plain_hash)), "the hash of a licence key is keyed");
    assert!(stored.contains(&hex::encode(platform::secret::hash(&shop.secret_key))));
}

async fn a_live_licence_is_found_before_it_is_bought_twice(world: World) {
    let (shop, other) = (world.register("alpha").await, world.register("beta").await);
    let find = async |principal: Principal, instance_id: &str, marketplace_id: &str| {
        let (instance_id, marketplace_id) = (instance_id.to_owned(), marketplace_id.to_owned());
        let request = FindLiveLicenseRequest { marketplace_id, instance_id };
        answer(world.licenses().find_live_license(world.by(&principal, request)).await)
    };
    assert_eq!(find(shop.reads(), &shop.id, APP).await.unwrap().license_id, None);
    let bought = world.buy(&shop).await;
    let found = find(Principal::Shared, &shop.id, APP).await.unwrap();
    assert_eq!((found.license_id, found.instance_id), (Some(bought.license_id.clone()), shop.id.clone()));
    let orders = found.order_ids;
    assert_eq!(orders.len(), 1);
    let other_app = find(shop.reads(), &shop.id, "@vendor/other").await.unwrap();
    assert_eq!((other_app.license_id, other_app.order_ids), (None, vec![]));
    assert!(find(other.reads(), &other.id, APP).await.unwrap().order_ids.is_empty());

    let refused = [
        (other.reads(), shop.id.as_str(), APP, Code::NotAllowed),
        (Principal::Anonymous, &shop.id, APP, Code::NotAllowed),
        (Principal::Shared, "inst_01JAY2M3N4P5Q6R7S8T9V0W1X2", APP, Code::NotFound),
        (Principal::Shared, &shop.id, "no-app", Code::InvalidData),
        (Principal::Shared, "alpha", APP, Code::InvalidData),
    ];
    for (principal, instance_id, app, code) in refused {
        assert_eq!(find(principal, instance_id, app).await.unwrap_err().code(), code, "{app}");
    }
    world.set("UPDATE licenses SET status = 'revoked' WHERE id = $1", &bought.license_id).await;
    let revoked = find(shop.reads(), &shop.id, APP).await.unwrap();
    assert_eq!((revoked.license_id, revoked.order_ids), (None, orders), "its sale is complete all the same");
    world.set("UPDATE instances SET disabled = true WHERE id = $1", &shop.id).await;
    assert_eq!(find(Principal::Shared, &shop.id, APP).await.unwrap_err().code(), Code::NotAllowed);
}
