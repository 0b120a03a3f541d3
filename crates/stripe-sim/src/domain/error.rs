//! What Stripe answers to a wrong call.

use serde_json::{Value, json};

/// The `type` of an error, as Stripe names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ErrorKind {
    /// The call itself is wrong.
    InvalidRequest,
    /// An idempotency key was used again for something else.
    Idempotency,
    /// The fault is on this side.
    Api,
}

impl ErrorKind {
    fn name(self) -> &'static str {
        match self {
            Self::InvalidRequest => "invalid_request_error",
            Self::Idempotency => "idempotency_error",
            Self::Api => "api_error",
        }
    }
}

/// An error in Stripe's form: an HTTP status and the `error` object.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct ApiError {
    /// HTTP status of the answer.
    pub status: u16,
    /// The error's `type`.
    pub kind: ErrorKind,
    /// The error's `code`, where Stripe gives one.
    pub code: Option<&'static str>,
    /// What was wrong.
    pub message: String,
    /// The parameter that was wrong.
    pub param: Option<String>,
}

impl ApiError {
    /// A wrong call (400) without a code of its own.
    pub fn invalid(message: impl Into<String>) -> Self {
        Self {
            status: 400,
            kind: ErrorKind::InvalidRequest,
            code: None,
            message: message.into(),
            param: None,
        }
    }

    /// The same error, with the parameter that caused it.
    #[must_use]
    pub fn at(mut self, param: impl Into<String>) -> Self {
        self.param = Some(param.into());
        self
    }

    /// The same error, with Stripe's code for it.
    #[must_use]
    pub fn coded(mut self, code: &'static str) -> Self {
        self.code = Some(code);
        self
    }

    /// The same error under another HTTP status.
    #[must_use]
    pub fn with_status(mut self, status: u16) -> Self {
        self.status = status;
        self
    }

    /// A parameter that the call does not have.
    #[must_use]
    pub fn unknown(param: &str) -> Self {
        Self::invalid(format!("Received unknown parameter: {param}")).coded("parameter_unknown").at(param)
    }

    /// A parameter that the call needs.
    #[must_use]
    pub fn missing(param: &str) -> Self {
        Self::invalid(format!("Missing required param: {param}.")).coded("parameter_missing").at(param)
    }

    /// An empty value where one is needed.
    #[must_use]
    pub fn empty(param: &str) -> Self {
        Self::invalid(format!(
            "You passed an empty string for '{param}'. We assume empty values are an attempt to unset a parameter; \
             however '{param}' cannot be unset. You should remove '{param}' from your request or supply a non-empty value."
        ))
        .coded("parameter_invalid_empty")
        .at(param)
    }

    /// A resource that is not there, asked for in the path.
    #[must_use]
    pub fn no_such(resource: &str, id: &str, param: &str) -> Self {
        Self::invalid(format!("No such {resource}: '{id}'"))
            .coded("resource_missing")
            .at(param)
            .with_status(404)
    }

    /// A path or method that the API does not have.
    #[must_use]
    pub fn unrecognized(method: &str, path: &str) -> Self {
        Self::invalid(format!(
            "Unrecognized request URL ({method}: {path}). Please see https://stripe.com/docs or we can help at \
             https://support.stripe.com/."
        ))
        .with_status(404)
    }

    /// A call without a key.
    #[must_use]
    pub fn no_key() -> Self {
        Self::invalid(
            "You did not provide an API key. You need to provide your API key in the Authorization header, using \
             Bearer auth (e.g. 'Authorization: Bearer YOUR_SECRET_KEY'). See https://stripe.com/docs/api#authentication \
             for details, or we can help at https://support.stripe.com/.",
        )
        .with_status(401)
    }

    /// A call with a key that is not ours. As at Stripe only its kind and last four characters are shown.
    #[must_use]
    pub fn wrong_key(key: &str) -> Self {
        Self::invalid(format!("Invalid API Key provided: {}", redacted(key))).with_status(401)
    }

    /// An idempotency key that already stands for a different call.
    #[must_use]
    pub fn idempotency(key: &str) -> Self {
        let message = format!(
            "Keys for idempotent requests can only be used with the same parameters they were first used with. Try \
             using a key other than '{key}' if you meant to execute a different request."
        );
        Self { kind: ErrorKind::Idempotency, ..Self::invalid(message) }
    }

    /// A fault of the stand-in.
    #[must_use]
    pub fn internal() -> Self {
        let message = "The stand-in could not keep its state: look at its log. Nothing was changed for good.";
        Self { status: 500, kind: ErrorKind::Api, ..Self::invalid(message) }
    }

    /// The body of the answer.
    #[must_use]
    pub fn body(&self, request_id: Option<&str>) -> Value {
        let mut error = json!({ "type": self.kind.name(), "message": self.message });
        if let Some(code) = self.code {
            error["code"] = code.into();
            error["doc_url"] =
                format!("https://stripe.com/docs/error-codes/{}", code.replace('_', "-")).into();
        }
        if let Some(param) = &self.param {
            error["param"] = param.as_str().into();
        }
        if let Some(id) = request_id {
            error["request_log_url"] = format!("https://dashboard.stripe.com/test/logs/{id}").into();
        }
        json!({ "error": error })
    }
}

fn redacted(key: &str) -> String {
    let chars: Vec<char> = key.chars().collect();
    let kind = ["sk_test_", "sk_live_", "pk_test_", "pk_live_", "rk_test_", "rk_live_"]
        .into_iter()
        .find(|kind| key.starts_with(kind))
        .unwrap_or("");
    let hidden = chars.len().saturating_sub(kind.len() + 4);
    let tail: String = chars.iter().skip(kind.len() + hidden).filter(|_| hidden >= 4).collect();
    format!("{kind}{}{tail}", "*".repeat(hidden.max(4)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wrong_key_is_shown_only_by_its_end() {
        let error = ApiError::wrong_key("sk_test_0123456789abcdef");
        assert_eq!(error.message, "Invalid API Key provided: sk_test_************cdef");
        assert_eq!(error.status, 401);
    }

    #[test]
    fn a_short_wrong_key_is_not_shown_at_all() {
        assert_eq!(ApiError::wrong_key("abcdef").message, "Invalid API Key provided: ****");
    }

    #[test]
    fn the_body_has_stripes_form() {
        let body = ApiError::unknown("colour").body(Some("req_1"));
        assert_eq!(body["error"]["type"], "invalid_request_error");
        assert_eq!(body["error"]["code"], "parameter_unknown");
        assert_eq!(body["error"]["param"], "colour");
        assert_eq!(body["error"]["doc_url"], "https://stripe.com/docs/error-codes/parameter-unknown");
        assert_eq!(body["error"]["request_log_url"], "https://dashboard.stripe.com/test/logs/req_1");
    }
}
