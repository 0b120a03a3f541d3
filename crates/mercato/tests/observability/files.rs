//! The rules and dashboards of `deploy/observability`.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::PathBuf,
};

use serde::Deserialize;
use serde_json::Value;

/// One expression, and where it stands.
#[derive(Debug, Clone)]
pub(crate) struct Query {
    pub(crate) place: String,
    pub(crate) expr: String,
}

/// An alert, as far as people need it.
#[derive(Debug)]
pub(crate) struct Alert {
    pub(crate) name: String,
    pub(crate) labels: BTreeMap<String, String>,
    pub(crate) annotations: BTreeMap<String, String>,
}

/// Everything that asks for metrics.
#[derive(Debug, Default)]
pub(crate) struct Files {
    pub(crate) queries: Vec<Query>,
    /// The names that recording rules make.
    pub(crate) recorded: BTreeSet<String>,
    pub(crate) alerts: Vec<Alert>,
}

#[derive(Deserialize)]
struct Rules {
    groups: Vec<Group>,
}

#[derive(Deserialize)]
struct Group {
    rules: Vec<Rule>,
}

#[derive(Deserialize)]
struct Rule {
    record: Option<String>,
    alert: Option<String>,
    expr: String,
    #[serde(default)]
    labels: BTreeMap<String, String>,
    #[serde(default)]
    annotations: BTreeMap<String, String>,
}

/// A file of the repository.
pub(crate) fn path(of: &str) -> PathBuf {
    testkit::paths::workspace_root().join(of)
}

/// The text of a file of the repository.
pub(crate) fn text(of: &str) -> String {
    fs::read_to_string(path(of)).unwrap_or_else(|error| panic!("{of}: {error}"))
}

/// Reads all of them.
pub(crate) fn read() -> Files {
    let mut files = Files::default();
    files.read_rules("deploy/observability/rules.yaml");
    for dashboard in dashboards() {
        files.read_dashboard(&dashboard);
    }
    files
}

/// The dashboards' files.
pub(crate) fn dashboards() -> Vec<String> {
    let folder = "deploy/observability/dashboards";
    let entries = fs::read_dir(path(folder)).unwrap();
    let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut found: Vec<_> = names.map(|name| format!("{folder}/{name}")).collect();
    found.sort();
    found
}

impl Files {
    fn read_rules(&mut self, file: &str) {
        let rules: Rules = serde_norway::from_str(&text(file)).unwrap();
        for rule in rules.groups.into_iter().flat_map(|group| group.rules) {
            let name = rule.record.as_ref().or(rule.alert.as_ref()).unwrap();
            self.queries.push(Query { place: format!("{file}: {name}"), expr: rule.expr });
            self.recorded.extend(rule.record);
            let (labels, annotations) = (rule.labels, rule.annotations);
            self.alerts.extend(rule.alert.map(|name| Alert { name, labels, annotations }));
        }
    }

    fn read_dashboard(&mut self, file: &str) {
        let board: Value = serde_json::from_str(&text(file)).unwrap();
        for variable in board["templating"]["list"].as_array().unwrap() {
            let query = variable["query"]["query"].as_str().unwrap();
            // `label_values(metric, label)` is Grafana's own; what it asks for is the metric's series by the label.
            let inner = query.strip_prefix("label_values(").and_then(|rest| rest.strip_suffix(')')).unwrap();
            let (metric, label) = inner.split_once(", ").unwrap();
            let expr = format!("group by ({label}) ({metric})");
            self.queries.push(Query { place: format!("{file}: ${}", variable["name"]), expr });
        }
        for panel in board["panels"].as_array().unwrap() {
            let place = format!("{file}: {}", panel["title"].as_str().unwrap());
            let targets = panel["targets"].as_array().into_iter().flatten();
            let queries = targets.map(|target| Query {
                place: place.clone(),
                expr: filled_in(target["expr"].as_str().unwrap()),
            });
            let before = self.queries.len();
            self.queries.extend(queries);
            assert!(panel["type"] == "row" || self.queries.len() > before, "{place} asks for nothing");
        }
    }
}

/// As Grafana asks it, when all of each variable is chosen.
fn filled_in(expr: &str) -> String {
    expr.replace("$__rate_interval", "1m").replace("$service", ".*")
}
