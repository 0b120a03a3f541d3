//! Each container: what it may take, how one asks how it is, what it may not do.

use serde_json::{Value, json};

use super::{
    super::object::{Object, at, items},
    Finding,
};

pub(super) fn check(objects: &[Object]) -> Vec<Finding> {
    objects.iter().flat_map(check_object).collect()
}

fn check_object(object: &Object) -> Vec<Finding> {
    let Some(pod) = object.pod_template().map(|template| at(template, "/spec")) else { return Vec::new() };
    let mut findings = Vec::new();
    let mut note = |name: &str, messages: Vec<&str>| {
        let place = format!("{}, container {name}", object.title());
        findings.extend(messages.into_iter().map(|message| Finding::new(place.clone(), message)));
    };
    for (list, lives) in [("/containers", !object.ends()), ("/initContainers", false)] {
        for container in items(at(pod, list)) {
            let name = at(container, "/name").as_str().unwrap_or_default();
            note(name, resources(container));
            note(name, image(container));
            note(name, security(pod, container));
            if lives {
                note(name, probes(container));
            }
        }
    }
    if at(pod, "/automountServiceAccountToken") != &json!(false) {
        let message = "automountServiceAccountToken must be false: no service talks to the cluster";
        findings.push(Finding::new(object.title(), message));
    }
    findings
}

fn resources(container: &Value) -> Vec<&'static str> {
    let wanted = [
        ("/resources/requests/cpu", "requests no CPU: the scheduler can't place it"),
        ("/resources/requests/memory", "requests no memory: the scheduler can't place it"),
        ("/resources/limits/memory", "has no memory limit: it could take its neighbours' memory"),
    ];
    wanted
        .into_iter()
        .filter(|(place, _)| at(container, place).is_null())
        .map(|(_, message)| message)
        .collect()
}

fn image(container: &Value) -> Vec<&'static str> {
    let image = at(container, "/image").as_str().unwrap_or_default();
    let (path, digest) = image.split_once('@').map_or((image, None), |(path, digest)| (path, Some(digest)));
    let name = path.rsplit('/').next().unwrap_or_default();
    match (digest, name.split_once(':')) {
        (None, None) => vec!["its image has no tag, which means `latest`; name a version or a digest"],
        (None, Some((_, "latest"))) => {
            vec!["its image is `latest`, which changes by itself; name a version or a digest"]
        }
        (Some(_), _) | (None, Some(_)) => vec![],
    }
}

fn probes(container: &Value) -> Vec<&'static str> {
    let mut messages = Vec::new();
    if at(container, "/readinessProbe").is_null() {
        messages.push("has no readinessProbe: it would get requests before it can answer them");
    }
    if at(container, "/livenessProbe").is_null() {
        messages.push("has no livenessProbe: it would hang for ever");
    }
    let restarts = ["/livenessProbe", "/startupProbe"].map(|probe| at(container, probe));
    if restarts.into_iter().any(|probe| !probe.is_null() && !asks_only_the_process(probe)) {
        messages.push(
            "a livenessProbe or startupProbe may ask only for the process itself (httpGet /livez, or tcpSocket): \
             a restart mends no dependency",
        );
    }
    messages
}

/// gRPC's health and `/readyz` tell of the stores and the bus too, and what a command asks can't be seen.
fn asks_only_the_process(probe: &Value) -> bool {
    let http = at(probe, "/httpGet");
    let own_path = at(http, "/path") == "/livez" && at(http, "/host").is_null();
    own_path || (at(probe, "/tcpSocket").is_object() && at(probe, "/tcpSocket/host").is_null())
}

