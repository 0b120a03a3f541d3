//! What the running services expose, as Prometheus reads it.

use std::collections::{BTreeMap, BTreeSet};

/// Of a metric family.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Counter,
    Gauge,
    Histogram,
}

/// One series as it is scraped.
#[derive(Debug)]
pub(crate) struct Series {
    pub(crate) name: String,
    pub(crate) labels: BTreeMap<String, String>,
}

/// Everything that was scraped.
#[derive(Debug, Default)]
pub(crate) struct Exposed {
    /// By the family's name.
    pub(crate) families: BTreeMap<String, Kind>,
    pub(crate) series: Vec<Series>,
}

impl Exposed {
    /// Adds a page of `/metrics`.
    pub(crate) fn read(&mut self, page: &str) {
        for line in page.lines().filter(|line| !line.is_empty()) {
            match line.strip_prefix("# ") {
                Some(comment) => self.read_comment(comment),
                None => self.series.push(series(line)),
            }
        }
    }

    fn read_comment(&mut self, comment: &str) {
        let words: Vec<&str> = comment.split(' ').collect();
        if let ["TYPE", name, kind] = words[..] {
            let kind = match kind {
                "counter" => Kind::Counter,
                "gauge" => Kind::Gauge,
                "histogram" => Kind::Histogram,
                other => panic!("{name} is a {other}: give it buckets"),
            };
            let before = self.families.insert(name.to_owned(), kind);
            assert!(before.is_none_or(|before| before == kind), "{name} is of two kinds");
        }
    }

    /// The kind of the family that a series' name is of. A histogram has no series of its bare name.
    pub(crate) fn kind_of(&self, name: &str) -> Option<Kind> {
        if let Some(kind) = self.families.get(name) {
            return (*kind != Kind::Histogram).then_some(*kind);
        }
        let of = |suffix| self.families.get(name.strip_suffix(suffix)?).copied();
        ["_bucket", "_sum", "_count"].into_iter().find_map(of).filter(|kind| *kind == Kind::Histogram)
    }

    /// The series of this name.
    pub(crate) fn named<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a Series> {
        self.series.iter().filter(move |series| series.name == name)
    }

    /// The labels that any series of this name has.
    pub(crate) fn labels_of(&self, name: &str) -> BTreeSet<&str> {
        self.series
            .iter()
            .filter(|series| series.name == name)
            .flat_map(|series| series.labels.keys().map(String::as_str))
            .collect()
    }
}

/// Reads `name{label="value",…} 1`. No value of ours holds a quote or a backslash.
fn series(line: &str) -> Series {
    let (series, _) = line.rsplit_once(' ').unwrap();
    let Some((name, labels)) = series.split_once('{') else {
        return Series { name: series.to_owned(), labels: BTreeMap::new() };
    };
    let mut parts = labels.strip_suffix("\"}").unwrap().split("\",");
    let pair = |part: &str| {
        let (label, value) = part.split_once("=\"").unwrap();
        (label.to_owned(), value.to_owned())
    };
    Series { name: name.to_owned(), labels: parts.by_ref().map(pair).collect() }
}
