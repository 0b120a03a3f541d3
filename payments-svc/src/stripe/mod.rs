//! Stripe's API, as far as a purchase needs it.
//!
//! No client library: those pin the version of the API, which is configuration here, and type a thousand resources where
//! one call and three fields are used.

mod answer;

use std::{sync::Arc, time::Duration};

use metrics::{Histogram, Label};
use platform::{secret::Secret, telemetry::SPANS};
use reqwest::{Response, redirect};
use tokio::time::Instant;
use tracing::Instrument as _;

use self::answer::{ErrorAnswer, SessionAnswer};
use crate::{
    config::StripeConfig,
    domain::order::{Order, Session},
};

const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// Calls Stripe.
#[derive(Clone)]
pub(crate) struct Client {
    http: reqwest::Client,
    sessions_url: String,
    secret_key: Secret,
    api_version: String,
    success_url: String,
    cancel_url: String,
    /// By the place of [`RESULTS`].
    calls: Arc<[Histogram]>,
}

/// A payment page, and until when it can be paid.
#[derive(Debug)]
pub(crate) struct OpenedSession {
    pub(crate) session: Session,
    pub(crate) payable_until_ms: i64,
}

/// Why Stripe made no payment page.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StripeError {
    /// No answer, or one that says nothing about the order: the same call may succeed later.
    #[error("Stripe gave no answer that can be used: {0}")]
    Away(String),
    /// Another call for the same order is under way.
    #[error("Stripe is still answering another call for the same order")]
    InProgress,
    /// Too much time or a change of configuration lies between two calls for the same order: it can't be repeated.
    #[error("the call can no longer be repeated for this order ({0})")]
    Unrepeatable(String),
    /// Stripe will not make a page for this order, now or later.
    #[error("Stripe refused the order (code {code}, parameter {param})")]
    Refused {
        /// Stripe's word, such as `amount_too_small`.
        code: String,
        /// The parameter it is about.
        param: String,
    },
}

impl Client {
    pub(crate) fn new(config: &StripeConfig) -> anyhow::Result<Self> {
        let http = reqwest::Client::builder()
            .timeout(Duration::from_secs(config.timeout_seconds))
            .connect_timeout(CONNECT_TIMEOUT)
            .redirect(redirect::Policy::none())
            .build()?;
        Ok(Self {
            http,
            sessions_url: format!("{}/v1/checkout/sessions", config.api_url.trim_end_matches('/')),
            secret_key: config.secret_key.clone(),
            api_version: config.api_version.clone(),
            success_url: config.success_url.clone(),
            cancel_url: config.cancel_url.clone(),
            calls: RESULTS.into_iter().map(calls_with).collect(),
        })
    }

    /// Asks for a payment page. Repeated for the same order it is the same call, and Stripe answers the same page.
    pub(crate) async fn create_session(
        &self,
        order: &Order,
        email: &str,
    ) -> Result<OpenedSession, StripeError> {
        let span = tracing::trace_span!(
            target: SPANS,
            "stripe.create_session",
            otel.name = "POST /v1/checkout/sessions",
            otel.kind = "client",
            otel.status_code = tracing::field::Empty,
            http.request.method = "POST",
            http.response.status_code = tracing::field::Empty,
            mercato.order_id = order.id,
        );
        let begun = Instant::now();
        let opened = self.post_session(order, email).instrument(span.clone()).await;
        if opened.is_err() {
            span.record("otel.status_code", "ERROR");
        }
        self.calls[result_of(&opened)].record(begun.elapsed().as_secs_f64());
        opened
    }

    async fn post_session(&self, order: &Order, email: &str) -> Result<OpenedSession, StripeError> {
        let answer = self
            .http
            .post(&self.sessions_url)
            .bearer_auth(self.secret_key.expose())
            .header("stripe-version", &self.api_version)
            .header("idempotency-key", &order.id)
            .form(&self.session_form(order, email))
            .send()
            .await
            .map_err(|error| away(&error))?;
        let status = answer.status();
        tracing::Span::current().record("http.response.status_code", status.as_u16());
        if status.is_success() { read_session(answer).await } else { Err(read_error(answer).await) }
    }

    /// The same bytes for the same order, else Stripe takes the repetition for another call.
    fn session_form(&self, order: &Order, email: &str) -> Vec<(&'static str, String)> {
        vec![
            ("mode", "payment".into()),
            ("line_items[0][quantity]", "1".into()),
            ("line_items[0][price_data][currency]", order.currency.clone()),
            ("line_items[0][price_data][unit_amount]", order.amount_cents.to_string()),
            ("line_items[0][price_data][product_data][name]", order.product_name.clone()),
            ("customer_email", email.to_owned()),
            ("client_reference_id", order.id.clone()),
            ("metadata[order_id]", order.id.clone()),
            ("payment_intent_data[metadata][order_id]", order.id.clone()),
            ("success_url", self.success_url.clone()),
            ("cancel_url", self.cancel_url.clone()),
            ("expires_at", order.payable_until_ms.div_euclid(1000).to_string()),
        ]
    }
}

/// What comes of a call: the error's type, where it is one.
const RESULTS: [Option<&str>; 5] =
    [None, Some("away"), Some("in_progress"), Some("unrepeatable"), Some("refused")];

/// Its place in [`RESULTS`].
fn result_of(opened: &Result<OpenedSession, StripeError>) -> usize {
    match opened {
        Ok(_) => 0,
        Err(StripeError::Away(_)) => 1,
        Err(StripeError::InProgress) => 2,
        Err(StripeError::Unrepeatable(_)) => 3,
        Err(StripeError::Refused { .. }) => 4,
    }
}

/// As the OpenTelemetry conventions name it.
fn calls_with(error: Option<&'static str>) -> Histogram {
    let mut labels = vec![
        Label::from_static_parts("http_request_method", "POST"),
        Label::from_static_parts("url_template", "/v1/checkout/sessions"),
    ];
    labels.extend(error.map(|error| Label::from_static_parts("error_type", error)));
    metrics::histogram!("http_client_request_duration_seconds", labels)
}

fn away(error: &reqwest::Error) -> StripeError {
    let what = if error.is_timeout() {
        "it took too long"
    } else if error.is_connect() {
        "it cannot be reached"
    } else {
        "the connection broke"
    };
    StripeError::Away(what.to_owned())
}

async fn read_session(answer: Response) -> Result<OpenedSession, StripeError> {
    let session: SessionAnswer = answer.json().await.map_err(|error| {
        if error.is_decode() {
            StripeError::Away("it is no Checkout session of a known form".to_owned())
        } else {
            away(&error)
        }
    })?;
    Ok(OpenedSession {
        session: Session { id: session.id, url: session.url },
        payable_until_ms: session.expires_at.saturating_mul(1000),
    })
}

async fn read_error(answer: Response) -> StripeError {
    let status = answer.status().as_u16();
    let told = answer.json::<ErrorAnswer>().await.map(|answer| answer.error).unwrap_or_default();
    told.into_error(status)
}
