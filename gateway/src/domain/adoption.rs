//! Which versions of an app are in use, and which should no longer be: what its vendor is shown.

use std::collections::BTreeMap;

use proto::{catalog::Release, license::VersionCount};

/// When installations of a version must have moved on, and whether that is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Deadline {
    pub(crate) at_ms: Option<i64>,
    pub(crate) is_past: bool,
}

/// One version of an app and how many shops run it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct VersionInUse {
    pub(crate) version: String,
    pub(crate) installations: u32,
    pub(crate) deadline: Deadline,
}

/// The deadlines of an app's versions.
#[derive(Debug)]
pub(crate) struct Deadlines(BTreeMap<String, Deadline>);

impl Deadlines {
    pub(crate) fn of(releases: &[Release], now_ms: i64) -> Self {
        Self(releases.iter().map(|release| (release.version.clone(), deadline(release, now_ms))).collect())
    }

    /// That of a version; none where the catalogue knows of none.
    pub(crate) fn of_version(&self, version: &str) -> Deadline {
        self.0.get(version).copied().unwrap_or_default()
    }

    /// Which versions are asked for: the named one, those past their deadline, or both at once. `None`: all of them.
    pub(crate) fn select(&self, version: Option<String>, past_only: bool) -> Option<Vec<String>> {
        match (version, past_only) {
            (None, false) => None,
            (Some(version), false) => Some(vec![version]),
            (version, true) => {
                let past =
                    self.0.iter().filter(|(_, deadline)| deadline.is_past).map(|(past, _)| past.clone());
                Some(past.filter(|past| version.as_ref().is_none_or(|version| version == past)).collect())
            }
        }
    }
}

fn deadline(release: &Release, now_ms: i64) -> Deadline {
    let at_ms = release.deadline_ms;
    Deadline { at_ms, is_past: at_ms.is_some_and(|at_ms| at_ms <= now_ms) }
}

/// Every version, in the catalogue's order, with how often it is installed.
pub(crate) fn versions_in_use(
    releases: &[Release],
    counts: &[VersionCount],
    deadlines: &Deadlines,
) -> Vec<VersionInUse> {
    let counts: BTreeMap<&str, u32> =
        counts.iter().map(|count| (count.version.as_str(), count.installations)).collect();
    let versions = releases.iter().map(|release| VersionInUse {
        installations: counts.get(release.version.as_str()).copied().unwrap_or(0),
        deadline: deadlines.of_version(&release.version),
        version: release.version.clone(),
    });
    versions.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn release(version: &str, deadline_ms: Option<i64>) -> Release {
        Release { version: version.to_owned(), deadline_ms, ..Release::default() }
    }

    fn releases() -> [Release; 3] {
        [release("2.0.0", None), release("1.1.0", Some(200)), release("1.0.0", Some(100))]
    }

    #[test]
    fn each_version_is_shown_with_its_count_and_its_deadline() {
        let counts = [
            VersionCount { version: "1.0.0".to_owned(), installations: 3 },
            VersionCount { version: "2.0.0".to_owned(), installations: 1 },
        ];
        let shown = versions_in_use(&releases(), &counts, &Deadlines::of(&releases(), 100));
        let row = |version: &str, installations, at_ms, is_past| VersionInUse {
            version: version.to_owned(),
            installations,
            deadline: Deadline { at_ms, is_past },
        };
        let expected = [
            row("2.0.0", 1, None, false),
            row("1.1.0", 0, Some(200), false),
            row("1.0.0", 3, Some(100), true),
        ];
        assert_eq!(shown, expected);
    }

    #[test]
    fn the_two_filters_are_applied_together() {
        let deadlines = Deadlines::of(&releases(), 150);
        let some = |versions: &[&str]| Some(versions.iter().map(ToString::to_string).collect::<Vec<_>>());
        assert_eq!(deadlines.select(None, false), None);
        assert_eq!(deadlines.select(Some("1.1.0".to_owned()), false), some(&["1.1.0"]));
        assert_eq!(deadlines.select(None, true), some(&["1.0.0"]));
        assert_eq!(deadlines.select(Some("1.0.0".to_owned()), true), some(&["1.0.0"]));
        assert_eq!(deadlines.select(Some("1.1.0".to_owned()), true), some(&[]));
    }
}
