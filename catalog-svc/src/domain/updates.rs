use std::cmp::Ordering;

use semver::Version;

use super::{Audience, Change, Product, Release, changes, find_deadline, find_offered};

/// How many apps one question may name (contracts.md section 2).
pub const MAX_QUESTIONS: usize = 200;

/// A newer release than the one a shop runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Update {
    /// `@vendor/name`
    pub marketplace_id: String,
    /// What the shop runs.
    pub current: Version,
    /// What it is offered.
    pub latest: Version,
    /// Where the changes are told.
    pub changelog_url: Option<String>,
    /// Whether it may be applied without asking: not across a major version, and not where consent or an update of the
    /// installation is needed.
    pub auto_update: bool,
    /// Whether the shop's administrator must agree to `added_permissions` first.
    pub requires_consent: bool,
    /// What the latest release may do that the current one may not.
    pub added_permissions: Vec<String>,
    /// Whether a release after the current one, up to the latest, mends a security fault.
    pub security: bool,
    /// What of a hosted or static app's installation must be updated.
    pub changes: Vec<Change>,
    /// When the shop must have moved on from the current release.
    pub required_after_ms: Option<i64>,
}

/// The update for a shop that runs `current`, on a platform of this version if it is told.
///
/// Build metadata makes no update (semver section 10), and nothing older is ever offered.
#[must_use]
pub fn find_update(product: &Product, current: &Version, platform: Option<&Version>) -> Option<Update> {
    let audience = if current.pre.is_empty() { Audience::Everybody } else { Audience::Testers };
    let runnable = product.releases().iter().filter(|release| runs_on(release, platform));
    let latest =
        find_offered(runnable, audience).filter(|latest| is_step_forward(current, latest.version()))?;
    let from = product.find_release(current);
    let added_permissions = added_permissions(latest, from);
    let requires_consent = !added_permissions.is_empty();
    let changes = changes(from, latest);
    Some(Update {
        marketplace_id: product.marketplace_id().to_string(),
        current: current.clone(),
        latest: latest.version().clone(),
        changelog_url: latest.manifest.changelog_url.clone(),
        auto_update: latest.version().major == current.major && !requires_consent && changes.is_empty(),
        requires_consent,
        added_permissions,
        security: mends_security(product, current, latest),
        changes,
        required_after_ms: find_deadline(product, current),
    })
}

fn runs_on(release: &Release, platform: Option<&Version>) -> bool {
    platform.is_none_or(|platform| !is_newer(&release.manifest.carphacom_min_version, platform))
}

/// Nobody is led from a finished release to a pre-release.
pub(super) fn is_step_forward(current: &Version, latest: &Version) -> bool {
    is_newer(latest, current) && (latest.pre.is_empty() || !current.pre.is_empty())
}

fn is_newer(one: &Version, other: &Version) -> bool {
    one.cmp_precedence(other) == Ordering::Greater
}

/// A version that is unknown here was granted nothing that we know of.
fn added_permissions(latest: &Release, current: Option<&Release>) -> Vec<String> {
    let granted = current.map(|current| current.manifest.permissions()).unwrap_or_default();
    latest.manifest.permissions().iter().filter(|permission| !granted.contains(permission)).cloned().collect()
}

