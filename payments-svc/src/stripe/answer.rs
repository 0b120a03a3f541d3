//! What is read of Stripe's answers: few fields, tolerant of all others, so that a newer version of the API still fits.

use serde::Deserialize;

use super::StripeError;

/// A `checkout.session` with a payment page.
#[derive(Deserialize)]
pub(super) struct SessionAnswer {
    pub(super) id: String,
    pub(super) url: String,
    /// Unix seconds.
    pub(super) expires_at: i64,
}

/// Stripe's error envelope (docs.stripe.com/api/errors).
#[derive(Default, Deserialize)]
pub(super) struct ErrorAnswer {
    #[serde(default)]
    pub(super) error: ErrorBody,
}

/// Without its `message`, which repeats the values of the call.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct ErrorBody {
    #[serde(rename = "type")]
    kind: Option<String>,
    code: Option<String>,
    param: Option<String>,
}

impl ErrorBody {
    pub(super) fn into_error(self, status: u16) -> StripeError {
        match status {
            409 => StripeError::InProgress,
            400 if self.is_unrepeatable() => {
                StripeError::Unrepeatable(self.param.or(self.kind).unwrap_or_default())
            }
            400 | 402 | 404 => StripeError::Refused {
                code: self.code.or(self.kind).unwrap_or_else(|| status.to_string()),
                param: self.param.unwrap_or_else(|| "none".to_owned()),
            },
            401 | 403 => StripeError::Away(format!("it does not take our key (status {status})")),
            _ => StripeError::Away(format!("status {status}")),
        }
    }

    /// The key was used with other parameters, or the page's end has come too near since the order was made.
    fn is_unrepeatable(&self) -> bool {
        self.kind.as_deref() == Some("idempotency_error") || self.param.as_deref() == Some("expires_at")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(status: u16, body: &str) -> String {
        let told: ErrorAnswer = serde_json::from_str(body).unwrap_or_default();
        format!("{:?}", told.error.into_error(status))
    }

    #[test]
    fn each_answer_tells_whether_to_repeat_give_up_or_begin_anew() {
        let small = r#"{"error":{"type":"invalid_request_error","code":"amount_too_small","param":"line_items","message":"…"}}"#;
        assert!(error(400, small).starts_with("Refused { code: \"amount_too_small\""));
        let late = r#"{"error":{"type":"invalid_request_error","param":"expires_at"}}"#;
        assert!(error(400, late).starts_with("Unrepeatable"));
        assert!(error(400, r#"{"error":{"type":"idempotency_error"}}"#).starts_with("Unrepeatable"));
        assert!(error(409, r#"{"error":{"code":"idempotency_key_in_use"}}"#).starts_with("InProgress"));
        for status in [401, 403, 429, 500, 503] {
            assert!(error(status, "<html>").starts_with("Away"), "{status}");
        }
        assert!(error(400, "<html>").starts_with("Refused"));
    }

    #[test]
    fn an_answer_of_another_version_is_read() {
        let text =
            r#"{"id":"cs_1","url":"https://pay","expires_at":5,"ui_mode":"hosted_page","new":{"a":[1]}}"#;
        let session: SessionAnswer = serde_json::from_str(text).unwrap();
        assert_eq!((session.id.as_str(), session.expires_at), ("cs_1", 5));
    }
}