fn security(pod: &Value, container: &Value) -> Vec<&'static str> {
    // What a container says itself counts, then what its pod says.
    let effective = |field: &str| {
        let own = at(container, &format!("/securityContext/{field}"));
        if own.is_null() { at(pod, &format!("/securityContext/{field}")) } else { own }
    };
    let own = |field: &str| at(container, &format!("/securityContext/{field}"));
    let yes = json!(true);
    let checks = [
        (
            effective("runAsNonRoot") == &yes && effective("runAsUser") != &json!(0),
            "must not run as root: runAsNonRoot: true, and a runAsUser other than 0",
        ),
        (effective("seccompProfile/type") == "RuntimeDefault", "must have the seccompProfile RuntimeDefault"),
        (own("readOnlyRootFilesystem") == &yes, "must have a read-only root file system"),
        (own("allowPrivilegeEscalation") == &json!(false), "must not gain privileges"),
        (own("privileged") != &yes, "must not be privileged"),
        (
            items(own("capabilities/drop")).contains(&json!("ALL")) && own("capabilities/add").is_null(),
            "must drop all capabilities and add none",
        ),
    ];
    checks.into_iter().filter(|(holds, _)| !holds).map(|(_, message)| message).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::super::tests::said;

    const CONTAINER: &str = "/spec/template/spec/containers/0";

    #[track_caller]
    fn one_finding(place: &str, value: Value, expected: &str) {
        let said = said("Deployment/shop", place, value);
        assert!(said.len() == 1 && said[0].contains(expected), "{place}: {said:?}");
    }

    #[track_caller]
    fn in_container(place: &str, value: Value, expected: &str) {
        one_finding(&format!("{CONTAINER}{place}"), value, expected);
    }

    #[test]
    fn resources_are_asked_for_and_memory_is_bounded() {
        in_container("/resources/requests/cpu", Value::Null, "requests no CPU");
        in_container("/resources/requests/memory", Value::Null, "requests no memory");
        in_container("/resources/limits/memory", Value::Null, "no memory limit");
    }

    #[test]
    fn probes_are_there_and_liveness_asks_no_dependency() {
        in_container("/readinessProbe", Value::Null, "no readinessProbe");
        in_container("/livenessProbe", Value::Null, "no livenessProbe");
        in_container("/livenessProbe/httpGet/path", json!("/readyz"), "mends no dependency");
        in_container("/livenessProbe/httpGet/host", json!("postgres"), "mends no dependency");
        in_container("/livenessProbe", json!({ "grpc": { "port": 1 } }), "mends no dependency");
        in_container("/livenessProbe", json!({ "exec": { "command": ["true"] } }), "mends no dependency");
        in_container("/startupProbe", json!({ "grpc": { "port": 1 } }), "mends no dependency");
        let tcp = said(
            "Deployment/shop",
            &format!("{CONTAINER}/livenessProbe"),
            json!({ "tcpSocket": { "port": 1 } }),
        );
        assert!(tcp.is_empty(), "{tcp:?}");
    }

    #[test]
    fn nothing_runs_with_more_than_it_needs() {
        let pod = "/spec/template/spec/securityContext";
        one_finding(&format!("{pod}/runAsNonRoot"), Value::Null, "must not run as root");
        one_finding(&format!("{pod}/runAsUser"), json!(0), "must not run as root");
        one_finding(&format!("{pod}/seccompProfile"), json!({ "type": "Unconfined" }), "seccompProfile");
        in_container("/securityContext/runAsNonRoot", json!(false), "must not run as root");
        in_container("/securityContext/seccompProfile", json!({ "type": "Unconfined" }), "seccompProfile");
        in_container("/securityContext/readOnlyRootFilesystem", json!(false), "read-only");
        in_container("/securityContext/allowPrivilegeEscalation", Value::Null, "gain privileges");
        in_container("/securityContext/privileged", json!(true), "must not be privileged");
        in_container("/securityContext/capabilities/drop", json!(["NET_RAW"]), "drop all capabilities");
        in_container("/securityContext/capabilities/add", json!(["NET_ADMIN"]), "add none");
        one_finding("/spec/template/spec/automountServiceAccountToken", Value::Null, "automount");
    }

    #[test]
    fn an_image_is_one_version() {
        in_container("/image", json!("example.com/shop:latest"), "`latest`");
        in_container("/image", json!("example.com:5000/shop"), "no tag");
        let digest =
            said("Deployment/shop", &format!("{CONTAINER}/image"), json!("example.com/shop@sha256:00"));
        assert!(digest.is_empty(), "{digest:?}");
    }

    #[test]
    fn an_init_container_is_bounded_but_not_probed() {
        let said = said(
            "Deployment/shop",
            "/spec/template/spec/initContainers",
            json!([{ "name": "first", "image": "a:1" }]),
        );
        assert!(said.iter().any(|it| it.contains("container first: has no memory limit")), "{said:?}");
        assert!(!said.iter().any(|it| it.contains("Probe")), "{said:?}");
    }
}
