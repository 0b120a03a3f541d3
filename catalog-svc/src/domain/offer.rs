use super::Release;

/// To whom a release is offered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Audience {
    /// Is offered finished releases; a pre-release (semver section 9) only where there is nothing else.
    Everybody,
    /// Runs a pre-release already, and is offered the newest release of either sort.
    Testers,
}

/// The newest release, by semantic version, that is on offer.
pub fn find_offered<'a>(
    releases: impl IntoIterator<Item = &'a Release>,
    audience: Audience,
) -> Option<&'a Release> {
    let rank = |release: &&Release| {
        let finished = release.version().pre.is_empty() || audience == Audience::Testers;
        (finished, release.version().clone())
    };
    releases.into_iter().filter(|release| release.is_on_offer()).max_by_key(rank)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use proptest::prelude::*;

    use super::{
        super::release::tests::{release, yanked},
        *,
    };

    fn offered(releases: &[Release], audience: Audience) -> Option<String> {
        find_offered(releases, audience).map(|release| release.version().to_string())
    }

    #[test]
    fn versions_are_compared_as_numbers() {
        let releases = ["1.9.0", "1.10.0", "1.2.0"].map(release);
        assert_eq!(offered(&releases, Audience::Everybody).unwrap(), "1.10.0");
    }

    #[test]
    fn a_pre_release_is_offered_only_where_there_is_nothing_else_or_to_testers() {
        let mut releases = vec![release("2.0.0-beta.2"), release("2.0.0-beta.10")];
        assert_eq!(offered(&releases, Audience::Everybody).unwrap(), "2.0.0-beta.10");
        releases.push(release("1.0.0"));
        assert_eq!(offered(&releases, Audience::Everybody).unwrap(), "1.0.0");
        assert_eq!(offered(&releases, Audience::Testers).unwrap(), "2.0.0-beta.10");
    }

    #[test]
    fn a_yanked_release_is_offered_to_nobody() {
        let releases = [release("1.0.0"), yanked("1.1.0")];
        assert_eq!(offered(&releases, Audience::Testers).unwrap(), "1.0.0");
        assert_eq!(offered(&[yanked("1.0.0")], Audience::Everybody), None);
    }

    prop_compose! {
        fn a_release()(major in 0..3_u8, minor in 0..4_u8, pre in prop::option::of(0..3_u8), is_yanked: bool) -> Release {
            let pre = pre.map(|n| format!("-rc.{n}")).unwrap_or_default();
            let version = format!("{major}.{minor}.0{pre}");
            if is_yanked { yanked(&version) } else { release(&version) }
        }
    }

    proptest! {
        #[test]
        fn nothing_on_offer_is_newer_and_equally_finished(releases in prop::collection::vec(a_release(), 0..12)) {
            let on_offer: Vec<_> = releases.iter().filter(|release| release.is_on_offer()).collect();
            let Some(latest) = find_offered(&releases, Audience::Everybody) else {
                prop_assert!(on_offer.is_empty());
                return Ok(());
            };
            prop_assert!(latest.is_on_offer());
            let finished = latest.version().pre.is_empty();
            for other in on_offer {
                let other_finished = other.version().pre.is_empty();
                prop_assert!(finished || !other_finished);
                prop_assert!(other_finished != finished || other.version() <= latest.version());
            }
            let tested = find_offered(&releases, Audience::Testers).unwrap();
            prop_assert!(tested.version() >= latest.version());
        }
    }
}
