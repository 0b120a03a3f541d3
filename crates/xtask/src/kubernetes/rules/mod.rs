//! The rules, each a function from objects to findings.

mod availability;
mod container;
mod network;
mod shutdown;

use std::fmt;

use super::object::Object;

/// The overlay for trying things out, which need neither outlast a node nor be closed to its neighbours.
const FOR_TRYING: &str = "dev";

/// Where a rule is broken, and what would be right.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Finding {
    object: String,
    message: String,
}

impl Finding {
    fn new(object: impl Into<String>, message: impl Into<String>) -> Self {
        Self { object: object.into(), message: message.into() }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}: {}", self.object, self.message)
    }
}

/// Everything that is wrong with an overlay.
pub(super) fn check(overlay: &str, objects: &[Object]) -> Vec<Finding> {
    let mut findings = container::check(objects);
    findings.extend(shutdown::check(objects));
    if overlay != FOR_TRYING {
        findings.extend(availability::check(objects));
        findings.extend(network::check(objects));
    }
    findings.sort();
    findings
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use serde_json::{Value, json};

    use super::*;

    /// A production that breaks no rule.
    pub(super) fn sound() -> Vec<Value> {
        let labels = json!({ "app.kubernetes.io/name": "shop" });
        let selector = json!({ "matchLabels": labels });
        vec![
            json!({ "kind": "Namespace", "metadata": { "name": "mercato",
                "labels": { "pod-security.kubernetes.io/enforce": "restricted" } } }),
            json!({ "kind": "ConfigMap", "metadata": { "name": "mercato" },
                "data": { "MERCATO__LIFECYCLE__DRAIN_SECONDS": "20" } }),
            json!({ "kind": "Deployment", "metadata": { "name": "shop" }, "spec": {
                "replicas": 3,
                "template": { "metadata": { "labels": labels }, "spec": pod() } } }),
            json!({ "kind": "PodDisruptionBudget", "metadata": { "name": "shop" },
                "spec": { "maxUnavailable": 1, "selector": selector } }),
            json!({ "kind": "NetworkPolicy", "metadata": { "name": "deny" },
                "spec": { "podSelector": {}, "policyTypes": ["Ingress", "Egress"] } }),
            json!({ "kind": "NetworkPolicy", "metadata": { "name": "shop" }, "spec": {
                "podSelector": selector, "policyTypes": ["Ingress", "Egress"],
                "ingress": [{ "from": [{ "podSelector": selector }], "ports": [{ "port": 8080 }] }],
                "egress": [{ "to": [{ "podSelector": selector }], "ports": [{ "port": 8080 }] }] } }),
        ]
    }

    fn pod() -> Value {
        json!({
            "automountServiceAccountToken": false,
            "terminationGracePeriodSeconds": 35,
            "securityContext": { "runAsNonRoot": true, "seccompProfile": { "type": "RuntimeDefault" } },
            "topologySpreadConstraints": [
                { "maxSkew": 1, "topologyKey": "topology.kubernetes.io/zone" }],
            "containers": [{
                "name": "shop",
                "image": "example.com/shop:1.2.3",
                "envFrom": [{ "configMapRef": { "name": "mercato" } }],
                "livenessProbe": { "httpGet": { "path": "/livez", "port": "admin" } },
                "readinessProbe": { "httpGet": { "path": "/readyz", "port": "admin" } },
                "lifecycle": { "preStop": { "sleep": { "seconds": 5 } } },
                "resources": { "requests": { "cpu": "1", "memory": "1Mi" }, "limits": { "memory": "1Mi" } },
                "securityContext": {
                    "allowPrivilegeEscalation": false,
                    "readOnlyRootFilesystem": true,
                    "capabilities": { "drop": ["ALL"] } },
            }],
        })
    }

    /// What is said when in the object of `title` the value at `pointer` is another; null takes it away.
    pub(super) fn said(title: &str, pointer: &str, value: Value) -> Vec<String> {
        let mut objects = sound();
        let object =
            objects.iter_mut().find(|object| Object::new((*object).clone()).title() == title).unwrap();
        let (parent, name) = pointer.rsplit_once('/').unwrap();
        match object.pointer_mut(parent).unwrap() {
            Value::Object(map) if value.is_null() => drop(map.remove(name).unwrap()),
            Value::Object(map) => drop(map.insert(name.to_owned(), value)),
            other => other[name.parse::<usize>().unwrap()] = value,
        }
        messages("prod", objects)
    }

    /// What is said when there is no object of `title`.
    pub(super) fn said_without(title: &str) -> Vec<String> {
        let mut objects = sound();
        objects.retain(|object| Object::new(object.clone()).title() != title);
        assert_eq!(objects.len() + 1, sound().len());
        messages("prod", objects)
    }

    fn messages(overlay: &str, objects: Vec<Value>) -> Vec<String> {
        let objects: Vec<_> = objects.into_iter().map(Object::new).collect();
        check(overlay, &objects).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn what_is_sound_has_no_findings() {
        assert_eq!(messages("prod", sound()), [""; 0]);
    }

    #[test]
    fn an_overlay_for_trying_may_be_alone_and_open() {
        let wants_pods_only =
            |object: &Value| ["Deployment", "ConfigMap"].contains(&object["kind"].as_str().unwrap());
        let mut objects = sound();
        objects.retain(wants_pods_only);
        assert_eq!(messages("dev", objects.clone()), [""; 0]);
        assert_eq!(messages("prod", objects).len(), 4);
    }
}
