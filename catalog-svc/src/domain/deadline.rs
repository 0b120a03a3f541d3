use std::time::Duration;

use semver::Version;
use thiserror::Error;

use super::{Kind, Product, Release, changes, updates::is_step_forward};

/// A deadline that leaves shops too little time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("required_after is too soon; shops have at least {days} days from a release's publication")]
pub struct NoticeError {
    days: u64,
}

/// Refuses a `required_after` before the operator's minimum notice is over (contracts.md section 4).
pub fn check_notice(
    required_after_ms: Option<i64>,
    published_at_ms: i64,
    minimum: Duration,
) -> Result<(), NoticeError> {
    let notice_ms = i64::try_from(minimum.as_millis()).unwrap_or(i64::MAX);
    let soonest_ms = published_at_ms.saturating_add(notice_ms);
    match required_after_ms {
        Some(required_after_ms) if required_after_ms < soonest_ms => {
            Err(NoticeError { days: minimum.as_secs().div_ceil(86_400) })
        }
        _ => Ok(()),
    }
}

/// When installations of `current` must have moved on: the earliest time by which a newer release on offer, that they
/// do not get silently, is required.
#[must_use]
pub fn find_deadline(product: &Product, current: &Version) -> Option<i64> {
    let from = product.find_release(current);
    let binds = |release: &&Release| {
        release.is_on_offer() && is_step_forward(current, release.version()) && !is_silent(from, release)
    };
    product.releases().iter().filter(binds).filter_map(|release| release.required_after_ms).min()
}

/// A plugin is never exchanged without its shop.
fn is_silent(from: Option<&Release>, to: &Release) -> bool {
    to.kind() != Kind::Plugin && changes(from, to).is_empty()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use wire::manifest::AppType;

    use super::{
        super::release::tests::{hosted, release, yanked},
        *,
    };

    const DAY: Duration = Duration::from_hours(24);

    fn deadline(releases: Vec<Release>, current: &str) -> Option<i64> {
        let vendor = ("Acme".to_owned(), Vec::new());
        let id = "@acme/tool".parse().unwrap();
        let product = Product::new("ccmp_1".into(), id, AppType::Marketing, vendor, releases);
        find_deadline(&product, &current.parse().unwrap())
    }

    fn required(mut release: Release, after_ms: i64) -> Release {
        release.required_after_ms = Some(after_ms);
        release
    }

    fn renamed(mut release: Release) -> Release {
        release.manifest.name = format!("Tool {}", release.version());
        release
    }

    #[test]
    fn the_notice_is_counted_from_the_publication_to_the_millisecond() {
        let soonest = 5 + 30 * 86_400_000;
        assert_eq!(check_notice(Some(soonest), 5, 30 * DAY), Ok(()));
        assert_eq!(check_notice(None, 5, 30 * DAY), Ok(()));
        let error = check_notice(Some(soonest - 1), 5, 30 * DAY).unwrap_err();
        assert!(error.to_string().contains("at least 30 days"), "{error}");
        assert!(check_notice(Some(i64::MAX - 1), i64::MAX, 30 * DAY).is_err());
    }

    #[test]
    fn the_earliest_of_the_newer_releases_binds() {
        let releases = || {
            let later = required(renamed(hosted("1.1.0")), 90);
            vec![hosted("1.0.0"), later, required(renamed(hosted("1.2.0")), 60)]
        };
        assert_eq!(deadline(releases(), "1.0.0"), Some(60));
        assert_eq!(deadline(releases(), "1.1.0"), Some(60));
        assert_eq!(deadline(releases(), "1.2.0"), None);
    }

    #[test]
    fn a_release_that_comes_silently_binds_no_one() {
        assert_eq!(deadline(vec![hosted("1.0.0"), required(hosted("1.1.0"), 60)], "1.0.0"), None);
        assert_eq!(deadline(vec![required(hosted("1.1.0"), 60)], "1.0.0"), Some(60), "unknown version");
        assert_eq!(deadline(vec![release("1.0.0"), required(release("1.1.0"), 60)], "1.0.0"), Some(60));
    }

    #[test]
    fn what_nobody_is_led_to_binds_nobody() {
        let withdrawn = required(renamed(yanked("1.1.0")), 60);
        let beta = required(renamed(hosted("2.0.0-beta.1")), 70);
        assert_eq!(deadline(vec![hosted("1.0.0"), withdrawn, beta.clone()], "1.0.0"), None);
        assert_eq!(deadline(vec![hosted("2.0.0-alpha.1"), beta], "2.0.0-alpha.1"), Some(70));
    }
}
