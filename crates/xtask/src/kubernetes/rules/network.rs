//! Who may reach whom: nobody, unless a policy says so; the outside, only on web ports and never by a private address.

use serde_json::{Value, json};

use super::{
    super::object::{Object, at, items, selects},
    Finding,
};

/// Addresses of private networks, this machine and the cloud's metadata (RFC 1918, 6598, 1122, 3927).
const PRIVATE: [&str; 6] =
    ["10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16"];
const WEB: [u64; 2] = [80, 443];

pub(super) fn check(objects: &[Object]) -> Vec<Finding> {
    let policies: Vec<_> = objects.iter().filter(|object| object.kind() == "NetworkPolicy").collect();
    let mut findings = Vec::new();
    if !policies.iter().any(|policy| denies_all(policy)) {
        let message = "needs a policy for all pods (podSelector: {}) of both directions that allows nothing";
        findings.push(Finding::new("NetworkPolicy", message));
    }
    findings.extend(policies.iter().flat_map(|policy| check_edges(policy)));
    findings.extend(objects.iter().filter_map(|object| check_pods(object, &policies)));
    let restricted = |object: &Object| {
        object.at("/metadata/labels").get("pod-security.kubernetes.io/enforce") == Some(&json!("restricted"))
    };
    if !objects.iter().any(|object| object.kind() == "Namespace" && restricted(object)) {
        findings.push(Finding::new("Namespace", "must enforce the pod security standard `restricted`"));
    }
    findings
}

fn is_of_all(policy: &Object) -> bool {
    policy.at("/spec/podSelector").as_object().is_some_and(serde_json::Map::is_empty)
}

fn denies_all(policy: &Object) -> bool {
    let types = items(policy.at("/spec/policyTypes"));
    let both = ["Ingress", "Egress"].iter().all(|it| types.contains(&json!(it)));
    let allows = ["/spec/ingress", "/spec/egress"].iter().any(|rules| !items(policy.at(rules)).is_empty());
    is_of_all(policy) && both && !allows
}

/// Each edge names its other end and its ports.
fn check_edges(policy: &Object) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (rules, end) in [("/spec/ingress", "/from"), ("/spec/egress", "/to")] {
        for rule in items(policy.at(rules)) {
            if items(at(rule, end)).is_empty() || items(at(rule, "/ports")).is_empty() {
                findings
                    .push(Finding::new(policy.title(), "each rule must name the other end and its ports"));
            }
            let outside = items(at(rule, end)).iter().filter(|peer| !at(peer, "/ipBlock").is_null());
            findings.extend(outside.flat_map(|peer| check_outside(policy, rule, at(peer, "/ipBlock"))));
        }
    }
    findings
}

fn check_outside(policy: &Object, rule: &Value, block: &Value) -> Vec<Finding> {
    let web = |port: &Value| at(port, "/port").as_u64().is_some_and(|port| WEB.contains(&port));
    let mut findings = Vec::new();
    if !items(at(rule, "/ports")).iter().all(web) {
        findings.push(Finding::new(policy.title(), "may reach the outside only on web ports (443, 80)"));
    }
    let except = items(at(block, "/except"));
    if at(block, "/cidr") == "0.0.0.0/0" && !PRIVATE.iter().all(|range| except.contains(&json!(range))) {
        let message =
            format!("may reach the outside, but never a private address: except {}", PRIVATE.join(", "));
        findings.push(Finding::new(policy.title(), message));
    }
    if at(block, "/cidr") == "::/0" {
        let message = "may reach 2000::/3, where the public IPv6 addresses are, instead of ::/0";
        findings.push(Finding::new(policy.title(), message));
    }
    findings
}

/// A pod without a policy of its own reaches nothing: that has been forgotten, not meant.
fn check_pods(object: &Object, policies: &[&Object]) -> Option<Finding> {
    let labels = at(object.pod_template()?, "/metadata/labels");
    let own = |policy: &&Object| !is_of_all(policy) && selects(policy.at("/spec/podSelector"), labels);
    let message = "no NetworkPolicy says whom its pods may reach";
    (!policies.iter().any(own)).then(|| Finding::new(object.title(), message))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::super::tests::{said, said_without};

    const EGRESS: &str = "/spec/egress/0";

    #[track_caller]
    fn one(said: &[String], expected: &str) {
        assert!(said.len() == 1 && said[0].contains(expected), "{said:?}");
    }

    #[test]
    fn nothing_is_allowed_at_first() {
        one(&said_without("NetworkPolicy/deny"), "allows nothing");
        one(&said("NetworkPolicy/deny", "/spec/policyTypes", json!(["Ingress"])), "allows nothing");
        let open = json!([{ "to": [{ "podSelector": {} }], "ports": [{ "port": 1 }] }]);
        one(&said("NetworkPolicy/deny", "/spec/egress", open), "allows nothing");
    }

    #[test]
    fn each_pod_has_edges_and_each_edge_two_ends() {
        one(&said_without("NetworkPolicy/shop"), "no NetworkPolicy says whom");
        one(&said("NetworkPolicy/shop", &format!("{EGRESS}/to"), Value::Null), "other end");
        one(&said("NetworkPolicy/shop", "/spec/ingress/0/ports", Value::Null), "other end");
    }

    #[test]
    fn the_outside_is_reached_on_web_ports_and_by_public_addresses() {
        let outside = |block: Value, port: u16| {
            let rule = json!({ "to": [{ "ipBlock": block }], "ports": [{ "port": port }] });
            said("NetworkPolicy/shop", EGRESS, rule)
        };
        let public = json!({ "cidr": "0.0.0.0/0", "except": super::PRIVATE });
        assert!(outside(public.clone(), 443).is_empty());
        one(&outside(public, 25), "web ports");
        one(&outside(json!({ "cidr": "0.0.0.0/0", "except": ["10.0.0.0/8"] }), 443), "private address");
        one(&outside(json!({ "cidr": "::/0" }), 443), "2000::/3");
    }

    #[test]
    fn the_namespace_is_restricted() {
        one(&said_without("Namespace/mercato"), "restricted");
        one(&said("Namespace/mercato", "/metadata/labels", json!({})), "restricted");
    }
}
