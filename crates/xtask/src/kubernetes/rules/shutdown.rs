//! The way out: taken off the list, then drained, then ended; the kill comes after all of that.

use serde_json::Value;

use super::{
    super::object::{Object, at, items},
    Finding,
};

/// What Kubernetes gives a pod that says nothing.
const GRACE: u64 = 30;
/// `lifecycle.drain_seconds` of a service that is told nothing (docs/configuration.md).
const DRAIN: u64 = 20;
const DRAIN_VARIABLE: &str = "MERCATO__LIFECYCLE__DRAIN_SECONDS";

pub(super) fn check(objects: &[Object]) -> Vec<Finding> {
    let deployments = objects.iter().filter(|object| object.kind() == "Deployment");
    deployments.flat_map(|deployment| check_deployment(deployment, objects)).collect()
}

fn check_deployment(deployment: &Object, objects: &[Object]) -> Vec<Finding> {
    let pod = deployment.at("/spec/template/spec");
    let grace = at(pod, "/terminationGracePeriodSeconds").as_u64().unwrap_or(GRACE);
    let mut findings = Vec::new();
    for container in items(at(pod, "/containers")) {
        let Some(pause) = at(container, "/lifecycle/preStop/sleep/seconds").as_u64().filter(|it| *it > 0)
        else {
            let message = "needs `preStop: sleep`: requests still come while proxies hear that it goes";
            findings.push(Finding::new(deployment.title(), message));
            continue;
        };
        let drain = drain_seconds(container, objects);
        if grace <= pause + drain {
            let message = format!(
                "terminationGracePeriodSeconds is {grace}; it must be more than {pause} s of preStop and {drain} s of \
                 drain together"
            );
            findings.push(Finding::new(deployment.title(), message));
        }
    }
    findings
}

/// What the container's variables say; a later source and `env` win, as in Kubernetes.
fn drain_seconds(container: &Value, objects: &[Object]) -> u64 {
    let own = items(at(container, "/env")).iter().find(|variable| at(variable, "/name") == DRAIN_VARIABLE);
    let of_map = |source: &Value| {
        let name = at(source, "/configMapRef/name").as_str()?;
        let map = objects.iter().find(|object| object.kind() == "ConfigMap" && object.name() == name)?;
        map.at("/data").get(DRAIN_VARIABLE)
    };
    let from_maps = items(at(container, "/envFrom")).iter().filter_map(of_map).next_back();
    let value = own.map(|variable| at(variable, "/value")).or(from_maps).and_then(Value::as_str);
    value.and_then(|text| text.parse().ok()).unwrap_or(DRAIN)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::super::tests::said;

    const POD: &str = "/spec/template/spec";

    #[test]
    fn the_kill_comes_after_the_pause_and_the_drain() {
        let grace = format!("{POD}/terminationGracePeriodSeconds");
        assert!(said("Deployment/shop", &grace, json!(26)).is_empty());
        assert_eq!(said("Deployment/shop", &grace, json!(25)).len(), 1);
        assert!(said("Deployment/shop", &grace, Value::Null).is_empty());
        let pause = format!("{POD}/containers/0/lifecycle/preStop/sleep/seconds");
        assert_eq!(said("Deployment/shop", &pause, json!(15)).len(), 1);
    }

    #[test]
    fn the_drain_is_the_one_that_the_service_is_told() {
        let data = |seconds| json!({ "MERCATO__LIFECYCLE__DRAIN_SECONDS": seconds });
        assert_eq!(said("ConfigMap/mercato", "/data", data("30")).len(), 1);
        assert!(said("ConfigMap/mercato", "/data", data("29")).is_empty());
        let own = json!([{ "name": "MERCATO__LIFECYCLE__DRAIN_SECONDS", "value": "60" }]);
        assert_eq!(said("Deployment/shop", &format!("{POD}/containers/0/env"), own).len(), 1);
    }

    #[test]
    fn a_pause_before_the_end_is_asked_for() {
        let said = said("Deployment/shop", &format!("{POD}/containers/0/lifecycle"), Value::Null);
        assert!(said.len() == 1 && said[0].contains("preStop"), "{said:?}");
    }
}
