//! An object of Kubernetes, as far as the rules look at it.

use serde_json::Value;

/// An object; what it lacks reads as null.
#[derive(Debug, Clone)]
pub(super) struct Object(Value);

impl Object {
    pub(super) fn new(value: Value) -> Self {
        Self(value)
    }

    pub(super) fn kind(&self) -> &str {
        self.at("/kind").as_str().unwrap_or_default()
    }

    pub(super) fn name(&self) -> &str {
        self.at("/metadata/name").as_str().unwrap_or_default()
    }

    /// `Deployment/gateway`.
    pub(super) fn title(&self) -> String {
        format!("{}/{}", self.kind(), self.name())
    }

    pub(super) fn at(&self, pointer: &str) -> &Value {
        at(&self.0, pointer)
    }

    /// What its pods are made from.
    pub(super) fn pod_template(&self) -> Option<&Value> {
        let pointer = match self.kind() {
            "Deployment" | "StatefulSet" | "DaemonSet" | "Job" => "/spec/template",
            "CronJob" => "/spec/jobTemplate/spec/template",
            "Pod" => "",
            _ => return None,
        };
        Some(self.at(pointer))
    }

    /// Whether its pods come to an end by themselves, so that nobody asks how they are.
    pub(super) fn ends(&self) -> bool {
        matches!(self.kind(), "Job" | "CronJob")
    }
}

/// The value at a JSON pointer, or null.
pub(super) fn at<'a>(value: &'a Value, pointer: &str) -> &'a Value {
    value.pointer(pointer).unwrap_or(&Value::Null)
}

/// The items of an array; none of anything else.
pub(super) fn items(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

/// Whether a selector's `matchLabels` are all among `labels`; one without labels selects everything.
pub(super) fn selects(selector: &Value, labels: &Value) -> bool {
    let wanted = at(selector, "/matchLabels").as_object();
    at(selector, "/matchExpressions").is_null()
        && wanted.is_none_or(|wanted| wanted.iter().all(|(name, value)| labels.get(name) == Some(value)))
}
