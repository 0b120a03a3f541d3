//! What outlasts a node, a zone and a drain.

use serde_json::Value;

use super::{
    super::object::{Object, at, items, selects},
    Finding,
};

/// Fewer can't lose one and still be two.
const REPLICAS: u64 = 3;

pub(super) fn check(objects: &[Object]) -> Vec<Finding> {
    let deployments = objects.iter().filter(|object| object.kind() == "Deployment");
    deployments.flat_map(|deployment| check_deployment(deployment, objects)).collect()
}

fn check_deployment(deployment: &Object, objects: &[Object]) -> Vec<Finding> {
    let labels = deployment.at("/spec/template/metadata/labels");
    let budgets = objects.iter().filter(|object| object.kind() == "PodDisruptionBudget");
    let budget = budgets.filter(|budget| selects(budget.at("/spec/selector"), labels)).any(allows_one);
    let spread = items(deployment.at("/spec/template/spec/topologySpreadConstraints"));
    let over_zones = spread.iter().any(|it| at(it, "/topologyKey") == "topology.kubernetes.io/zone");
    let replicas = deployment.at("/spec/replicas").as_u64().unwrap_or(1);
    let checks = [
        (budget, "needs a PodDisruptionBudget that lets one pod go at a time (maxUnavailable: 1)"),
        (over_zones, "needs a topologySpreadConstraint over topology.kubernetes.io/zone"),
        (replicas >= REPLICAS, "needs at least 3 replicas"),
        (scaler_keeps(deployment, objects), "its HorizontalPodAutoscaler must keep at least 3 replicas"),
    ];
    let broken = checks.into_iter().filter(|(holds, _)| !holds);
    broken.map(|(_, message)| Finding::new(deployment.title(), message)).collect()
}

/// A budget that lets none go would stop every drain of a node.
fn allows_one(budget: &Object) -> bool {
    budget.at("/spec/maxUnavailable") == &Value::from(1)
}

fn scaler_keeps(deployment: &Object, objects: &[Object]) -> bool {
    let scalers = objects.iter().filter(|object| object.kind() == "HorizontalPodAutoscaler");
    let mut own = scalers.filter(|scaler| scaler.at("/spec/scaleTargetRef/name") == deployment.name());
    own.all(|scaler| scaler.at("/spec/minReplicas").as_u64().unwrap_or(1) >= REPLICAS)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::super::tests::{said, said_without};

    #[track_caller]
    fn one(said: &[String], expected: &str) {
        assert!(said.len() == 1 && said[0].contains(expected), "{said:?}");
    }

    #[test]
    fn each_deployment_has_a_budget_that_lets_one_go() {
        one(&said_without("PodDisruptionBudget/shop"), "PodDisruptionBudget");
        one(&said("PodDisruptionBudget/shop", "/spec/maxUnavailable", json!(0)), "PodDisruptionBudget");
        let other = json!({ "app.kubernetes.io/name": "another" });
        one(&said("PodDisruptionBudget/shop", "/spec/selector/matchLabels", other), "PodDisruptionBudget");
    }

    #[test]
    fn each_deployment_is_spread_and_three() {
        let pod = "/spec/template/spec/topologySpreadConstraints";
        one(&said("Deployment/shop", pod, Value::Null), "topologySpreadConstraint");
        let by_host = json!([{ "topologyKey": "kubernetes.io/hostname" }]);
        one(&said("Deployment/shop", pod, by_host), "topologySpreadConstraint");
        one(&said("Deployment/shop", "/spec/replicas", json!(2)), "3 replicas");
    }
}