/// A yanked release in between still tells that the current one has the fault.
fn mends_security(product: &Product, current: &Version, latest: &Release) -> bool {
    let passed = |release: &&Release| {
        is_newer(release.version(), current) && !is_newer(release.version(), latest.version())
    };
    product.releases().iter().filter(passed).any(|release| release.security)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use proptest::prelude::*;
    use wire::manifest::AppType;

    use super::{
        super::release::tests::{hosted, release, yanked},
        *,
    };

    fn product(releases: Vec<Release>) -> Product {
        let vendor = ("Acme".to_owned(), Vec::new());
        Product::new("ccmp_1".into(), "@acme/tool".parse().unwrap(), AppType::Marketing, vendor, releases)
    }

    fn version(text: &str) -> Version {
        text.parse().unwrap()
    }

    fn update(releases: Vec<Release>, current: &str, platform: Option<&str>) -> Option<Update> {
        find_update(&product(releases), &version(current), platform.map(version).as_ref())
    }

    fn with(version: &str, change: impl FnOnce(&mut Release)) -> Release {
        let mut release = release(version);
        change(&mut release);
        release
    }

    fn permitted(version: &str, permissions: &[&str]) -> Release {
        with(version, |it| {
            it.manifest.permissions = Some(permissions.iter().map(ToString::to_string).collect());
        })
    }

    #[test]
    fn the_newest_is_offered_and_nothing_older_or_equal() {
        let releases = || vec![release("1.0.0"), release("1.1.0"), yanked("1.2.0")];
        assert_eq!(update(releases(), "1.0.0", None).unwrap().latest, version("1.1.0"));
        assert_eq!(update(releases(), "1.1.0", None), None);
        assert_eq!(update(releases(), "1.2.0", None), None, "who runs a yanked release isn't sent back");
        assert_eq!(update(vec![release("1.0.0+b")], "1.0.0+a", None), None);
    }

    #[test]
    fn a_platform_that_is_too_old_gets_what_it_can_run() {
        let needs = |release_version, min| {
            with(release_version, |it| it.manifest.carphacom_min_version = version(min))
        };
        let releases = || vec![needs("1.1.0", "1.0.0"), needs("1.2.0", "2.0.0")];
        assert_eq!(update(releases(), "1.0.0", Some("1.9.0")).unwrap().latest, version("1.1.0"));
        assert_eq!(update(releases(), "1.0.0", Some("2.0.0")).unwrap().latest, version("1.2.0"));
        assert_eq!(update(releases(), "1.0.0", None).unwrap().latest, version("1.2.0"));
        assert_eq!(update(releases(), "1.1.0", Some("1.9.0")), None);
    }

    #[test]
    fn a_major_version_is_never_automatic() {
        assert!(update(vec![release("1.9.0")], "1.0.0", None).unwrap().auto_update);
        assert!(!update(vec![release("2.0.0")], "1.0.0", None).unwrap().auto_update);
    }

    #[test]
    fn added_permissions_need_consent() {
        let releases = || vec![permitted("1.0.0", &["a", "b"]), permitted("1.1.0", &["b", "c"])];
        let told = update(releases(), "1.0.0", None).unwrap();
        assert_eq!(
            (told.added_permissions, told.requires_consent, told.auto_update),
            (vec!["c".into()], true, false)
        );
        let fewer = update(vec![permitted("1.0.0", &["a"]), permitted("1.1.0", &[])], "1.0.0", None).unwrap();
        assert!(!fewer.requires_consent && fewer.auto_update);
        let unknown = update(releases(), "0.9.0", None).unwrap();
        assert_eq!(unknown.added_permissions, ["b", "c"]);
    }

    #[test]
    fn an_installation_is_never_updated_without_its_shop() {
        let told = update(vec![hosted("1.0.0"), hosted("1.1.0")], "1.0.0", None).unwrap();
        assert!(told.changes.is_empty() && told.auto_update, "the shop gets it silently");
        let mut renamed = hosted("1.2.0");
        renamed.manifest.name = "Tools".into();
        renamed.required_after_ms = Some(77);
        let told = update(vec![hosted("1.0.0"), hosted("1.1.0"), renamed], "1.0.0", None).unwrap();
        assert_eq!((told.changes, told.auto_update), (vec![Change::Name], false));
        assert_eq!((told.requires_consent, told.required_after_ms), (false, Some(77)));
    }

    #[test]
    fn permissions_of_a_yanked_release_were_granted_too() {
        let mut old = yanked("1.0.0");
        old.manifest.permissions = Some(vec!["a".into()]);
        assert!(!update(vec![old, permitted("1.1.0", &["a"])], "1.0.0", None).unwrap().requires_consent);
    }

    #[test]
    fn security_counts_what_lies_between() {
        let fix = |version| with(version, |it| it.security = true);
        assert!(update(vec![fix("1.1.0"), release("1.2.0")], "1.0.0", None).unwrap().security);
        assert!(!update(vec![fix("1.0.0"), release("1.2.0")], "1.0.0", None).unwrap().security);
        let beyond = with("3.0.0", |it| {
            it.security = true;
            it.manifest.carphacom_min_version = version("9.0.0");
        });
        assert!(!update(vec![release("1.1.0"), beyond], "1.0.0", Some("2.0.0")).unwrap().security);
    }

    #[test]
    fn who_runs_a_pre_release_is_offered_newer_ones() {
        let releases = || vec![release("1.0.0"), release("2.0.0-beta.2")];
        assert_eq!(update(releases(), "2.0.0-beta.1", None).unwrap().latest, version("2.0.0-beta.2"));
        assert_eq!(update(releases(), "1.0.0", None), None);
        assert_eq!(update(vec![yanked("1.0.0"), release("2.0.0-beta.2")], "1.0.0", None), None);
    }

    prop_compose! {
        fn a_version()(major in 0..3_u64, minor in 0..3_u64, patch in 0..3_u64, pre in prop::option::of(0..3_u8)) -> String {
            let pre = pre.map(|n| format!("-rc.{n}")).unwrap_or_default();
            format!("{major}.{minor}.{patch}{pre}")
        }
    }

    prop_compose! {
        fn a_release()(text in a_version(), min in 0..3_u64, is_yanked: bool, security: bool,
                       permissions in prop::collection::btree_set("[a-d]", 0..3)) -> Release {
            let mut release = if is_yanked { yanked(&text) } else { release(&text) };
            release.manifest.carphacom_min_version = Version::new(min, 0, 0);
            release.manifest.permissions = Some(permissions.into_iter().collect());
            release.security = security;
            release
        }
    }

    /// An app has each version once.
    fn releases() -> impl Strategy<Value = Vec<Release>> {
        prop::collection::vec(a_release(), 0..10).prop_map(|mut releases| {
            releases.sort_by(Release::newest_first);
            releases.dedup_by(|one, other| one.version() == other.version());
            releases
        })
    }

    proptest! {
        #[test]
        fn an_update_is_always_newer_runnable_and_on_offer(
            releases in releases(), current in a_version(), platform in 0..3_u64,
        ) {
            let (current, platform) = (version(&current), Version::new(platform, 0, 0));
            let product = product(releases);
            let Some(update) = find_update(&product, &current, Some(&platform)) else { return Ok(()) };
            let latest = product.releases().iter().find(|it| it.is_on_offer() && *it.version() == update.latest).unwrap();
            prop_assert!(update.latest > current);
            prop_assert!(latest.manifest.carphacom_min_version <= platform);
            prop_assert!(!update.auto_update || (update.latest.major == current.major && !update.requires_consent));
            prop_assert_eq!(update.requires_consent, !update.added_permissions.is_empty());
            for added in &update.added_permissions {
                prop_assert!(latest.manifest.permissions().contains(added));
            }
            if latest.security {
                prop_assert!(update.security);
            }
        }

        #[test]
        fn who_has_taken_an_update_is_told_of_no_other(
            releases in releases(), current in a_version(),
        ) {
            let product = product(releases);
            if let Some(update) = find_update(&product, &version(&current), None) {
                prop_assert_eq!(find_update(&product, &update.latest, None), None);
            }
        }

        #[test]
        fn releases_stand_newest_first_by_semver_precedence(releases in releases()) {
            let product = product(releases);
            for pair in product.releases().windows(2) {
                prop_assert!(pair[0].version().cmp_precedence(pair[1].version()) != Ordering::Less);
            }
        }
    }
}
