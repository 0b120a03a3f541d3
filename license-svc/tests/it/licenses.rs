//! What an operator does to licences.

use platform::{AppError, Code, Principal};
use proto::{
    events::{LicenseChanged, purpose, subject},
    license::{ChangeLicenseRequest, GetLicenseRequest, License, ListLicensesRequest},
};

use crate::harness::{APP, DAY, World, answer, over_both};

over_both! {
    an_operator_suspends_reinstates_and_revokes
    what_the_state_does_not_allow_is_a_conflict
    of_two_acts_at_once_each_sees_the_other
    licences_are_listed_by_what_is_asked
    only_the_operator_may
}

#[derive(Debug, Clone, Copy)]
enum Act {
    Suspend,
    Reinstate,
    Revoke,
}

async fn act(world: &World, principal: &Principal, act: Act, license_id: &str) -> Result<License, AppError> {
    let request = ChangeLicenseRequest { license_id: license_id.to_owned(), reason: "dispute".into() };
    let (mut client, request) = (world.licenses(), world.by(principal, request));
    answer(match act {
        Act::Suspend => client.suspend_license(request).await,
        Act::Reinstate => client.reinstate_license(request).await,
        Act::Revoke => client.revoke_license(request).await,
    })
}

async fn an_operator_suspends_reinstates_and_revokes(world: World) {
    let shop = world.register("alpha").await;
    let bought = world.buy(&shop).await;
    let story = [
        (Act::Suspend, "suspended", "suspended", "SUSPENDED"),
        (Act::Reinstate, "reinstated", "active", "VALID"),
        (Act::Revoke, "revoked", "revoked", "REVOKED"),
    ];
    for (what, done, status, code) in story {
        let license = act(&world, &Principal::Operator, what, &bought.license_id).await.unwrap();
        assert_eq!((license.status.as_str(), license.reason.as_deref()), (status, Some("dispute")));
        assert_eq!(world.verify(&shop, &bought.key).await.code, code);
        let told = |event: &LicenseChanged| event.act.as_deref() == Some(done);
        let event: LicenseChanged = world.told(subject::LICENSE_CHANGED, "the change", told).await;
        assert_eq!((event.license_id, event.instance_id), (bought.license_id.clone(), shop.id.clone()));
        assert_eq!((event.marketplace_id.as_str(), event.reason.as_deref()), (APP, Some("dispute")));
        let key = world.bus_sealer.open_text(purpose::LICENSE_KEY, &event.sealed_license_key).unwrap();
        assert_eq!((event.status.as_str(), key.expose()), (status, bought.key.as_str()));
    }
    world.stop().await;
}

async fn what_the_state_does_not_allow_is_a_conflict(world: World) {
    let shop = world.register("alpha").await;
    let bought = world.buy(&shop).await;
    let error = act(&world, &Principal::Operator, Act::Reinstate, &bought.license_id).await.unwrap_err();
    assert_eq!(error.code(), Code::Conflict);
    assert!(error.message().contains("only a suspended one can be reinstated"), "{error}");
    act(&world, &Principal::Operator, Act::Revoke, &bought.license_id).await.unwrap();
    for what in [Act::Suspend, Act::Reinstate, Act::Revoke] {
        let error = act(&world, &Principal::Operator, what, &bought.license_id).await.unwrap_err();
        assert_eq!(error.code(), Code::Conflict, "{what:?}");
    }
    let error = act(&world, &Principal::Operator, Act::Revoke, "lic_unknown").await.unwrap_err();
    assert_eq!(error.code(), Code::NotFound);
    let request = ChangeLicenseRequest { license_id: bought.license_id, reason: " ".into() };
    let error = answer(world.licenses().suspend_license(world.operator(request)).await).unwrap_err();
    assert_eq!(error.code(), Code::InvalidData);
}

async fn of_two_acts_at_once_each_sees_the_other(world: World) {
    let shop = world.register("alpha").await;
    let bought = world.buy(&shop).await;
    let revoke = || act(&world, &Principal::Operator, Act::Revoke, &bought.license_id);
    let (one, two) = tokio::join!(revoke(), revoke());
    assert_eq!([one, two].iter().filter(|outcome| outcome.is_ok()).count(), 1);
}

async fn licences_are_listed_by_what_is_asked(world: World) {
    let (shop, other) = (world.register("alpha").await, world.register("beta").await);
    let first = world.buy(&shop).await;
    world.clock.advance(DAY);
    let second = world.buy(&other).await;
    act(&world, &Principal::Operator, Act::Suspend, &first.license_id).await.unwrap();
    let list = async |request: ListLicensesRequest| {
        let list = answer(world.licenses().list_licenses(world.operator(request)).await)?;
        Ok::<_, AppError>((
            list.count,
            list.licenses.into_iter().map(|one| one.license_id).collect::<Vec<_>>(),
        ))
    };
    let all = ListLicensesRequest::default;
    let (one, two) = (first.license_id.clone(), second.license_id.clone());
    assert_eq!(list(all()).await.unwrap(), (2, vec![two.clone(), one.clone()]), "newest first");
    assert_eq!(
        list(ListLicensesRequest { limit: 1, offset: 1, ..all() }).await.unwrap(),
        (2, vec![one.clone()])
    );
    let of = [
        (ListLicensesRequest { instance_id: Some(other.id.clone()), ..all() }, vec![two.clone()]),
        (ListLicensesRequest { status: Some("suspended".into()), ..all() }, vec![one.clone()]),
        (ListLicensesRequest { order_id: Some(second.order_id), ..all() }, vec![two.clone()]),
        (ListLicensesRequest { marketplace_id: Some("@vendor/none".into()), ..all() }, vec![]),
        (
            ListLicensesRequest { marketplace_id: Some(APP.into()), status: Some("active".into()), ..all() },
            vec![two],
        ),
    ];
    for (request, expected) in of {
        assert_eq!(list(request.clone()).await.unwrap().1, expected, "{request:?}");
    }
    let bad = [
        ListLicensesRequest { status: Some("x".into()), ..all() },
        ListLicensesRequest { limit: 101, ..all() },
    ];
    for request in bad {
        assert_eq!(list(request).await.unwrap_err().code(), Code::InvalidData);
    }
    let get = GetLicenseRequest { license_id: one };
    let license = answer(world.licenses().get_license(world.operator(get)).await).unwrap();
    assert_eq!((license.seats_used, license.version.as_str(), license.license_key), (1, "1.0.0", None));
}

async fn only_the_operator_may(world: World) {
    let shop = world.register("alpha").await;
    let bought = world.buy(&shop).await;
    for principal in [
        Principal::Anonymous,
        Principal::Shared,
        shop.reads(),
        shop.manages(),
        Principal::Vendor("vnd_1".into()),
    ] {
        for what in [Act::Suspend, Act::Reinstate, Act::Revoke] {
            let error = act(&world, &principal, what, &bought.license_id).await.unwrap_err();
            assert_eq!(error.code(), Code::NotAllowed, "{principal:?} {what:?}");
        }
        let get = GetLicenseRequest { license_id: bought.license_id.clone() };
        let error = answer(world.licenses().get_license(world.by(&principal, get)).await).unwrap_err();
        assert_eq!(error.code(), Code::NotAllowed);
        let list = world.licenses().list_licenses(world.by(&principal, ListLicensesRequest::default())).await;
        assert_eq!(answer(list).unwrap_err().code(), Code::NotAllowed);
    }
}
