//! The line that a benchmark ends with.

use std::time::Duration;

use serde_json::Value;

/// Two figures of one run, and what belongs to them.
#[derive(Debug, Clone)]
pub(crate) struct Report {
    name: &'static str,
    unit: &'static str,
    ours: f64,
    reference: f64,
    /// In the order in which they were added.
    more: Vec<(&'static str, Value)>,
}

impl Report {
    pub(crate) fn new(name: &'static str, unit: &'static str, ours: f64, reference: f64) -> Self {
        Self { name, unit, ours, reference, more: Vec::new() }
    }

    /// Adds a figure of its own.
    pub(crate) fn with(mut self, name: &'static str, value: impl Into<Value>) -> Self {
        self.more.push((name, value.into()));
        self
    }

    /// Adds a measure, to three places.
    pub(crate) fn with_measure(self, name: &'static str, measure: f64) -> Self {
        self.with(name, rounded(measure))
    }

    /// Adds the median and the 99th percentile of latencies, in milliseconds.
    pub(crate) fn with_latencies(self, latencies: &Latencies) -> Self {
        self.with("p50_ms", latencies.percentile_ms(50)).with("p99_ms", latencies.percentile_ms(99))
    }

    /// One JSON object, with what everybody looks for first.
    fn line(&self) -> String {
        let first = [
            ("name", self.name.into()),
            ("ours", rounded(self.ours).into()),
            ("reference", rounded(self.reference).into()),
            ("ratio", rounded(self.ours / self.reference).into()),
            ("unit", self.unit.into()),
        ];
        let fields = first.iter().chain(&self.more).map(|(name, value)| format!("\"{name}\":{value}"));
        format!("{{{}}}", fields.collect::<Vec<_>>().join(","))
    }

    pub(crate) fn print(&self) {
        println!("{}", self.line());
    }
}

/// Three places are more than any of these figures can keep from run to run.
pub(crate) fn rounded(figure: f64) -> f64 {
    (figure * 1_000.0).round() / 1_000.0
}

/// The middle one; of an even count the mean of the two in the middle. None is zero.
pub(crate) fn median(mut figures: Vec<f64>) -> f64 {
    figures.sort_by(f64::total_cmp);
    let middle = figures.len() / 2;
    match figures.len() {
        0 => 0.0,
        count if count % 2 == 1 => figures[middle],
        _ => f64::midpoint(figures[middle - 1], figures[middle]),
    }
}

/// How long each of many things took.
#[derive(Debug, Clone, Default)]
pub(crate) struct Latencies(Vec<Duration>);

impl Latencies {
    pub(crate) fn new(mut latencies: Vec<Duration>) -> Self {
        latencies.sort_unstable();
        Self(latencies)
    }

    /// Nearest rank: the smallest that is not exceeded by so many of a hundred.
    pub(crate) fn percentile_ms(&self, percent: usize) -> f64 {
        let rank = (self.0.len() * percent).div_ceil(100).max(1);
        let latency = self.0.get(rank - 1).copied().unwrap_or_default();
        rounded(latency.as_secs_f64() * 1_000.0)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::float_cmp)]

    use super::*;

    #[test]
    fn the_line_begins_with_the_two_figures_and_their_ratio() {
        let latencies = Latencies::new((1..=200).map(Duration::from_millis).collect());
        let line = Report::new("sale", "sales/s", 500.0, 2_000.0).with_latencies(&latencies).line();
        assert!(
            line.starts_with(r#"{"name":"sale","ours":500.0,"reference":2000.0,"ratio":0.25,"#),
            "{line}"
        );
        let line: Value = serde_json::from_str(&line).unwrap();
        assert_eq!((&line["name"], &line["unit"]), (&"sale".into(), &"sales/s".into()));
        assert_eq!((&line["ours"], &line["reference"]), (&500.0.into(), &2_000.0.into()));
        assert_eq!(line["ratio"], 0.25);
        assert_eq!((&line["p50_ms"], &line["p99_ms"]), (&100.0.into(), &198.0.into()));
    }

    #[test]
    fn the_median_is_the_middle_one() {
        assert_eq!(median(vec![3.0, 1.0, 2.0]), 2.0);
        assert_eq!(median(vec![4.0, 1.0, 2.0, 3.0]), 2.5);
        assert_eq!(median(Vec::new()), 0.0);
    }

    #[test]
    fn percentiles_are_nearest_ranks() {
        let one = Latencies::new(vec![Duration::from_millis(7)]);
        assert_eq!((one.percentile_ms(50), one.percentile_ms(99)), (7.0, 7.0));
        assert_eq!(Latencies::default().percentile_ms(99), 0.0);
    }
}
