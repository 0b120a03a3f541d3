//! Who may have which app: consent, the shop's API, licences. Each refusal says what would be right.

use platform::Code;

use super::{Edition, Installation, Permissions, Refusal, Release};
use crate::domain::{
    instance::{Instance, ShopApi},
    license::{License, Status, Term},
};

/// What a shop says of itself in a request, if it does.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Told {
    pub(crate) shop: Option<String>,
    pub(crate) site_url: Option<String>,
    pub(crate) api: Option<ShopApi>,
}

/// A shop that the operator has disabled gets no app.
pub(crate) fn check_instance(instance: &Instance) -> Result<(), Refusal> {
    if instance.disabled {
        let words = "this instance is disabled; ask the marketplace's operator";
        return Err(Refusal::new(Code::NotAllowed, words));
    }
    Ok(())
}

/// One shop cannot speak for another (contracts.md section 2).
pub(crate) fn check_identity(instance: &Instance, told: &Told) -> Result<(), Refusal> {
    let wrong = [
        ("shop", told.shop.as_ref().is_some_and(|shop| *shop != instance.shop)),
        ("site_url", told.site_url.as_ref().is_some_and(|url| *url != instance.site_url)),
        ("api", told.api.as_ref().is_some_and(|api| *api != instance.api)),
    ];
    match wrong.into_iter().find(|(_, is_wrong)| *is_wrong) {
        None => Ok(()),
        Some((field, _)) => Err(Refusal::new(
            Code::NotAllowed,
            format!(
                "{field} is not as this instance is registered; leave it out, or ask the marketplace's operator to change it"
            ),
        )),
    }
}

/// An installation moves between versions of one app, and of one kind of it.
pub(crate) fn check_same_app(installation: &Installation, release: &Release) -> Result<(), Refusal> {
    if installation.marketplace_id != release.marketplace_id {
        let words = "the release is one of another app; name a version of the app that is installed";
        return Err(Refusal::new(Code::InvalidData, words));
    }
    if installation.kind != release.kind {
        let words = "the app has become one of another kind in that version; remove it and install it anew";
        return Err(Refusal::new(Code::Conflict, words));
    }
    Ok(())
}

/// The permissions granted must be exactly those required: no more in silence, and none that is missed later.
pub(crate) fn check_consent(required: &Permissions, granted: &Permissions) -> Result<(), Refusal> {
    if !granted.contains_all(required) {
        let words = format!(
            "the app requires more than granted_permissions holds; grant exactly what it requires: {required}"
        );
        return Err(Refusal::new(Code::InvalidData, words));
    }
    if !required.contains_all(granted) {
        let words = format!(
            "granted_permissions holds what the app does not require; grant exactly what it requires: {required}"
        );
        return Err(Refusal::new(Code::InvalidData, words));
    }
    Ok(())
}

/// An app and its shop must have a version of the shop's API in common.
pub(crate) fn check_api(release: &Release, api: &ShopApi) -> Result<(), Refusal> {
    match release.api {
        Some(range) if !range.overlaps(api) => Err(Refusal::new(
            Code::Conflict,
            format!(
                "the app needs version {} to {} of the shop's API and this shop has {} to {}; take another version \
                 of the app, or update the shop",
                range.min_version, range.max_version, api.min_version, api.max_version
            ),
        )),
        _ => Ok(()),
    }
}

/// A paid app needs a licence that is valid now, on which the shop holds a seat, and that covers the version.
/// `held` are the shop's licences for the app.
pub(crate) fn check_license(edition: &Edition, held: &[License], now_ms: i64) -> Result<(), Refusal> {
    if !edition.paid || held.iter().any(|license| allows(license, edition, now_ms)) {
        return Ok(());
    }
    Err(Refusal::new(Code::PaymentRequired, why_not(held, now_ms)))
}

fn allows(license: &License, edition: &Edition, now_ms: i64) -> bool {
    is_valid(license, now_ms) && license.covers_release_of(Some(edition.published_at_ms))
}

fn is_valid(license: &License, now_ms: i64) -> bool {
    license.status == Status::Active && license.term(now_ms) != Term::Ended
}

