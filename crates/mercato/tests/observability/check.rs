//! Whether a query asks for what there is.

use super::{
    exposed::{Exposed, Kind},
    files::{Files, Query},
    promql::{self, Grouping, Matcher, Selector},
};

/// What Prometheus makes itself.
const SYNTHETIC: [&str; 1] = ["up"];
/// Labels that Prometheus adds to what it scrapes.
const OF_PROMETHEUS: [&str; 3] = ["service", "job", "instance"];
/// A label that only a failure has.
const OF_FAILURES: &str = "error_type";
/// What makes a rate of a counter.
const RATES: [&str; 3] = ["rate", "irate", "increase"];

/// Everything that is wrong with the queries.
pub(crate) fn problems(files: &Files, exposed: &Exposed) -> Vec<String> {
    let check = |query: &Query| {
        let problems = match promql::read(&query.expr) {
            Ok(asked) => {
                let selectors = asked.selectors.iter().flat_map(|one| selector(files, exposed, one));
                let groupings = asked.groupings.iter().flat_map(|one| grouping(exposed, one));
                selectors.chain(groupings).collect()
            }
            Err(error) => vec![error],
        };
        problems.into_iter().map(|problem| format!("{}: {problem}", query.place)).collect::<Vec<_>>()
    };
    files.queries.iter().flat_map(check).collect()
}

fn selector(files: &Files, exposed: &Exposed, selector: &Selector) -> Vec<String> {
    let name = &selector.name;
    if SYNTHETIC.contains(&name.as_str()) || files.recorded.contains(name) {
        return Vec::new();
    }
    let Some(kind) = exposed.kind_of(name) else { return vec![format!("nothing exposes {name}")] };
    let is_rate = selector.ranged_by.as_ref().is_some_and(|function| RATES.contains(&function.as_str()));
    let wrong_kind = (is_rate == (kind == Kind::Gauge)).then(|| match kind {
        Kind::Gauge => format!("{name} is a gauge: it has no rate"),
        _ => format!("{name} only grows: its rate is meant"),
    });
    let unmatched = selector.matchers.iter().filter_map(|matcher| unmatched(exposed, name, matcher));
    unmatched.chain(wrong_kind).collect()
}

/// A label or a value that no series has. What only failures have need not be there.
fn unmatched(exposed: &Exposed, name: &str, matcher: &Matcher) -> Option<String> {
    let Matcher { label, operator, value } = matcher;
    if OF_PROMETHEUS.contains(&label.as_str()) || label == OF_FAILURES {
        return None;
    }
    if !exposed.labels_of(name).contains(label.as_str()) {
        return Some(format!("{name} has no label {label}"));
    }
    // Of a pattern, each of the words that it is put together from.
    let wanted: Vec<&str> = match operator.as_str() {
        "=" => vec![value],
        "=~" => value.split('|').filter(|word| !word.contains(['*', '.'])).collect(),
        _ => Vec::new(),
    };
    let is_there = |wanted: &&str| {
        exposed.named(name).any(|series| series.labels.get(label).is_some_and(|has| has == wanted))
    };
    let lacking: Vec<_> = wanted.into_iter().filter(|wanted| !is_there(wanted)).collect();
    (!lacking.is_empty()).then(|| format!("no series of {name} has {label} as one of {lacking:?}"))
}

/// Labels by which nothing can be told apart. What a rule has recorded is looked at where it is recorded.
fn grouping(exposed: &Exposed, grouping: &Grouping) -> Vec<String> {
    let metrics = &grouping.metrics;
    if metrics.iter().any(|name| exposed.kind_of(name).is_none()) {
        return Vec::new();
    }
    let is_known = |label: &&String| {
        let is_scraped = metrics.iter().any(|name| exposed.labels_of(name).contains(label.as_str()));
        is_scraped || OF_PROMETHEUS.contains(&label.as_str()) || *label == OF_FAILURES
    };
    let lacking = grouping.labels.iter().filter(|label| !is_known(label));
    lacking.map(|label| format!("{metrics:?} have no label {label}")).collect()
}