/// Of the licences that do not allow it, the one that is nearest to allowing it gives the words.
fn why_not(held: &[License], now_ms: i64) -> &'static str {
    let has = |what: &dyn Fn(&License) -> bool| held.iter().any(what);
    if has(&|license| is_valid(license, now_ms)) {
        "this version was published after the licence's updates ended; take an earlier version, or buy the app again"
    } else if has(&|license| license.status == Status::Suspended) {
        "the licence of this app is suspended; the marketplace's operator can tell why"
    } else if has(&|license| license.status == Status::Active) {
        "the licence of this app has expired and its grace is over; renew the subscription"
    } else if held.is_empty() {
        "this app is paid and the shop holds no seat on a licence of it; buy it first, or verify your licence key \
         from this shop"
    } else {
        "the licence of this app has been revoked; buy the app again"
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::domain::{
        installation::{
            Kind,
            release::{
                ApiRange,
                tests::{edition, facts},
            },
            table::installation,
        },
        instance::tests::instance,
        license::tests::license,
    };

    fn permissions(names: &[&str]) -> Permissions {
        Permissions::new(names.iter().map(|name| (*name).to_owned()))
    }

    #[test]
    fn what_is_granted_is_exactly_what_is_required() {
        let table: [(&[&str], &[&str], &str); 7] = [
            (&[], &[], ""),
            (&["a", "b"], &["b", "a", "a"], ""),
            (&["a", "b"], &["a"], "requires more"),
            (&["a"], &[], "requires more"),
            (&["a"], &["a", "secret"], "does not require"),
            (&[], &["secret"], "exactly what it requires: none"),
            (&["a", "b"], &["secret"], "exactly what it requires: a, b"),
        ];
        for (required, granted, words) in table {
            let answer = check_consent(&permissions(required), &permissions(granted));
            assert_eq!(answer.is_ok(), words.is_empty(), "{required:?} {granted:?}");
            if let Err(refusal) = answer {
                assert_eq!(refusal.code(), Code::InvalidData);
                assert!(refusal.to_string().contains(words), "{refusal}");
                assert!(!refusal.to_string().contains("secret"), "what was given is not told again");
            }
        }
    }

    #[test]
    fn an_installation_stays_with_its_app_and_kind() {
        let release = facts("1.1.0").check().unwrap();
        let installed = installation("installed", Kind::Hosted);
        assert_eq!(check_same_app(&installed, &release), Ok(()));
        let other = Release { marketplace_id: "@vendor/other".into(), ..release.clone() };
        assert_eq!(check_same_app(&installed, &other).unwrap_err().code(), Code::InvalidData);
        let changed = Release { kind: Kind::Static, ..release };
        assert_eq!(check_same_app(&installed, &changed).unwrap_err().code(), Code::Conflict);
    }

    #[test]
    fn an_app_needs_an_api_version_of_the_shop() {
        let api = ShopApi::new("https://shop.example/api/", 1, 3).unwrap();
        assert_eq!(check_api(&facts("1.0.0").check().unwrap(), &api), Ok(()));
        let newer = Release {
            api: Some(ApiRange { min_version: 4, max_version: 9 }),
            ..facts("1.0.0").check().unwrap()
        };
        let refusal = check_api(&newer, &api).unwrap_err();
        assert_eq!(refusal.code(), Code::Conflict);
        assert!(
            refusal.to_string().contains("needs version 4 to 9")
                && refusal.to_string().contains("has 1 to 3")
        );
        assert_eq!(check_api(&Release { api: None, ..newer }, &api), Ok(()));
    }

    #[test]
    fn a_shop_speaks_only_for_itself() {
        let instance = instance();
        let own = Told {
            shop: Some(instance.shop.clone()),
            site_url: Some(instance.site_url.clone()),
            api: Some(instance.api.clone()),
        };
        assert_eq!(check_identity(&instance, &own), Ok(()));
        assert_eq!(check_identity(&instance, &Told::default()), Ok(()));
        let other_api = ShopApi::new("https://other.example/api/", 1, 3).unwrap();
        let wrong = [
            (Told { shop: Some("OTHER".into()), ..own.clone() }, "shop is"),
            (Told { site_url: Some("https://other.example/".into()), ..own.clone() }, "site_url is"),
            (Told { api: Some(other_api), ..own }, "api is"),
        ];
        for (told, words) in wrong {
            let refusal = check_identity(&instance, &told).unwrap_err();
            assert_eq!(refusal.code(), Code::NotAllowed);
            assert!(refusal.to_string().starts_with(words), "{refusal}");
            assert!(!refusal.to_string().to_lowercase().contains("other"), "{refusal}");
        }
        assert_eq!(check_instance(&instance), Ok(()));
        let disabled = Instance { disabled: true, ..instance };
        assert_eq!(check_instance(&disabled).unwrap_err().code(), Code::NotAllowed);
    }

    #[test]
    fn a_paid_app_needs_a_licence_that_is_valid_now_and_covers_the_version() {
        const LATER: i64 = 100 * 24 * 60 * 60 * 1000;
        let paid = Edition { paid: true, ..edition("1.0.0") };
        let of = |status| License { status, ..license() };
        let over = License { expires_at_ms: Some(0), ..license() };
        let old = License { updates_until_ms: Some(paid.published_at_ms - 1), ..license() };
        let table = [
            (vec![license()], ""),
            (vec![of(Status::Revoked), of(Status::Suspended), license()], ""),
            (vec![], "holds no seat"),
            (vec![of(Status::Revoked)], "revoked"),
            (vec![of(Status::Suspended), of(Status::Revoked)], "suspended"),
            (vec![over.clone()], "expired"),
            (vec![over, of(Status::Suspended)], "suspended"),
            (vec![old, of(Status::Suspended)], "updates ended"),
        ];
        for (held, words) in table {
            let answer = check_license(&paid, &held, LATER);
            assert_eq!(answer.is_ok(), words.is_empty(), "{held:?}");
            if let Err(refusal) = answer {
                assert_eq!(refusal.code(), Code::PaymentRequired);
                assert!(refusal.to_string().contains(words), "{refusal}");
            }
            assert_eq!(check_license(&edition("1.0.0"), &held, LATER), Ok(()), "a free app needs none");
        }
    }
}
